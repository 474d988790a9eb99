"""Monthly recurring revenue, and its movements written at the moment of change."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from chalicelib.domain.catalog import Price
from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.discount import recurring_left
from chalicelib.domain.journal import Movement, MovementKind
from chalicelib.domain.money import parse_unit_amount, round_half_away
from chalicelib.domain.subscription import Status, Subscription

OTHER, UNSTATED = "other", "unstated"
_CODE = re.compile("[a-z0-9_]{1,40}")
COUNTED = frozenset({Status.ACTIVE, Status.PAST_DUE})
_MONTHS = 12


def recurring(subscription: Subscription) -> int:
    """What the subscription's items bring per month, in minor units, whatever its status; rounded once.

    Year ÷ 12, quarter ÷ 3, week × 52 ÷ 12, day × 365 ÷ 12; after recurring discounts, without tax and one-offs. Of
    what a meter counts only the commitment.
    """
    yearly = [
        (item.product, _committed(item.price, item.quantity) * item.price.interval.annual_factor())
        for item in subscription.items
        if item.price is not None
    ]
    period, interval = subscription.period, subscription.interval
    start = period.start if period is not None else None
    left = recurring_left(
        yearly,
        [each for each in subscription.redemptions if each.lowers(start)],
        currency=subscription.currency,
        per_year=interval.annual_factor() if interval is not None else Fraction(0),
    )
    return round_half_away(left / _MONTHS)


def moved(
    subscription: Subscription, cause: str, reason: str = ""
) -> tuple[Subscription, tuple[Movement, ...]]:
    """The subscription with its MRR brought up to date, and the movement that this is (none if unchanged).

    Trials, free plans and what has not started count nothing. `reason` says why revenue ends of a subscription that
    itself goes on.
    """
    mrr = recurring(subscription) if subscription.status in COUNTED else 0
    change = mrr - subscription.mrr
    if change == 0:
        return subscription, ()
    kind = _kind(subscription, mrr)
    movement = Movement(
        kind,
        subscription.id,
        change,
        subscription.currency,
        cause,
        motion=subscription.channel,
        reason=_reason(subscription, kind, reason),
    )
    return replace(subscription, mrr=mrr, had_revenue=True), (movement,)


def _kind(subscription: Subscription, mrr: int) -> MovementKind:
    if subscription.mrr == 0:
        return MovementKind.REACTIVATION if subscription.had_revenue else MovementKind.NEW
    if mrr == 0:
        return MovementKind.CHURN
    return MovementKind.EXPANSION if mrr > subscription.mrr else MovementKind.CONTRACTION


def _reason(subscription: Subscription, kind: MovementKind, reason: str) -> str:
    """A code: what somebody wrote in their own words is `other`."""
    counted = subscription.counted
    match kind:
        case MovementKind.NEW | MovementKind.REACTIVATION if counted.is_free:
            return "free"
        case MovementKind.NEW if counted.trial_mrr is not None or counted.trial is TrialOutcome.UNDECIDED:
            return "trial"
        case MovementKind.CHURN if subscription.status is Status.CANCELED:
            asked = subscription.cancellation.reason if subscription.cancellation else ""
            return asked if _CODE.fullmatch(asked) else OTHER if asked else UNSTATED
        case MovementKind.CHURN if subscription.status is Status.ACTIVE:
            return reason or ("discounted" if subscription.redemptions else "downgraded")
        case MovementKind.CHURN:
            return str(subscription.status)
    return ""


def _committed(price: Price, quantity: int) -> Fraction:
    """What a full period of the price brings for sure; exact minor units."""
    if price.meter is None:
        return price.amount_for(quantity)
    return parse_unit_amount(price.minimum) if price.minimum is not None else Fraction(0)
