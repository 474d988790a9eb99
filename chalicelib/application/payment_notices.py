"""Notices of payments and hosted pages: the attempt or the page is looked up and settled, once."""

from __future__ import annotations

from chalicelib.application import checkout, collection
from chalicelib.application.context import Context, deciding
from chalicelib.application.late_money import return_late
from chalicelib.application.ports import ProcessorNotice
from chalicelib.application.records import child_key
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Attempt, AttemptStatus, Outcome


def complete_page(ctx: Context, notice: ProcessorNotice) -> None:
    """Completed, expired or paid: the page's present state decides, not the notice."""
    if notice.checkout_id is not None:
        checkout.complete_checkout(ctx, notice.checkout_id)


def settle_payment(ctx: Context, notice: ProcessorNotice) -> None:
    """The attempt's charge, looked up and settled unless it is settled. A read at half price may miss a
    settlement, and never invents one.
    """
    if notice.checkout_id is not None:
        complete_page(ctx, notice)
        return
    if notice.invoice_id is None or notice.attempt is None:
        return
    (hint,) = ctx.store.get_many([child_key(Invoice, ctx.env, notice.invoice_id)], consistent=False)
    attempt = _attempt(hint, notice.attempt) if hint is not None else None
    if attempt is not None and not attempt.is_open:
        claimed = notice.kind == "payment_intent.succeeded"
        if not claimed or attempt.status is AttemptStatus.SUCCEEDED:
            return
    _look_up(ctx, notice.invoice_id, notice.attempt)


def _look_up(ctx: Context, invoice_id: str, number: int) -> None:
    invoice, subscription = collection.load(ctx, invoice_id)
    attempt = _attempt(invoice, number)
    if attempt is None or attempt.status is AttemptStatus.SUCCEEDED:
        return
    result = ctx.gateway.find_charge(collection.charge_request(ctx, invoice, attempt))
    if result is None or result.outcome is Outcome.UNKNOWN:
        return  # nothing was learned; the invoice's own row looks again
    if attempt.is_open:
        collection.settle(ctx, invoice, subscription, result)
    elif result.outcome is Outcome.SUCCEEDED:
        deciding(lambda: return_late(ctx, invoice, result))  # for an attempt that was given up


def _attempt(invoice: Invoice, number: int) -> Attempt | None:
    return next((attempt for attempt in invoice.attempts if attempt.number == number), None)
