"""Coupons redeemed on a subscription, taken off it, and given back where nothing was paid (offered: `coupon_offers`).

Every way to redeem goes through `redeemed`, and what it answers is committed with what it is redeemed on: the
limits hold because the counts are written on condition that nobody else has written them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.application import decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.coupon_offers import counts_of, find
from chalicelib.application.records import child_key
from chalicelib.domain import ids, redeeming
from chalicelib.domain.coupon import (
    CouponUse,
    read_code,
    use_id,
)
from chalicelib.domain.decision import Decision
from chalicelib.domain.discount import Redemption
from chalicelib.domain.errors import (
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact
from chalicelib.domain.metrics import moved
from chalicelib.domain.subscription import Status, Subscription

MOST_COUPONS = 10
"""How many one subscription has at the same time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Redeemed:
    """The subscription with the coupon on it, and what has to be committed for that."""

    subscription: Subscription
    redemptions: tuple[Redemption, ...] = ()
    records: tuple[Any, ...] = ()
    facts: tuple[Fact, ...] = ()

    def onto(self, decision: Decision) -> Decision:
        return replace(decision, also=decision.also + self.records, facts=decision.facts + self.facts)


def require_offered(ctx: Context, code: str) -> None:
    """ValidationError for a code that nobody can redeem now; whether this customer can is known with their order."""
    offered = find(ctx, code)
    coupon = offered.coupon if offered is not None else None
    over = coupon is not None and coupon.valid_until is not None and ctx.now >= coupon.valid_until
    if offered is None or offered.archived_at is not None or over:
        raise ValidationError(f"there is no coupon {code}", field="coupon", fix="check the spelling")


def redeemed(ctx: Context, subscription: Subscription, code: str | None) -> Redeemed:
    """The coupon with this code redeemed on the subscription (or draft, or what it is about to become): nothing is
    written here. None redeems nothing.

    ValidationError for a code that there is none of, InvalidStateError where it may not be redeemed. Reads anew each
    time, so it belongs into what `deciding` repeats: of those who want the last one, one commits.
    """
    if code is None:
        return Redeemed(subscription=subscription)
    offered = find(ctx, read_code(code))
    if offered is None:
        raise ValidationError(f"there is no coupon {code}", field="coupon", fix="check the spelling")
    if len(subscription.redemptions) >= MOST_COUPONS:
        raise InvalidStateError(f"a subscription has at most {MOST_COUPONS} coupons", field="coupon")
    customer = subscription.customer_id
    taking = redeeming.Taking(
        subscription=subscription,
        counts=counts_of(ctx, read_code(code)),
        uses=ctx.store.children(CouponUse, ctx.env, customer),
        has_paid=offered.coupon.first_time and _has_paid(ctx, customer),
    )
    taken = redeeming.taken(offered, taking, ctx.now)
    return Redeemed(
        subscription=replace(subscription, redemptions=(*subscription.redemptions, taken.redemption)),
        redemptions=(taken.redemption,),
        records=(taken.count, taken.use),
        facts=(taken.fact,),
    )


def apply_coupon(ctx: Context, subscription_id: str, code: str) -> Subscription:
    """One more coupon on a running subscription, after those that it has: from the next invoice on.

    Safe to run twice: one that it has already stays as it is.
    """

    def decide() -> Subscription:
        subscription = _running(ctx, subscription_id)
        if _held(subscription, code) is not None:
            return subscription
        done = redeemed(ctx, subscription, code)
        cause = f"coupon:{subscription.id}:{read_code(code)}:{subscription.version}"
        after, movements = moved(done.subscription, cause, "coupon")
        decision = Decision(cause=cause, subscription=after, movements=movements)
        return _stored(ctx, done.onto(decision))

    return deciding(decide)


def remove_coupon(ctx: Context, subscription_id: str, code: str) -> Subscription:
    """Take a coupon off: the next invoice is without it. It stays redeemed. NotFoundError where it is not on it."""

    def decide() -> Subscription:
        subscription = _running(ctx, subscription_id)
        held = _held(subscription, code)
        if held is None:
            raise NotFoundError("this coupon is not on the subscription", id=code)
        cause = f"coupon:{subscription.id}:{read_code(code)}:{subscription.version}"
        after, movements = moved(redeeming.without(subscription, held), cause)
        ended = redeeming.ended_fact(subscription, held, "removed")
        return _stored(ctx, Decision(cause=cause, subscription=after, facts=(ended,), movements=movements))

    return deciding(decide)


def released(
    ctx: Context, decision: Decision, before: Subscription, invoice: Invoice | None = None
) -> Decision:
    """The decision that gives up a subscription whose first payment did not come, with its coupons given back. One
    that had run before keeps them, without what they were spent on the invoice that is void now.
    """
    after = decision.subscription
    assert after is not None
    if before.started_at is None:
        decision = _returned(ctx, decision, before, before.redemptions)
        return replace(decision, subscription=replace(after, redemptions=()))
    if invoice is None or invoice.status is not InvoiceStatus.OPEN:
        return decision
    kept = redeeming.unspent(before.redemptions, invoice)
    return replace(decision, subscription=replace(after, redemptions=kept))


def released_where_expired(ctx: Context, decision: Decision, before: Subscription) -> Decision:
    """The decision with the coupons given back if it gives the subscription up."""
    after = decision.subscription
    expired = after is not None and after.status is Status.INCOMPLETE_EXPIRED
    return released(ctx, decision, before) if expired else decision


def change_dropped(ctx: Context, decision: Decision, before: Subscription) -> Decision:
    """The decision that drops the subscription's pending change, with the coupons that came with it given back."""
    adds = before.pending.adds if before.pending is not None else ()
    return _returned(ctx, decision, before, adds)


def _returned(
    ctx: Context, decision: Decision, subscription: Subscription, redemptions: Iterable[Redemption]
) -> Decision:
    for redemption in redemptions:
        code = read_code(redemption.coupon.id)
        use = ctx.store.get(child_key(CouponUse, ctx.env, use_id(subscription.customer_id, code)))
        counts = [] if use is None else [each for each in counts_of(ctx, code) if each.shard == use.shard]
        if use is None or not counts or use.returned_at or use.subscription_id != subscription.id:
            continue
        back, count, fact = redeeming.given_back(subscription, redemption, use, counts[0], ctx.now)
        decision = replace(decision, also=(*decision.also, back, count), facts=(*decision.facts, fact))
    return decision


def _has_paid(ctx: Context, customer_id: str) -> bool:
    return any(invoice.amount_paid for invoice in ctx.store.children(Invoice, ctx.env, customer_id))


def _held(subscription: Subscription, code: str) -> Redemption | None:
    wanted = read_code(code)
    return next((each for each in subscription.redemptions if read_code(each.coupon.id) == wanted), None)


def _running(ctx: Context, subscription_id: str) -> Subscription:
    """InvalidStateError unless it runs, and no change of it waits for a payment that was reckoned without this."""
    ids.require("sub", subscription_id)
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    if subscription is None:
        raise NotFoundError("no such subscription", id=subscription_id)
    if not subscription.is_running:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} takes no coupon", subscription=subscription_id
        )
    if subscription.pending is not None and subscription.pending.invoice_id is not None:
        raise InvalidStateError(
            "a change waits for its payment", fix="pay it or revoke it first", subscription=subscription_id
        )
    return subscription


def _stored(ctx: Context, decision: Decision) -> Subscription:
    assert decision.subscription is not None
    stored = decisions.commit(ctx, decision.subscription.customer_id, decision)
    assert stored.subscription is not None
    return stored.subscription
