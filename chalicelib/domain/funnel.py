"""Trials and free plans on their way to revenue: each step is written in the decision that it follows from.

A trial's outcome is counted for the month in which the trial ended, whenever it is decided, and once for good: paid
with the first payment after it, lost when the subscription ends, is given up or falls back to a free plan before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from chalicelib.domain.counted import Counted, TrialOutcome
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import FunnelKind, FunnelStep
from chalicelib.domain.metrics import COUNTED, recurring
from chalicelib.domain.subscription import Status, Subscription

_GOES_ON = COUNTED | {Status.PAUSED}


def stepped(subscription: Subscription) -> tuple[Subscription, tuple[FunnelStep, ...]]:
    """The subscription with what is counted of it brought up to date, and the steps that this is, often none."""
    before = subscription.counted
    after = replace(
        before,
        trial_mrr=recurring(subscription) if subscription.status is Status.TRIALING else None,
        trial=_outcome(subscription),
        is_free=_is_free(subscription),
    )
    if after == before:
        return subscription, ()
    return replace(subscription, counted=after), tuple(_steps(subscription, after))


def paid(subscription: Subscription, invoice: Invoice) -> Subscription:
    """The subscription once an invoice of it is paid: the first with an amount decides its trial."""
    counted = subscription.counted
    waits = counted.trial_mrr is not None or counted.trial is TrialOutcome.UNDECIDED
    if not waits or counted.is_paid or not invoice.total or subscription.status is Status.TRIALING:
        return subscription
    return replace(subscription, counted=replace(counted, is_paid=True))


def _outcome(subscription: Subscription) -> TrialOutcome | None:
    """How the trial is to be counted; None for none, and while it runs."""
    counted = subscription.counted
    if counted.trial_mrr is None and counted.trial is not TrialOutcome.UNDECIDED:
        return counted.trial
    if subscription.status is Status.TRIALING:
        return None
    if subscription.status not in _GOES_ON or _is_free(subscription):
        return TrialOutcome.LOST
    return TrialOutcome.PAID if counted.is_paid else TrialOutcome.UNDECIDED


def _is_free(subscription: Subscription) -> bool:
    return subscription.status is Status.ACTIVE and subscription.plan.price is None


def _steps(subscription: Subscription, after: Counted) -> Iterator[FunnelStep]:
    before = subscription.counted
    step = FunnelStep(
        FunnelKind.TRIAL, subscription.id, subscription.currency, motion=str(subscription.channel)
    )
    if after.trial_mrr != before.trial_mrr:
        running = int(after.trial_mrr is not None) - int(before.trial_mrr is not None)
        change = (after.trial_mrr or 0) - (before.trial_mrr or 0)
        yield replace(step, amount=change, count=running)
    if after.trial is not before.trial and after.trial is not None:
        kind = FunnelKind.TRIAL_ENDED if before.trial is None else FunnelKind.TRIAL_DECIDED
        ended_at = _trial_end(subscription)
        yield replace(step, kind=kind, outcome=str(after.trial), count=1, trial_ended_at=ended_at)
    if after.is_free and not before.is_free:
        yield replace(step, kind=FunnelKind.FREE, outcome="started", count=1)
    elif before.is_free and not after.is_free:
        went = "paid" if subscription.status in COUNTED else "ended"
        yield replace(step, kind=FunnelKind.FREE, outcome=went, count=-1)


def _trial_end(subscription: Subscription) -> datetime | None:
    """When the trial was over: at its end, or when it was cancelled before."""
    trial, ended_at = subscription.trial, subscription.ended_at
    if trial is None or ended_at is None:
        return trial.ends_at if trial else ended_at
    return min(trial.ends_at, ended_at)
