"""What the payment processor reports, by webhook or read back hourly: applied once, however often it comes.

A notice says only where to look. Its handler looks the object up and brings our state in line with it, through the
same doors as the worker's own calls; whatever is settled already costs one read and no call to the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from chalicelib.application import disputes, method_notices, payment_notices, refund_notices
from chalicelib.application.context import Context
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.errors import ForbiddenError
from chalicelib.domain.journal import Actor, ActorKind

Handler = Callable[[Context, ProcessorNotice], None]
"""May be run any number of times, in any order and at once. `customer_id` is set; of another environment it never
hears."""

HANDLERS: Final[Mapping[str, Handler]] = {
    "payment_intent.succeeded": payment_notices.settle_payment,
    "payment_intent.processing": payment_notices.settle_payment,
    "payment_intent.payment_failed": payment_notices.settle_payment,
    "payment_intent.requires_action": payment_notices.settle_payment,
    "payment_intent.canceled": payment_notices.settle_payment,
    "setup_intent.succeeded": payment_notices.complete_page,
    "checkout.session.completed": payment_notices.complete_page,
    "checkout.session.async_payment_succeeded": payment_notices.complete_page,
    "checkout.session.async_payment_failed": payment_notices.complete_page,
    "checkout.session.expired": payment_notices.complete_page,
    "customer.deleted": method_notices.forget_customer,
    "payment_method.updated": method_notices.refresh_method,
    "payment_method.automatically_updated": method_notices.refresh_method,
    "payment_method.detached": method_notices.forget_method,
    "charge.refunded": refund_notices.settle_refunds,
    "refund.created": refund_notices.settle_refunds,
    "refund.updated": refund_notices.settle_refunds,
    "refund.failed": refund_notices.settle_refunds,
    "charge.dispute.created": disputes.apply_notice,
    "charge.dispute.updated": disputes.apply_notice,
    "charge.dispute.funds_withdrawn": disputes.apply_notice,
    "charge.dispute.funds_reinstated": disputes.apply_notice,
    "charge.dispute.closed": disputes.apply_notice,
}
"""By the processor's event type. One that is not here is ignored."""


def apply_notice(ctx: Context, notice: ProcessorNotice) -> None:
    """Bring our state in line with what the notice leads to. Types that we do not use are ignored.

    Safe to run any number of times, in any order and at once: an attempt is settled once, a checkout completed
    once, a report recorded once. What it writes names the event as its actor, in the same transaction. A notice of
    another environment raises ForbiddenError.
    """
    if notice.env != ctx.env:
        raise ForbiddenError("a notice of another environment", env=notice.env or "")
    handler = HANDLERS.get(notice.kind)
    if handler is not None and notice.customer_id is not None:
        handler(_on_behalf_of(notice, ctx), notice)


def _on_behalf_of(notice: ProcessorNotice, ctx: Context) -> Context:
    if ctx.actor.kind is not ActorKind.PROCESSOR:
        return ctx
    return replace(ctx, actor=Actor(ActorKind.PROCESSOR, notice.id))
