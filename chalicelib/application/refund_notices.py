"""Notices of refunds: whatever the processor has for a payment is taken into our books, whoever made it."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import payment_notices, refunds
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import ProcessorNotice, ReportedRefund
from chalicelib.application.records import child_key
from chalicelib.domain import ids, late_money, refund_rules
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.invoice import Invoice, is_collected
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.refund import Refund, RefundStatus


def settle_refunds(ctx: Context, notice: ProcessorNotice) -> None:
    """Every refund of the payment, as it is at the processor now: ours settled, others written down.

    Absolute, so it may run in any order and any number of times. A payment of which nobody has told us yet is
    settled first. One of ours that is known to have succeeded costs one read, unless it has failed since.
    """
    ours = _ours(ctx, notice.refund_id)
    if ours is not None and ours.status is RefundStatus.SUCCEEDED and notice.kind == "refund.created":
        return
    payment_id = ours.payment_id if ours is not None else _payment_of(ctx, notice)
    for reported in ctx.gateway.refunds_of(notice.reference):
        take_in(ctx, payment_id, reported)


def take_in(ctx: Context, payment_id: str, reported: ReportedRefund) -> Refund:
    """Settle the processor's refund of a payment: ours by its id, another (made in its dashboard) by its reference.

    Safe to run any number of times: the first writes it down, whoever comes later finds it.
    """
    ours = _ours(ctx, reported.refund_id)
    if ours is not None and ours.payment_id == payment_id:
        return refunds.settle(ctx, ours.id, reported.result)
    refund_id = ids.child_id("ref", ids.customer_of(payment_id), "processor", reported.reference)

    def decide() -> Refund | None:
        if ctx.store.get(child_key(Refund, ctx.env, refund_id)) is not None:
            return None
        source = refunds.load_source(ctx, payment_id)
        refund = refunds.drawn_up(ctx, refund_id, source, reported.amount)
        if is_collected(payment_id):
            part = Allocation(source.invoices[0].id, reported.amount)
            refund = replace(refund, allocations=(part,))
        return refunds.stored(ctx, refund_rules.found(source, refund, reported.result, ctx.now))

    return deciding(decide) or refunds.settle(ctx, refund_id, reported.result)


def _ours(ctx: Context, refund_id: str | None) -> Refund | None:
    """By the id in its metadata, which anybody may have written there."""
    try:
        return refunds.get_refund(ctx, refund_id or "")
    except NotFoundError:
        return None


def _payment_of(ctx: Context, notice: ProcessorNotice) -> str:
    """By the ids in the payment's own metadata; a refund's may lack them. NotFoundError: it is tried again."""
    if notice.invoice_id is None:
        located = ctx.gateway.locate(replace(notice, env=None, refund_id=None))
        notice = located or notice
    known = _known(ctx, notice)
    if known is None:
        payment_notices.settle_payment(ctx, replace(notice, kind="payment_intent.succeeded"))
        known = _known(ctx, notice)
    if known is None:
        raise NotFoundError("no such payment", id=notice.reference)
    return known


def _known(ctx: Context, notice: ProcessorNotice) -> str | None:
    assert notice.customer_id is not None
    invoice = ctx.store.get(child_key(Invoice, ctx.env, notice.invoice_id)) if notice.invoice_id else None
    for payment in invoice.payments if invoice is not None else ():
        if payment.reference == notice.reference:
            return payment.id
    late = late_money.late_payment_id(ids.require("cus", notice.customer_id), notice.reference)
    return late if ctx.store.get(child_key(Payment, ctx.env, late)) is not None else None
