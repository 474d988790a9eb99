"""Collecting after a decline: one run per subscription, oldest invoice first, then the end.

Attempts fall on fixed days counted from the first failure in the subscription's zone. A hard decline, or one
that needs the customer's hand, skips to the last day, unless something new can be tried before. What the
customer tries between those days (a new card, a payment by request) uses none of them up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.calendar import add_days
from chalicelib.domain.journal import Fact
from chalicelib.domain.payment import Decline, DeclineKind
from chalicelib.domain.subscription import (
    Cancellation,
    DunningRun,
    Status,
    Subscription,
    require_transition,
)

STEP_DAYS = (0, 2, 7, 14, 21)
LAST_STEP = len(STEP_DAYS) - 1
FAILED = "payment_failed"


def declined(
    subscription: Subscription, invoice_id: str, decline: Decline, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription after an attempt on one of its invoices was declined: the run's next day, or its end.

    Before the run's day has come the attempt was an extra one: it never ends the run.
    """
    run = subscription.dunning
    if run is None:
        run = DunningRun(started_at=now, invoices=(invoice_id,))
        require_transition(subscription.id, subscription.status, Status.PAST_DUE)
        facts: tuple[Fact, ...] = (_past_due(subscription, run),)
    elif _step_at(run, run.step, subscription.zone) > now:
        run, facts = _before(run, now, subscription.zone), ()
    elif run.step >= LAST_STEP:
        return _ended(subscription, run, now)
    else:
        facts = ()
    run = _stepped(run, decline, subscription.zone)
    return replace(subscription, status=Status.PAST_DUE, dunning=run), facts


def queued(subscription: Subscription, invoice_id: str) -> Subscription:
    """A further invoice that opened while the run goes on waits for its turn."""
    run = subscription.dunning
    if run is None or invoice_id in run.invoices:
        return subscription
    return replace(subscription, dunning=replace(run, invoices=(*run.invoices, invoice_id)))


def joined(subscription: Subscription, invoices: tuple[str, ...]) -> Subscription:
    """The run with all of these invoices, oldest first: one of them was declined for the first time."""
    assert subscription.dunning is not None
    return replace(subscription, dunning=replace(subscription.dunning, invoices=invoices))


def has_ended(subscription: Subscription) -> bool:
    """Whether a run's end was the subscription's."""
    cancellation = subscription.cancellation
    return subscription.status is Status.CANCELED and cancellation is not None and cancellation.reason == FAILED


def collected(
    subscription: Subscription, invoice_id: str, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription after one of the run's invoices was paid (or written off): the next, or recovered."""
    run = subscription.dunning
    if run is None or invoice_id not in run.invoices:
        return subscription, ()
    left = tuple(other for other in run.invoices if other != invoice_id)
    if left:
        return replace(subscription, dunning=replace(run, invoices=left, next_at=now)), ()
    recovered = Fact("subscription.recovered", subscription.id, {"invoice": invoice_id})
    status = Status.ACTIVE if subscription.status in (Status.PAST_DUE, Status.UNPAID) else subscription.status
    return replace(subscription, status=status, dunning=None), (recovered,)


def _stepped(run: DunningRun, decline: Decline, zone: str) -> DunningRun:
    step = run.step + 1 if decline.kind is DeclineKind.SOFT else LAST_STEP
    return replace(run, step=step, next_at=_step_at(run, step, zone))


def _before(run: DunningRun, now: datetime, zone: str) -> DunningRun:
    """The run at the last of its days that has come, so that what follows is the next one."""
    return replace(run, step=max(step for step in range(LAST_STEP) if _step_at(run, step, zone) <= now))


def _step_at(run: DunningRun, step: int, zone: str) -> datetime:
    return add_days(run.started_at, STEP_DAYS[step], zone)


def _ended(
    subscription: Subscription, run: DunningRun, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    require_transition(subscription.id, subscription.status, Status.CANCELED)
    ended = replace(
        subscription,
        status=Status.CANCELED,
        cancellation=Cancellation(requested_at=now, at=now, reason=FAILED),
        ended_at=now,
        pending=None,
        dunning=None,
    )
    data = {"reason": FAILED, "invoices": list(run.invoices)}
    return ended, (Fact("subscription.canceled", subscription.id, data),)


def _past_due(subscription: Subscription, run: DunningRun) -> Fact:
    return Fact("subscription.past_due", subscription.id, {"invoice": run.invoices[0]})
