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
    total = Fraction(0)
    for item in subscription.items:
        if item.price is not None:
            interval = item.price.interval
            months = {"month": 1, "year": 12}.get(interval.unit)
            per_year = {"day": 365, "week": 52}.get(interval.unit, 0)
            share = (
                Fraction(1, months * interval.count) if months else Fraction(per_year, 12 * interval.count)
            )
            total += _rated(item.price.rate, item.quantity) * share
    return rounded(total)


def _rated(rate: Any, quantity: int) -> Fraction:
    if rate.model == "flat":
        return Fraction(rate.unit_amount)
    if rate.model == "per_unit":
        return quantity * Fraction(rate.unit_amount)
    raise AssertionError(f"no plan here is {rate.model}")
