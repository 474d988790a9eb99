"""The payment that a change waits for: collected, or given up together with the change."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import collection, coupons, decisions
from chalicelib.application.calling_off import close_attempt
from chalicelib.application.context import Context, deciding
from chalicelib.application.invoices import refuse_unpaid
from chalicelib.application.metered_usage import usage_of
from chalicelib.application.records import account_key
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain import billing, change_steps
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.metered import given_back
from chalicelib.domain.subscription import Subscription


def collect_change(ctx: Context, subscription: Subscription, change_id: str) -> Subscription:
    """Collect the invoice that the change waits for, if it does, and say what came of it."""
    change = subscription.pending
    if change is None or change.change_id != change_id or change.invoice_id is None:
        return subscription
    invoice = collection.collect(ctx, *collection.load(ctx, change.invoice_id))
    if invoice.status is InvoiceStatus.PAID:
        return get_subscription(ctx, subscription.id)
    give_up_if_declined(ctx, subscription.id)
    refuse_unpaid(ctx, invoice)
    return subscription


def give_up_change(ctx: Context, subscription_id: str) -> None:
    """Void the invoice that a change waits for, once the processor can take no money for it any more.

    Safe to run twice. A charge that turns out to have succeeded brings the change into force instead; one that
    cannot be called off yet keeps everything as it is, and is asked about again.
    """
    subscription = get_subscription(ctx, subscription_id)
    change = subscription.pending
    if change is None or change.invoice_id is None:
        return
    asked = collection.load(ctx, change.invoice_id)[0].attempt
    closed = close_attempt(ctx, change.invoice_id)

    def decide() -> None:
        current = get_subscription(ctx, subscription_id)
        if current.pending is None or current.pending.invoice_id != change.invoice_id:
            return
        invoice, _ = collection.load(ctx, str(change.invoice_id))
        latest = invoice.attempt
        is_asked = latest is not None and asked is not None and latest.number == asked.number
        if latest is not None and latest.is_open and not (closed and is_asked):
            later = replace(current, pending=replace(current.pending, at=ctx.now + change_steps.LOOK_AGAIN))
            decisions.commit(
                ctx, current.customer_id, Decision(cause=f"put_off:{current.id}", subscription=later)
            )
            return
        refused = coupons.change_dropped(ctx, _given_up(ctx, current, invoice), current)
        decisions.commit(ctx, current.customer_id, refused)

    deciding(decide)


def give_up_if_declined(ctx: Context, subscription_id: str) -> None:
    """Give up the change whose payment was declined or called off, where a request was killed before it came to
    that. Safe to run twice.
    """
    subscription = get_subscription(ctx, subscription_id)
    if subscription.pending is None or subscription.pending.invoice_id is None:
        return
    attempt = collection.load(ctx, subscription.pending.invoice_id)[0].attempt
    if attempt is None or not attempt.is_open:
        give_up_change(ctx, subscription_id)


def _given_up(ctx: Context, subscription: Subscription, invoice: Invoice) -> Decision:
    account = ctx.store.get(account_key(ctx.env, subscription.customer_id))
    assert account is not None
    assert subscription.pending is not None
    cause = f"change:{subscription.id}:{subscription.pending.change_id}:refused"
    kept, refused = change_steps.given_up(subscription, subscription.pending)
    if invoice.status is not InvoiceStatus.OPEN:
        return Decision(cause=cause, subscription=kept, facts=refused)
    voided = billing.void(invoice, account, ctx.now)
    return Decision(
        cause=cause,
        account=voided.account,
        invoice=voided.invoice,
        subscription=kept,
        also=given_back(usage_of(ctx, subscription, subscription.pending.items), invoice),
        facts=(*voided.facts, *refused),
        postings=voided.postings,
    )
