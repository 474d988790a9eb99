"""Invoices as printed documents: made on demand, kept for whoever asks again, handed out by short-lived addresses.

What is kept is named by everything that it shows, so it is never stale: once an invoice is paid, or its customer
reads another language, its document has another name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from chalicelib.application.context import Context
from chalicelib.application.credit_notes import get_credit_note
from chalicelib.application.explanations import explained_to
from chalicelib.application.records import customer_key
from chalicelib.application.upcoming import upcoming_invoice
from chalicelib.domain.credit_note_document import document_of_note
from chalicelib.domain.customer import Customer
from chalicelib.domain.document import Document
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice_document import document_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One entry; `running` is the subtotal after it, for the foot of a page that ends there."""

    title: str
    detail: str
    quantity: str
    rate: str
    amount: str
    running: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """`strong` is what the reader looks for, `aside` counts nothing."""

    label: str
    value: str
    strong: bool = False
    aside: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A document in somebody's words: text only, whatever kind it is. `paper` is a4 or letter; `stamp` is said on
    every page; a column without a heading is not there; `page` has places for {page} and {pages}.
    """

    title: str
    stamp: str
    language: str
    paper: str
    number: str
    seller: tuple[str, ...]
    """The first line is the name."""
    buyer_label: str
    buyer: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    headline: str
    columns: tuple[str, str, str, str]
    """Headings of title, quantity, rate and amount."""
    rows: tuple[Row, ...]
    totals: tuple[Total, ...]
    notes: tuple[str, ...]
    carried: str
    brought: str
    foot: str
    page: str
    file_name: str


class Shelf(Protocol):
    """Where documents are kept. What lies under a name never changes."""

    def has(self, name: str) -> bool: ...

    def put(self, name: str, content: bytes, *, file_name: str) -> None:
        """Keep it; again, it is the same."""
        ...

    def address(self, name: str) -> str:
        """Where anybody can read it for the next minutes."""
        ...


class Press(Protocol):
    """Makes documents. `edition` changes with the look of what it makes."""

    edition: str

    def draw(self, sheet: Sheet) -> bytes:
        """The same sheet is always the same bytes."""
        ...


Word = Callable[[Document, str], Sheet]
"""Puts a document into the words of a language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Printing:
    shelf: Shelf
    press: Press
    word: Word


def invoice_address(ctx: Context, printing: Printing, invoice_id: str) -> str:
    """Where the invoice's document can be read now; it is made unless it is there. Safe to run any number of times
    and at once: whoever makes it, it is the same. NotFoundError.
    """
    invoice, customer = explained_to(ctx, invoice_id)
    return _address(ctx, printing, document_of(invoice), customer.language)


def note_address(ctx: Context, printing: Printing, note_id: str) -> str:
    """The same for a credit note."""
    note = get_credit_note(ctx, note_id)
    invoice, customer = explained_to(ctx, note.invoice_id)
    return _address(ctx, printing, document_of_note(note, invoice), customer.language)


def upcoming_document(ctx: Context, printing: Printing, subscription_id: str) -> bytes:
    """The draft of the invoice to come. It is out of date at once, so it is not kept. NotFoundError,
    InvalidStateError where none is to come.
    """
    draft = upcoming_invoice(ctx, subscription_id)
    customer = ctx.store.get(customer_key(ctx.env, draft.customer_id))
    language = customer.language if isinstance(customer, Customer) else "en"
    return printing.press.draw(_sheet(ctx, printing, document_of(draft), language))


def _address(ctx: Context, printing: Printing, document: Document, language: str) -> str:
    sheet = _sheet(ctx, printing, document, language)
    name = f"{ctx.env}/{document.reference}/{document.id}/{_digest(sheet, printing.press.edition)}.pdf"
    if not printing.shelf.has(name):
        printing.shelf.put(name, printing.press.draw(sheet), file_name=sheet.file_name)
    return printing.shelf.address(name)


def _sheet(ctx: Context, printing: Printing, document: Document, language: str) -> Sheet:
    return printing.word(replace(document, is_test=ctx.env != LIVE), language)


def _digest(sheet: Sheet, edition: str) -> str:
    shown = json.dumps([edition, asdict(sheet)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:32]
