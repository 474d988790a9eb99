"""A credit note as answered."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.domain.credit_note import CreditNote, NoteLine
from chalicelib.domain.refund import Refund
from chalicelib.entrypoints.http.payments import refund_view
from chalicelib.entrypoints.http.schemas.credit_notes import CreditNoteView, NoteLineView
from chalicelib.entrypoints.http.schemas.subscriptions import period_view


def credit_note_view(note: CreditNote, known: Sequence[Refund] = ()) -> CreditNoteView:
    """`known` are the customer's refunds."""
    return CreditNoteView(
        id=note.id,
        customer=note.customer_id,
        subscription=note.subscription_id,
        invoice=note.invoice_id,
        number=note.number,
        currency=note.currency,
        at=note.at,
        reason=note.reason,
        lines=[_line(line) for line in note.lines],
        total=note.total,
        tax=note.tax,
        applied=note.applied,
        credited=note.credited,
        refunded=note.refunded,
        refunds=[refund_view(each) for each in known if each.credit_note == note.id],
    )


def _line(line: NoteLine) -> NoteLineView:
    return NoteLineView(
        line=line.line_id,
        description=line.description,
        total=line.total,
        tax=line.tax,
        discount=line.discount,
        credited_before=line.before,
        tax_rate=line.tax_rate,
        tax_inclusive=line.tax_inclusive,
        numerator=line.numerator if line.denominator else None,
        denominator=line.denominator or None,
        unit=line.unit,
        period=period_view(line.period),
    )
