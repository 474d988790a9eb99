"""One-off charges on a running subscription: on its next invoice, or on one of their own at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.domain.errors import InvalidStateError, NotFoundError
from chalicelib.domain.invoice import Cause, CauseKind, Line
from chalicelib.domain.journal import Fact
from chalicelib.domain.money import round_half_away
from chalicelib.domain.pricing import PricingModel, RatedStep
from chalicelib.domain.subscription import Charge, Subscription

MOST = 50
"""Charges that may wait for one invoice."""
PRODUCT = "one_off"


@dataclass(frozen=True, slots=True)
class Charged:
    """The subscription with a charge more or less, and what to say of it."""

    subscription: Subscription
    facts: tuple[Fact, ...]


def require_chargeable(subscription: Subscription, *, on_next: bool) -> None:
    """InvalidStateError unless it runs, and has a next invoice where the charge is to wait for that."""
    if not subscription.is_running:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} is not charged", subscription=subscription.id
        )
    if on_next and subscription.period is None:
        raise InvalidStateError(
            "it has no next invoice", field="invoice", fix="send now", subscription=subscription.id
        )
    if on_next and len(subscription.charges) >= MOST:
        raise InvalidStateError(
            f"{MOST} charges wait for the next invoice already", field="invoice", fix="send now"
        )


def added(subscription: Subscription, charge: Charge) -> Charged:
    """The charge waits for the next invoice."""
    waiting = replace(subscription, charges=(*subscription.charges, charge))
    return Charged(waiting, (_fact("charge.added", subscription, charge),))


def removed(subscription: Subscription, charge_id: str) -> Charged:
    """A waiting charge taken back; NotFoundError."""
    charge = next((each for each in subscription.charges if each.id == charge_id), None)
    if charge is None:
        raise NotFoundError("no such charge waits for an invoice", id=charge_id)
    left = tuple(each for each in subscription.charges if each.id != charge_id)
    return Charged(replace(subscription, charges=left), (_fact("charge.removed", subscription, charge),))


def lines_of(charges: tuple[Charge, ...]) -> tuple[Line, ...]:
    return tuple(_line(charge) for charge in charges)


def cause_of(charge: Charge) -> Cause:
    return Cause(kind=CauseKind.ONE_OFF, reference=charge.id)


def _line(charge: Charge) -> Line:
    step = RatedStep(charge.quantity, charge.unit_amount)
    return Line(
        id=f"charge-{charge.id}:{charge.at.date().isoformat()}",
        kind="one_off",
        description=charge.description,
        product=PRODUCT,
        price_id="",
        model=PricingModel.PER_UNIT,
        quantity=charge.quantity,
        steps=(step,),
        amount=round_half_away(step.amount),
    )


def _fact(type_: str, subscription: Subscription, charge: Charge) -> Fact:
    data = {
        "subscription": subscription.id,
        "charge": charge.id,
        "description": charge.description,
        "amount": round_half_away(RatedStep(charge.quantity, charge.unit_amount).amount),
        "currency": subscription.currency,
    }
    return Fact(type_, subscription.id, data)
