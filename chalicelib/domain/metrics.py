"""Monthly recurring revenue, and its movements written at the moment of change."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from chalicelib.domain.journal import Movement, MovementKind
from chalicelib.domain.money import round_half_away
from chalicelib.domain.subscription import Status, Subscription

COUNTED = frozenset({Status.ACTIVE, Status.PAST_DUE})
_MONTHS = 12


def recurring(subscription: Subscription) -> int:
    """What the subscription's items bring per month, in minor units, whatever its status; rounded once.

    Year ÷ 12, quarter ÷ 3, week × 52 ÷ 12, day × 365 ÷ 12; without tax and one-offs.
    """
    yearly = sum(
        (
            item.price.amount_for(item.quantity) * item.price.interval.annual_factor()
            for item in subscription.items
            if item.price is not None
        ),
        Fraction(0),
    )
    return round_half_away(yearly / _MONTHS)


def moved(subscription: Subscription, cause: str) -> tuple[Subscription, tuple[Movement, ...]]:
    """The subscription with its MRR brought up to date, and the movement that this is (none if unchanged).

    Trials, free plans and what has not started count nothing.
    """
    mrr = recurring(subscription) if subscription.status in COUNTED else 0
    change = mrr - subscription.mrr
    if change == 0:
        return subscription, ()
    kind = _kind(subscription, mrr)
    movement = Movement(kind, subscription.id, change, subscription.currency, cause)
    return replace(subscription, mrr=mrr, had_revenue=True), (movement,)


def _kind(subscription: Subscription, mrr: int) -> MovementKind:
    if subscription.mrr == 0:
        return MovementKind.REACTIVATION if subscription.had_revenue else MovementKind.NEW
    if mrr == 0:
        return MovementKind.CHURN
    return MovementKind.EXPANSION if mrr > subscription.mrr else MovementKind.CONTRACTION
