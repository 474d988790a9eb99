"""MRR: the sum of its movements, and of what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from chalicelib.domain.subscription import Status, Subscription
from tests.simulation.invariants.arithmetic import rounded
from tests.simulation.world import World


def mrr(world: World) -> Iterator[str]:
    moved: Counter[str] = Counter()
    for entry in world.journal():
        for movement in entry.movements:
            moved[movement.subscription_id] += movement.amount
    for subscription in world.records(Subscription):
        counted = subscription.status in (Status.ACTIVE, Status.PAST_DUE)
        wanted = _monthly(subscription) if counted else 0
        if not moved[subscription.id] == subscription.mrr == wanted:
            yield (
                f"{subscription.id} ({subscription.status}): moved {moved[subscription.id]}, "
                f"says {subscription.mrr}, should be {wanted}"
            )


def _monthly(subscription: Subscription) -> int:
    monthly: list[Any] = []
    for item in subscription.items:
        if item.price is not None:
            interval = item.price.interval
            months = {"month": 1, "year": 12}.get(interval.unit)
            per_year = {"day": 365, "week": 52}.get(interval.unit, 0)
            share = (
                Fraction(1, months * interval.count) if months else Fraction(per_year, 12 * interval.count)
            )
            monthly.append([item.product, _rated(item.price.rate, item.quantity) * share])
    if subscription.period is not None:
        for redemption in subscription.redemptions:
            _discount(monthly, redemption, subscription)
    return rounded(sum((amount for _, amount in monthly), Fraction(0)))


def _discount(monthly: list[Any], redemption: Any, subscription: Subscription) -> None:
    """Recurring ones only; what a fixed one takes is spread over what it is taken from."""
    coupon = redemption.coupon
    over = {"once": 0, "repeating": coupon.periods, "forever": None}[str(coupon.duration)]
    now = subscription.period is not None and redemption.spent_on == subscription.period.start
    if coupon.duration == "once" or (over is not None and redemption.uses >= over and not now):
        return
    mine = [each for each in monthly if not coupon.plans or each[0] in coupon.plans]
    base = sum((each[1] for each in mine), Fraction(0))
    if coupon.percent is not None:
        off = base * Fraction(coupon.percent) / 100
    elif coupon.currency == subscription.currency and subscription.interval is not None:
        off = min(base, coupon.amount * subscription.interval.annual_factor() / 12)
    else:
        return
    for each in mine:
        each[1] -= off * each[1] / base if base else 0


def _rated(rate: Any, quantity: int) -> Fraction:
    if rate.model == "flat":
        return Fraction(rate.unit_amount)
    if rate.model == "per_unit":
        return quantity * Fraction(rate.unit_amount)
    raise AssertionError(f"no plan here is {rate.model}")
