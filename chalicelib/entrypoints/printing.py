"""A document in the words of a language: labels, dates, amounts and sentences, ready to be drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from chalicelib.application.documents import Row, Sheet, Total
from chalicelib.domain.calendar import local_day
from chalicelib.domain.catalog import Party
from chalicelib.domain.document import Document, DocumentKind, Entry, Standing, Sum, SumKind
from chalicelib.entrypoints.explaining import Writer
from chalicelib.entrypoints.formatting import (
    DEFAULT_LANGUAGE,
    format_country,
    format_day,
    format_number,
    format_percent,
)
from chalicelib.entrypoints.print_words import Words, words_of

_LETTER_PAPER: Final = frozenset("US CA MX CL CO CR DO GT PA PH PR SV VE".split())
_OTHER_SCRIPTS: Final = frozenset(
    "am ar as bn ckb dz fa gu he hi hy ka km kn ks lo ml mr my ne or pa ps sd si ta te th ti ug ur yi".split()
)
"""Their dates and amounts are written with letters that the document's font does not have: English instead."""
_STRONG: Final = {SumKind.DUE, SumKind.REMAINING, SumKind.CREDITED_TOTAL}
_ASIDE: Final = {SumKind.TAX_INCLUDED, SumKind.REFUND, SumKind.RETURNED}


def sheet_of(document: Document, language: str) -> Sheet:
    """The document for a reader of this language (a tag such as `de-AT`)."""
    if language.partition("-")[0].lower() in _OTHER_SCRIPTS:
        language = DEFAULT_LANGUAGE
    return _Printer(document, language).sheet()


class _Printer:
    def __init__(self, document: Document, language: str) -> None:
        self._document = document
        self._language = language
        self._words: Words = words_of(language)
        self._writer = Writer(document.currency, document.zone, language)

    def sheet(self) -> Sheet:
        document, words = self._document, self._words
        seller = self._party(document.seller)
        return Sheet(
            title=words.credit_note if document.kind is DocumentKind.CREDIT_NOTE else words.invoice,
            stamp=self._stamp(),
            language=self._language,
            paper="letter" if document.seller.country in _LETTER_PAPER else "a4",
            number=document.number,
            seller=seller,
            buyer_label=words.bill_to,
            buyer=self._party(document.buyer),
            facts=tuple(self._facts()),
            headline=self._headline(),
            columns=self._columns(),
            rows=tuple(self._rows()),
            totals=tuple(self._total(each) for each in document.sums),
            notes=tuple(self._notes()),
            carried=words.carried,
            brought=words.brought,
            foot=" · ".join(part for part in (document.seller.name, document.seller.email) if part),
            page=words.page,
            file_name=f"{_plain(document.number) or 'draft'}.pdf",
        )

    def _stamp(self) -> str:
        document, words = self._document, self._words
        standing = {Standing.DRAFT: words.draft, Standing.VOID: words.void}.get(document.standing, "")
        return " · ".join(part for part in (words.test if document.is_test else "", standing) if part)

    def _party(self, party: Party) -> tuple[str, ...]:
        """Name, address with the country's name, address for mail, tax ids. The name is empty where there is none."""
        country = format_country(party.country, self._language)
        lines = [line for line in party.address if line != party.country]
        if country and country not in lines:
            lines.append(country)
        if party.email and party.email != party.name:
            lines.append(party.email)
        lines += [f"{self._words.tax_id}: {tax_id}" for tax_id in party.tax_ids]
        return (party.name, *lines)

    def _facts(self) -> Iterator[tuple[str, str]]:
        document, words = self._document, self._words
        if document.number:
            yield words.number, document.number
        if document.about:
            yield words.about, document.about
        yield words.issued, self._day(document.issued_at)
        if document.due_at is not None and document.standing is not Standing.DRAFT:
            yield words.due, self._day(document.due_at)
        if document.period is not None:
            yield words.period, self._writer.days(document.period, with_year=True)
        if not document.buyer.name:
            yield words.customer, document.reference

    def _headline(self) -> str:
        words = self._words
        text = {
            Standing.DRAFT: words.headline_draft,
            Standing.OPEN: words.headline_open,
            Standing.PAID: words.headline_paid,
            Standing.VOID: words.headline_void,
            Standing.SETTLED: words.headline_settled,
            Standing.CREDITED: words.headline_credited,
        }[self._document.standing]
        return text.format(
            amount=self._writer.money(self._document.amount), date=self._day(self._document.at)
        )

    def _columns(self) -> tuple[str, str, str, str]:
        entries, words = self._document.entries, self._words
        counted = any(entry.quantity is not None for entry in entries)
        taxed = any(entry.tax_rate is not None for entry in entries)
        return (
            words.description,
            words.quantity if counted else "",
            words.tax_rate if taxed else "",
            words.amount,
        )

    def _rows(self) -> Iterator[Row]:
        running = 0
        for entry in self._document.entries:
            running += entry.amount
            yield Row(
                title=entry.title,
                detail=self._detail(entry),
                quantity="" if entry.quantity is None else format_number(entry.quantity, self._language),
                rate="" if entry.tax_rate is None else format_percent(entry.tax_rate, self._language),
                amount=self._writer.money(entry.amount),
                running=self._writer.money(running),
            )

    def _detail(self, entry: Entry) -> str:
        """The entry's sentence without what its title says already."""
        if entry.line is None:
            return self._writer.days(entry.period, with_year=True) if entry.period else ""
        return self._writer.sentence(entry.line).removeprefix(entry.title).lstrip(",: ")

    def _total(self, part: Sum) -> Total:
        return Total(
            label=self._label(part),
            value=self._writer.money(part.amount),
            strong=part.kind in _STRONG,
            aside=part.kind in _ASIDE,
        )

    def _label(self, part: Sum) -> str:
        words = self._words
        if part.kind is SumKind.DISCOUNT:
            return self._discount(part)
        if part.kind in (SumKind.TAX, SumKind.TAX_INCLUDED):
            text = words.tax if part.kind is SumKind.TAX else words.tax_included
            percent = format_percent(part.percent or "0", self._language)
            return text.format(percent=percent, base=self._writer.money(part.base))
        if part.kind is SumKind.PAYMENT:
            return self._payment(part)
        return {
            SumKind.SUBTOTAL: words.subtotal,
            SumKind.CREDIT_GRANTED: words.credit_granted,
            SumKind.TOTAL: words.total,
            SumKind.CREDIT_APPLIED: words.credit_applied,
            SumKind.CARRIED_IN: words.carried_in,
            SumKind.CARRIED_OUT: words.carried_out,
            SumKind.DUE: words.amount_due,
            SumKind.REFUND: words.refunded,
            SumKind.TAKEN_BACK: words.taken_back,
            SumKind.RETURNED: words.returned,
            SumKind.GIVEN_UP: words.given_up,
            SumKind.REMAINING: words.remaining,
            SumKind.CREDITED_TOTAL: words.credited_total,
            SumKind.APPLIED: words.applied,
            SumKind.TO_ACCOUNT: words.to_account,
            SumKind.TO_PAYER: words.to_payer,
        }[part.kind]

    def _discount(self, part: Sum) -> str:
        """Numbered where there are several: they apply one after the other."""
        order = f"{part.order}. " if part.order else ""
        percent = f" ({format_percent(part.percent, self._language)})" if part.percent else ""
        return order + self._words.coupon.format(name=part.name) + percent

    def _payment(self, part: Sum) -> str:
        method = self._words.methods.get(part.name, part.name.replace("_", " ").capitalize())
        if part.last4:
            method = self._words.ending.format(method=method, last4=part.last4)
        date = self._day(part.at) if part.at is not None else ""
        return self._words.paid.format(date=date, method=method)

    def _notes(self) -> Iterator[str]:
        for note in self._document.tax_notes:
            yield self._words.tax_notes.get(note, note)
        if self._document.standing is Standing.DRAFT:
            yield self._words.draft_note
        if self._document.is_test:
            yield self._words.test_note

    def _day(self, at: datetime) -> str:
        return format_day(local_day(at, self._document.zone), self._language)


def _plain(number: str) -> str:
    """Fit for a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", number).strip("-.")
