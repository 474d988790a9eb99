"""What a document says on paper: its entries, and how they come to what is due. Numbers and facts only.

How they are written in a language is decided where they are printed. Invoices and credit notes have the same shape,
so they are printed by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import Party
from chalicelib.domain.invoice import Line


class DocumentKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class Standing(StrEnum):
    """DRAFT and VOID are said on every page; the others decide the sentence about what is to be paid."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    SETTLED = "settled"
    """Nothing is to be paid, and nothing was."""
    CREDITED = "credited"
    """It gives something back: a credit note."""


class SumKind(StrEnum):
    SUBTOTAL = "subtotal"
    DISCOUNT = "discount"
    TAX = "tax"
    CREDIT_GRANTED = "credit_granted"
    TOTAL = "total"
    TAX_INCLUDED = "tax_included"
    """Says how much of the total is tax; it counts nothing."""
    CREDIT_APPLIED = "credit_applied"
    CARRIED_IN = "carried_in"
    CARRIED_OUT = "carried_out"
    DUE = "due"
    PAYMENT = "payment"
    REFUND = "refund"
    """Says what of a payment has gone back; it counts nothing."""
    TAKEN_BACK = "taken_back"
    """What the customer's bank took back of what was paid: it is owed again."""
    RETURNED = "returned"
    """Says what credit notes gave back of what was paid; it counts nothing."""
    GIVEN_UP = "given_up"
    REMAINING = "remaining"
    CREDITED_TOTAL = "credited_total"
    APPLIED = "applied"
    """Of a credit note: what it took off its invoice, what became credit, what goes back to who paid."""
    TO_ACCOUNT = "to_account"
    TO_PAYER = "to_payer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """One row below the entries. `amount` is signed as it counts, in minor units.

    Of a discount: `name` is the coupon, `order` its place, `percent` its terms. Of a tax: `percent` and `base`. Of a
    payment: when it was, its `name` (a card's brand, or how it was recorded) and `last4`.
    """

    kind: SumKind
    amount: int
    name: str = ""
    order: int = 0
    percent: str | None = None
    base: int = 0
    at: datetime | None = None
    last4: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line. `quantity` is None where it counts money or nothing at all; `tax_rate` None where no line is taxed.

    `line` is what its sentence is made from; without one `period` is all there is to say.
    """

    title: str
    amount: int
    quantity: int | None = None
    tax_rate: str | None = None
    line: Line | None = None
    period: Period | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """An invoice (or another `kind`) to be printed. `amount` is what its headline speaks of, `at` the day of that:
    when it is due, was paid, or will be billed. `reference` is the customer's id, `about` the number of the invoice
    that a credit note is about; `tax_notes` say why none is due.
    """

    kind: DocumentKind
    standing: Standing
    id: str
    number: str
    reference: str
    currency: str
    zone: str
    issued_at: datetime
    amount: int
    at: datetime
    seller: Party
    buyer: Party
    entries: tuple[Entry, ...]
    sums: tuple[Sum, ...]
    due_at: datetime | None = None
    period: Period | None = None
    tax_notes: tuple[str, ...] = ()
    about: str = ""
    is_test: bool = False
    """Of a sandbox: no money moves, and every page says so."""
