"""Changing what a subscription holds, by request and by the clock.

A change that is charged now is written down with its invoice first and comes into force in the transaction that
settles the payment; declined, or not paid in time, its invoice is void and nothing has changed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.application import collection, coupons
from chalicelib.application.catalog import current_catalog
from chalicelib.application.change_decisions import decided, is_known, stored
from chalicelib.application.change_payments import collect_change, give_up_change, give_up_if_declined
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain import change_steps, ids
from chalicelib.domain.calendar import anchor_on
from chalicelib.domain.change import (
    ChangeOrder,
    Target,
    is_large,
    require_changeable,
    require_seats,
    takes_effect,
    target_of,
)
from chalicelib.domain.customer import CollectionMethod, Member
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.schedule import DueKind, next_due
from chalicelib.domain.subscription import Subscription


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
        kept, facts = change_steps.revoked(current)
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
    change = change_steps.pending_change(
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
        planned, facts = change_steps.scheduled(subscription, change)
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
        kept, facts = change_steps.revoked(subscription)
        revoked = Decision(cause=cause, subscription=kept, facts=facts)
        return _stored(ctx, coupons.change_dropped(ctx, revoked, subscription))
    is_charged = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    disputes = is_charged and collection.account_of(ctx, subscription.customer_id).disputes
    if subscription.dunning is not None or disputes:
        later = change_steps.held_until(subscription, ctx.now)
        return _stored(ctx, Decision(cause=cause, subscription=later))
    return _stored(ctx, decided(ctx, subscription, change, change.at, automatic=True))


def _require_seats(ctx: Context, subscription: Subscription, target: Target) -> None:
    catalog = ctx.catalogs.version(ctx.env, target.catalog_version)
    if target.plan.quantity < subscription.plan.quantity or target.plan.product != subscription.plan.product:
        members = ctx.store.children(Member, ctx.env, subscription.customer_id)
        require_seats(target, members, per_seat=catalog.plan(target.plan.product).per_seat)


def _stored(ctx: Context, decision: Decision) -> Subscription:
    done = stored(ctx, decision).subscription
    assert done is not None
    return done
