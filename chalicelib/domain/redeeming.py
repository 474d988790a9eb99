"""Coupons on a subscription: redeemed, used up, ended, and given back. Pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.coupon import (
    SHARDS,
    CouponCount,
    CouponUse,
    OfferedCoupon,
    first_shard,
    read_code,
    share_of,
    use_id,
)
from chalicelib.domain.discount import Redemption, require_redeemable
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.in_arrears import is_billed_in_advance
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact, Movement
from chalicelib.domain.metrics import moved
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Taking:
    """Who wants a coupon, and what is known of its uses: counts by shard (a missing one is zero), the customer's
    own uses of any coupon, and whether they have paid before.
    """

    subscription: Subscription
    counts: Sequence[CouponCount]
    uses: Sequence[CouponUse]
    has_paid: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    redemption: Redemption
    count: CouponCount
    use: CouponUse
    fact: Fact


def taken(offered: OfferedCoupon, taking: Taking, now: datetime) -> Taken:
    """The redemption with the records that let it happen once; committed with what it is redeemed on.

    InvalidStateError says why it may not be redeemed (any more, or by this customer).
    """
    coupon, subscription = offered.coupon, taking.subscription
    code = read_code(coupon.id)
    if offered.archived_at is not None:
        raise _refusal(coupon.id, "is not offered any more")
    held = [use for use in taking.uses if use.returned_at is None]
    if any(use.coupon == code for use in held):
        raise _refusal(coupon.id, "was redeemed by this customer before")
    require_redeemable(
        coupon,
        plan=subscription.plan.product,
        currency=subscription.currency,
        now=now,
        redeemed=sum(count.redeemed for count in taking.counts),
        has_paid=taking.has_paid or any(use.first_time for use in held),
    )
    customer = subscription.customer_id
    count = _with_room(code, taking.counts, coupon.max_redemptions, first_shard(customer))
    before = next((use for use in taking.uses if use.coupon == code), None)
    use = CouponUse(
        id=use_id(customer, code),
        customer_id=customer,
        coupon=code,
        subscription_id=subscription.id,
        shard=count.shard,
        at=now,
        first_time=coupon.first_time,
        version=before.version if before is not None else 0,
    )
    redemption = Redemption(coupon=coupon, at=now)
    data = coupon_data(subscription, redemption)
    return Taken(
        redemption=redemption,
        count=replace(count, redeemed=count.redeemed + 1),
        use=use,
        fact=Fact("coupon.redeemed", subscription.id, data),
    )


def given_back(
    subscription: Subscription, redemption: Redemption, use: CouponUse, count: CouponCount, now: datetime
) -> tuple[CouponUse, CouponCount, Fact]:
    """What was redeemed for something that was never paid may be redeemed again, by anybody."""
    back = replace(count, redeemed=count.redeemed - 1)
    return replace(use, returned_at=now), back, ended_fact(subscription, redemption, "not_paid")


def without_used_up(
    subscription: Subscription,
) -> tuple[Subscription, tuple[Fact, ...], tuple[Movement, ...]]:
    """The subscription as its next period begins: coupons that have had their periods are over, and the MRR rises.

    Billed in arrears, the period that ends is yet to be billed, so what was spent on a part of it stays.
    """
    closing = None
    if subscription.period is not None and not is_billed_in_advance(subscription):
        closing = subscription.period.start
    facts: list[Fact] = []
    movements: list[Movement] = []
    for redemption in subscription.redemptions:
        if redemption.is_used_up and (closing is None or redemption.spent_on != closing):
            subscription = without(subscription, redemption)
            facts.append(ended_fact(subscription, redemption, "used_up"))
            subscription, more = moved(
                subscription, f"coupon:{subscription.id}:{redemption.coupon.id}:used_up"
            )
            movements += more
    return subscription, tuple(facts), tuple(movements)


def without(subscription: Subscription, redemption: Redemption) -> Subscription:
    kept = tuple(each for each in subscription.redemptions if each.coupon.id != redemption.coupon.id)
    return replace(subscription, redemptions=kept)


def differences(before: Subscription, after: Subscription) -> tuple[Fact, ...]:
    """What a change ended: coupons that were used up when a period of its own began, and repeating ones."""
    kept = {each.coupon.id for each in after.redemptions}
    return tuple(
        ended_fact(after, each, "used_up" if each.is_used_up else "interval_lengthened")
        for each in before.redemptions
        if each.coupon.id not in kept
    )


def spent_with(subscription: Subscription, redemptions: Iterable[Redemption]) -> Subscription:
    """The subscription with the coupons that it still holds as they stand after an invoice."""
    after = {each.coupon.id: each for each in redemptions}
    kept = tuple(after.get(each.coupon.id, each) for each in subscription.redemptions)
    return replace(subscription, redemptions=kept)


def unspent(redemptions: Iterable[Redemption], invoice: Invoice) -> tuple[Redemption, ...]:
    """The redemptions without what they spent on an invoice that is void now."""
    start = invoice.period.start if invoice.period is not None else invoice.issued_at
    used = {share.coupon for line in invoice.lines for share in line.discounts}
    return tuple(
        replace(each, uses=each.uses - 1, spent_on=None)
        if each.spent_on == start and each.coupon.id in used
        else each
        for each in redemptions
    )


def ended_fact(subscription: Subscription, redemption: Redemption, reason: str) -> Fact:
    data = {**coupon_data(subscription, redemption), "reason": reason}
    return Fact("coupon.ended", subscription.id, data)


def coupon_data(subscription: Subscription, redemption: Redemption) -> dict[str, object]:
    """What events say of a coupon on a subscription."""
    coupon = redemption.coupon
    data: dict[str, object] = {
        "coupon": coupon.id,
        "subscription": subscription.id,
        "duration": str(coupon.duration),
        "periods_used": redemption.uses,
    }
    worth = {"percent": coupon.percent, "amount": coupon.amount, "currency": coupon.currency}
    return data | {name: value for name, value in worth.items() if value is not None}


def _with_room(code: str, counts: Sequence[CouponCount], limit: int | None, start: int) -> CouponCount:
    """The count that this redemption goes to: the customer's own, or the next one with something left."""
    known = {count.shard: count for count in counts}
    for step in range(SHARDS):
        shard = (start + step) % SHARDS
        count = known.get(shard) or CouponCount(coupon=code, shard=shard)
        share = share_of(limit, shard)
        if share is None or count.redeemed < share:
            return count
    raise _refusal(code, "is used up")


def _refusal(code: str, why: str) -> InvalidStateError:
    return InvalidStateError(f"the coupon {code} {why}", field="coupon", coupon=code)
