"""Changing what a subscription holds, by request and by the clock.

A change that is charged now is written down with its invoice first and comes into force in the transaction that
settles the payment; declined, or not paid in time, its invoice is void and nothing has changed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.application import card_limits, collection, coupons, decisions
from chalicelib.application.calling_off import close_attempt
from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context, deciding
from chalicelib.application.invoices import refuse_unpaid
from chalicelib.application.metered_usage import usage_of
from chalicelib.application.records import account_key, child_key
from chalicelib.application.subscription_records import get_subscription, load_buyer, occasion, require_method
from chalicelib.domain import billing, changing, ids
from chalicelib.domain.calendar import anchor_on
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.change import (
    ChangeOrder,
    Target,
    is_large,
    require_changeable,
    require_seats,
    takes_effect,
    target_of,
)
from chalicelib.domain.change_lines import invoice_ids_of_period
from chalicelib.domain.changing import Changed
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import CollectionMethod, Member
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.invoice import Cause, CauseKind, Invoice, InvoiceStatus, invoice_id
from chalicelib.domain.metered import given_back
from chalicelib.domain.metrics import moved
from chalicelib.domain.redeeming import spent_with
from chalicelib.domain.schedule import DueKind, next_due
from chalicelib.domain.subscription import PendingChange, Subscription


def change_subscription(ctx: Context, subscription_id: str, order: ChangeOrder) -> Subscription:
    """Change plan, interval, quantity and add-ons, together and once; answers the subscription as it is then.

    Now, it is prorated and invoiced; what is charged automatically has to be paid first. PaymentDeclinedError: the
    invoice is void and nothing has changed, or (with the address in it) the customer is to confirm the payment.
    PaymentPendingError: the outcome is unknown, and the same request again learns it. Later, it is pending.
    InvalidStateError while another change waits for its payment.
    Safe to run twice: the change's id derives from the request, and a second run goes on where the first stopped.
    """
    change_id = ids.token("change", subscription_id, ctx.request_key, length=ids.CHILD_LENGTH)
    changed = deciding(lambda: _start(ctx, subscription_id, order, change_id))
    return collect_change(ctx, changed, change_id)


def revoke_change(ctx: Context, subscription_id: str) -> Subscription:
    """Take the pending change back. One that waits for its payment is called off at the processor first.

    Safe to run twice: the second time there is none. Where the payment came meanwhile the change is in force.
    """
    subscription = get_subscription(ctx, subscription_id)
    if subscription.pending is not None and subscription.pending.invoice_id is not None:
        give_up_change(ctx, subscription_id)
        return get_subscription(ctx, subscription_id)

    def decide() -> Subscription:
        current = get_subscription(ctx, subscription_id)
        kept, facts = changing.revoked(current)
        cause = f"revoke:{current.id}:{current.version}"
        decision = Decision(cause=cause, subscription=kept, facts=facts)
        return _stored(ctx, coupons.change_dropped(ctx, decision, current))

    return deciding(decide)


def run_change(ctx: Context, subscription_id: str) -> None:
    """The due row of a pending change: one that was planned for this time comes about, one that was not paid in
    time is given up. Safe to run twice: what is not due any more is left alone.
    """
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    due = next_due(subscription) if subscription else None
    if subscription is None or due is None or due.kind is not DueKind.CHANGE or due.at > ctx.now:
        return
    change = subscription.pending
    assert change is not None
    if change.invoice_id is not None:
        give_up_change(ctx, subscription_id)
        return
    started = deciding(lambda: _come_about(ctx, subscription_id, change.change_id))
    if started.pending is not None and started.pending.invoice_id is not None:
        collection.collect(ctx, *collection.load(ctx, started.pending.invoice_id))
        give_up_if_declined(ctx, subscription_id)


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
            later = replace(current, pending=replace(current.pending, at=ctx.now + changing.LOOK_AGAIN))
            decisions.commit(
                ctx, current.customer_id, Decision(cause=f"put_off:{current.id}", subscription=later)
            )
            return
        refused = coupons.change_dropped(ctx, _given_up(ctx, current, invoice), current)
        decisions.commit(ctx, current.customer_id, refused)

    deciding(decide)


def _start(ctx: Context, subscription_id: str, order: ChangeOrder, change_id: str) -> Subscription:
    subscription = get_subscription(ctx, subscription_id)
    if is_known(ctx, subscription, change_id):
        return subscription
    _require_on_time(subscription, ctx.now)
    bought = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    current = current_catalog(ctx)
    target = target_of(subscription, order, bought=bought, current=current, now=ctx.now)
    require_changeable(subscription, order, target)
    _require_seats(ctx, subscription, target)
    at = takes_effect(subscription, order, target, ctx.now)
    change = changing.pending_change(
        target,
        at or ctx.now,
        change_id,
        prorate=order.prorate,
        is_large=is_large(subscription, target, current),
        anchor=anchor_on(order.billing_day, at, subscription.zone) if order.billing_day and at else None,
    )
    redeemed = coupons.redeemed(ctx, replace(subscription, items=target.items), order.coupon)
    change = replace(change, adds=redeemed.redemptions)
    if at is not None:
        planned, facts = changing.scheduled(subscription, change)
        cause = f"change:{subscription.id}:{change_id}:planned"
        decision = redeemed.onto(Decision(cause=cause, subscription=planned, facts=facts))
    else:
        decision = redeemed.onto(decided(ctx, subscription, change, ctx.now))
    return _stored(ctx, coupons.change_dropped(ctx, decision, subscription))


def _require_on_time(subscription: Subscription, now: datetime) -> None:
    """ConflictError while the next period is still to be opened: nothing is left of the one that is over."""
    due = next_due(subscription)
    if due is not None and due.kind is DueKind.RENEWAL and due.at <= now:
        raise ConflictError(
            "the next period is about to begin", fix="repeat the request", subscription=subscription.id
        )


def _come_about(ctx: Context, subscription_id: str, change_id: str) -> Subscription:
    """A planned change, at its time."""
    subscription = get_subscription(ctx, subscription_id)
    change = subscription.pending
    if change is None or change.change_id != change_id or change.invoice_id is not None:
        return subscription
    cause = f"change:{subscription.id}:{change.change_id}:{subscription.version}"
    if subscription.cancellation is not None:  # nobody who leaves is charged for more
        kept, facts = changing.revoked(subscription)
        revoked = Decision(cause=cause, subscription=kept, facts=facts)
        return _stored(ctx, coupons.change_dropped(ctx, revoked, subscription))
    is_charged = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    disputes = is_charged and collection.account_of(ctx, subscription.customer_id).disputes
    if subscription.dunning is not None or disputes:
        later = changing.held_until(subscription, ctx.now)
        return _stored(ctx, Decision(cause=cause, subscription=later))
    return _stored(ctx, decided(ctx, subscription, change, change.at, automatic=True))


def decided(
    ctx: Context,
    subscription: Subscription,
    change: PendingChange,
    at: datetime,
    *,
    automatic: bool = False,
) -> Decision:
    """The change as of `at`: in force with its invoice, or waiting for that to be paid.

    ValidationError where there is nothing to charge; `automatic`: nobody asked now, so that is a decline.
    """
    buyer = load_buyer(ctx, subscription.customer_id)
    catalog = ctx.catalogs.version(ctx.env, change.catalog_version)
    invoices = invoices_of_period(ctx, subscription)
    used = usage_of(ctx, subscription, change.items)
    result = changing.changed(subscription, change, invoices, catalog.proration, at, used)
    cause = f"change:{subscription.id}:{change.change_id}"
    if not result.lines:
        return _in_force(subscription, result, change, Decision(cause=cause, also=result.usages))
    now_due = occasion(ctx, result.subscription, buyer.customer, catalog)
    opened = billing.open_invoice(
        result.subscription,
        card_limits.with_room(ctx, buyer.account, now_due.attempts_per_card),
        result.lines,
        cause=cause_of(change.change_id),
        period=result.subscription.period,
        occasion=now_due,
    )
    decision = Decision(
        cause=cause,
        also=result.usages,
        account=opened.account,
        invoice=opened.invoice,
        facts=opened.facts,
        postings=opened.postings,
    )
    is_charged = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if opened.invoice.status is not InvoiceStatus.OPEN or not is_charged:
        spent = replace(result, subscription=spent_with(result.subscription, opened.redemptions))
        return _in_force(subscription, spent, change, decision)
    if not automatic:
        require_method(subscription, buyer.account)
    waiting = changing.awaiting_payment(
        subscription, change, opened.invoice, ctx.now, redemptions=opened.redemptions
    )
    invoice = begin_attempt(opened.invoice, opened.account, collection.instants(ctx))
    invoice, account = admitted(invoice, opened.account, now_due.attempts_per_card, ctx.now)
    return replace(decision, invoice=invoice, account=account, subscription=waiting)


def _in_force(before: Subscription, result: Changed, change: PendingChange, decision: Decision) -> Decision:
    after, facts = changing.noted(before, result.subscription, change)
    after, movements = moved(after, decision.cause)
    return replace(decision, subscription=after, facts=(*decision.facts, *facts), movements=movements)


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
    kept, refused = changing.given_up(subscription, subscription.pending)
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


def invoices_of_period(ctx: Context, subscription: Subscription) -> list[Invoice]:
    """What was billed for the present period so far, oldest first."""
    keys = [child_key(Invoice, ctx.env, id_) for id_ in invoice_ids_of_period(subscription)]
    return [invoice for invoice in (ctx.store.get_many(keys) if keys else []) if invoice is not None]


def is_known(ctx: Context, subscription: Subscription, change_id: str) -> bool:
    """Whether this request was here before: its change is in force, planned, waiting, or was refused."""
    pending = subscription.pending
    if change_id in subscription.changes or (pending is not None and pending.change_id == change_id):
        return True
    key = child_key(Invoice, ctx.env, invoice_id(subscription.id, cause_of(change_id)))
    invoice = ctx.store.get(key)
    if invoice is not None and invoice.status is InvoiceStatus.VOID:
        refuse_unpaid(ctx, invoice)
    return invoice is not None


def _require_seats(ctx: Context, subscription: Subscription, target: Target) -> None:
    catalog = ctx.catalogs.version(ctx.env, target.catalog_version)
    if target.plan.quantity < subscription.plan.quantity or target.plan.product != subscription.plan.product:
        members = ctx.store.children(Member, ctx.env, subscription.customer_id)
        require_seats(target, members, per_seat=catalog.plan(target.plan.product).per_seat)


def cause_of(change_id: str) -> Cause:
    return Cause(kind=CauseKind.CHANGE, reference=change_id)


def stored(ctx: Context, decision: Decision) -> Decision:
    """The decision, committed."""
    assert decision.subscription is not None
    return decisions.commit(ctx, decision.subscription.customer_id, decision)


def _stored(ctx: Context, decision: Decision) -> Subscription:
    done = stored(ctx, decision).subscription
    assert done is not None
    return done
