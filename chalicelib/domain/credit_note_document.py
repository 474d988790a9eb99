"""What a credit note says on paper: what is given back of which line, the tax in it, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from chalicelib.domain.credit_note import CreditNote, NoteLine
from chalicelib.domain.document import Document, DocumentKind, Entry, Standing, Sum, SumKind
from chalicelib.domain.invoice import Invoice


def document_of_note(note: CreditNote, invoice: Invoice) -> Document:
    """The note about its invoice, which says who sold to whom. Amounts are positive: what is given back."""
    return Document(
        kind=DocumentKind.CREDIT_NOTE,
        standing=Standing.CREDITED,
        id=note.id,
        number=note.number,
        about=invoice.number,
        reference=note.customer_id,
        currency=note.currency,
        zone=invoice.zone,
        issued_at=note.at,
        amount=note.total,
        at=note.at,
        seller=invoice.seller,
        buyer=invoice.buyer,
        entries=tuple(_entries(note)),
        sums=tuple(_sums(note)),
        tax_notes=tuple(_tax_notes(note, invoice)),
    )


def _entries(note: CreditNote) -> Iterator[Entry]:
    """Without the tax that comes on top; discounts are off already."""
    is_taxed = any(_is_taxed(line) for line in note.lines)
    for line in note.lines:
        yield Entry(
            title=line.description,
            amount=line.total if line.tax_inclusive else line.total - line.tax,
            tax_rate=line.tax_rate if is_taxed else None,
            period=line.period,
        )


def _sums(note: CreditNote) -> Iterator[Sum]:
    taxes = list(_taxes(note))
    added = [tax for tax in taxes if tax.kind is SumKind.TAX]
    if added:
        yield Sum(kind=SumKind.SUBTOTAL, amount=note.total - sum(tax.amount for tax in added))
    yield from added
    yield Sum(kind=SumKind.CREDITED_TOTAL, amount=note.total)
    yield from (tax for tax in taxes if tax.kind is SumKind.TAX_INCLUDED)
    parts = (
        (SumKind.APPLIED, note.applied),
        (SumKind.TO_ACCOUNT, note.credited),
        (SumKind.TO_PAYER, note.refunded),
    )
    yield from (Sum(kind=kind, amount=amount) for kind, amount in parts if amount)


def _taxes(note: CreditNote) -> Iterator[Sum]:
    taxed = sorted((line for line in note.lines if _is_taxed(line)), key=_rate)
    for (inclusive, _, rate), lines in groupby(taxed, _rate):
        found = list(lines)
        yield Sum(
            kind=SumKind.TAX_INCLUDED if inclusive else SumKind.TAX,
            amount=sum(line.tax for line in found),
            percent=rate,
            base=sum(line.total - line.tax for line in found),
        )


def _is_taxed(line: NoteLine) -> bool:
    return line.tax != 0 or line.tax_rate != "0"


def _rate(line: NoteLine) -> tuple[bool, int, str]:
    """Shorter first: 5.5 would come after 20."""
    return line.tax_inclusive, len(line.tax_rate.partition(".")[0]), line.tax_rate


def _tax_notes(note: CreditNote, invoice: Invoice) -> Iterator[str]:
    credited = {line.line_id for line in note.lines}
    yield from dict.fromkeys(line.tax_note for line in invoice.lines if line.tax_note and line.id in credited)
