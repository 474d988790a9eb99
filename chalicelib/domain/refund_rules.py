"""What may be refunded, and what an outcome means: decisions about one refund and the payment it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain import refund_books
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import InvalidStateError, NotFoundError, ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact
from chalicelib.domain.payment import Allocation
from chalicelib.domain.refund import (
    FIRST_LOOK,
    LONGEST_LOOK,
    PENDING_LOOK,
    Refund,
    RefundResult,
    RefundStatus,
    Source,
    given_back,
    left_of,
    numbered,
    records,
    refund_key,
    released,
    reserved,
    share_of,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What to give back: `amount` minor units (None: what is left) of the invoice's part of the payment, of all
    invoices that it paid (None), or of what was paid over and is still account credit.
    """

    amount: int | None = None
    invoice_id: str | None = None
    from_credit: bool = False


def parts(source: Source, wanted: Wanted) -> tuple[int, tuple[Allocation, ...]]:
    """(amount, from which invoices): never more than is left, however much is under way.

    InvalidStateError when nothing is left or the invoice is still open, ValidationError for too much,
    NotFoundError for an invoice that it did not pay.
    """
    if wanted.from_credit or not source.payment.allocations:
        return _amount(source, wanted, _left_as_credit(source)), ()
    left = tuple(_left_by_invoice(source, wanted.invoice_id))
    amount = _amount(source, wanted, sum(part.amount for part in left))
    return amount, tuple(_first(amount, left))


def begun(source: Source, refund: Refund) -> Decision:
    """The refund written down before the processor is asked, its amount reserved and its key frozen."""
    number = source.payment.refunds + 1
    refund = replace(refund, key=refund_key(refund.payment_id, number), look_at=refund.at)
    return Decision(
        cause=f"refund:{refund.id}",
        also=(refund, *records(source, reserved(source, refund))),
        facts=(Fact("refund.created", refund.id, refund_data(refund)),),
    )


def begun_anew(source: Source, refund: Refund, machine_now: datetime) -> Decision:
    """The same refund under the next key: only for one whose key is too old to repeat, and of which a look-up
    found nothing.
    """
    key = refund_key(refund.payment_id, source.payment.refunds + 1)
    anew = replace(refund, key=key, written_at=machine_now, not_before=None, tries=0)
    return Decision(cause="", also=(anew, *records(source, numbered(source, refund))))


def settled(
    source: Source, refund: Refund, result: RefundResult, *, now: datetime, machine_now: datetime
) -> Decision | None:
    """What an outcome means for a refund that is written down; None when it is known already, or overtaken.

    May run any number of times, from the request, the due row, a webhook or the reconciler: a refund only moves
    forward. No answer moves nothing but the time of the next look.
    """
    if not refund.is_news(result):
        return _looked(refund, result, now, machine_now)
    return _outcome(source, source, refund, result, now)


def found(source: Source, refund: Refund, result: RefundResult, now: datetime) -> Decision:
    """A refund that is first heard of with its outcome: it was made in the processor's own dashboard, or by hand.

    What the processor did is taken as it is, not judged.
    """
    return _outcome(source, reserved(source, refund), refund, result, now)


def refund_data(refund: Refund) -> dict[str, object]:
    """What events and mails say of a refund."""
    return {
        "refund": refund.id,
        "payment": refund.payment_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.reason,
        "credit_note": refund.credit_note or None,
        "invoice": refund.allocations[0].invoice_id if refund.allocations else None,
        "allocations": [{"invoice": part.invoice_id, "amount": part.amount} for part in refund.allocations],
    }


def _outcome(stored: Source, held: Source, refund: Refund, result: RefundResult, now: datetime) -> Decision:
    """`stored` as it is on record, `held` with the refund's amount reserved."""
    after, data = held, refund_data(refund)
    known = replace(
        refund,
        status=result.status,
        reference=result.reference or refund.reference,
        failure=result.failure,
        settled_at=now,
        look_at=None,
        not_before=None,
    )
    match result.status:
        case RefundStatus.SUCCEEDED:
            type_, subject, after = "payment.refunded", refund.payment_id, given_back(held, refund)
        case RefundStatus.FAILED:
            type_, subject, after = "refund.failed", refund.id, released(held, refund)
            data |= {"failure": result.failure, "was_refunded": refund.status is RefundStatus.SUCCEEDED}
        case _:
            type_, subject = "refund.pending", refund.id
            known = replace(known, settled_at=None, look_at=now + PENDING_LOOK)
    return Decision(
        cause=f"refund:{refund.id}:{result.status}",
        also=(known, *records(stored, after)),
        facts=(Fact(type_, subject, data),),
        postings=refund_books.postings(stored, after),
    )


def _looked(refund: Refund, result: RefundResult, now: datetime, machine_now: datetime) -> Decision | None:
    """No news: an open refund is looked at again later."""
    if result.status is not refund.status or not refund.is_open:
        return None
    later = replace(refund, tries=refund.tries + 1)
    if refund.status is RefundStatus.IN_FLIGHT:
        wait = min(FIRST_LOOK * 2**refund.tries, LONGEST_LOOK)
        return Decision(cause="", also=(replace(later, not_before=machine_now + wait),))
    if refund.look_at is not None and refund.look_at > now:
        return None
    return Decision(cause="", also=(replace(later, look_at=now + PENDING_LOOK),))


def _left_by_invoice(source: Source, wanted: str | None) -> Iterator[Allocation]:
    """What is left of each part. What is still open is owed: it takes its money back once it is settled."""
    named = [each for each in source.invoices if wanted in (None, each.id)]
    if not named:
        raise NotFoundError("this payment did not pay that invoice", field="invoice", id=wanted or "")
    closed = [each for each in named if each.status is not InvoiceStatus.OPEN]
    if not closed:
        raise InvalidStateError(
            "the invoice is not paid yet, and waits for the rest",
            fix="refund once it is paid or written off",
            invoice=named[0].id,
        )
    for invoice in closed:
        left = left_of(share_of(invoice, source.payment.id)) - _turned_into_credit(invoice)
        yield Allocation(invoice.id, max(0, left))


def _turned_into_credit(invoice: Invoice) -> int:
    """What credit notes gave back as credit, beyond the credit that it was paid with: that money is given back."""
    refunds = sum(share.noted + share.noting for share in invoice.payments)
    return max(0, invoice.returned + invoice.lent - refunds - invoice.credit_applied)


def _left_as_credit(source: Source) -> int:
    """What the payment left as credit and nobody has used."""
    payment = source.payment
    return sum(
        each.amount for each in source.account.credits if each.source == payment.id and each.amount > 0
    )


def _amount(source: Source, wanted: Wanted, left: int) -> int:
    if left <= 0:
        raise InvalidStateError("nothing is left of this payment to refund", payment=source.payment.id)
    if wanted.amount is not None and wanted.amount > left:
        raise ValidationError(
            f"only {left} is left to refund",
            field="amount",
            fix=f"at most {left}, or leave it out for all of it",
            payment=source.payment.id,
        )
    return left if wanted.amount is None else wanted.amount


def _first(amount: int, left: tuple[Allocation, ...]) -> Iterator[Allocation]:
    """The amount out of the parts, in their order."""
    for part in left:
        taken = min(amount, part.amount)
        if taken > 0:
            amount -= taken
            yield Allocation(part.invoice_id, taken)
