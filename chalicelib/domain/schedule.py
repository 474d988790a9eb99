"""When each thing next wants attention, and why: the one place that feeds the due index.

Everything here is derived from the thing itself, so a due row can be stale or missing and never wrong for long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import singledispatch

from chalicelib.domain.calendar import add_days, day_start, local_day
from chalicelib.domain.checkout import CheckoutSession, CheckoutStatus, SignupSession, SignupStatus
from chalicelib.domain.customer import Account
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.refund import Refund
from chalicelib.domain.subscription import DunningRun, Status, Subscription, Trial
from chalicelib.domain.usage import Usage

REMINDER_DAYS = (3, 1, 0)


class DueKind(StrEnum):
    """What falls due. At the same instant the earlier in this list goes first."""

    CHECKOUT = "checkout"
    COLLECT = "collect"
    REFUND = "refund"
    DUNNING = "dunning"
    GRACE_END = "grace_end"
    CHANGE = "change"
    LETTER = "letter"
    TRIAL_REMINDER = "trial_reminder"
    CANCELLATION = "cancellation"
    TRIAL_END = "trial_end"
    RENEWAL = "renewal"
    RELEASE = "release"
    OVERDUE = "overdue"
    ABANDON = "abandon"
    WIN_BACK = "win_back"
    USAGE = "usage"
    CREDITS = "credits"


_ORDER = {kind: position for position, kind in enumerate(DueKind)}


@dataclass(frozen=True, slots=True)
class Due:
    """The next instant (business time) at which something wants attention, and why."""

    at: datetime
    kind: DueKind

    @property
    def rank(self) -> tuple[datetime, int]:
        return (self.at, _ORDER[self.kind])


@singledispatch
def next_due(thing: object) -> Due | None:
    """The earliest thing due for `thing`, or None when it rests. Types without a clock never wake."""
    return None


@next_due.register
def _(subscription: Subscription) -> Due | None:
    dues = list(_subscription_dues(subscription))
    if subscription.letter is not None:
        dues.append(Due(subscription.letter.at, DueKind.LETTER))
    return min(dues, key=lambda due: due.rank, default=None)


@next_due.register
def _(invoice: Invoice) -> Due | None:
    if invoice.status is not InvoiceStatus.OPEN:
        return None
    dues = []
    if invoice.collect_at is not None:
        dues.append(Due(invoice.collect_at, DueKind.COLLECT))
    if invoice.overdue_at is not None:
        dues.append(Due(invoice.overdue_at, DueKind.OVERDUE))
    return min(dues, key=lambda due: due.rank, default=None)


@next_due.register
def _(account: Account) -> Due | None:
    waiting = [grant.look_at for grant in account.grants if grant.waits and grant.look_at]
    ending = [grant.expires_at for grant in account.grants if not grant.waits and grant.expires_at]
    bought = [account.top_up.due_at] if account.top_up and account.top_up.due_at else []
    times = (*waiting, *ending, *bought)
    return Due(min(times), DueKind.CREDITS) if times else None


@next_due.register
def _(usage: Usage) -> Due | None:
    return Due(usage.settle_at, DueKind.USAGE) if usage.settle_at is not None else None


@next_due.register
def _(refund: Refund) -> Due | None:
    return Due(refund.look_at, DueKind.REFUND) if refund.is_open and refund.look_at is not None else None


@next_due.register
def _(session: CheckoutSession) -> Due | None:
    return Due(session.release_at, DueKind.CHECKOUT) if session.status is CheckoutStatus.OPEN else None


@next_due.register
def _(session: SignupSession) -> Due | None:
    return Due(session.abandon_at, DueKind.ABANDON) if session.status is SignupStatus.OPEN else None


def reminder_at(trial: Trial, days_before: int, zone: str) -> datetime:
    """When the reminder so many days before goes out: at the end's wall time; on the day itself, at midnight."""
    if days_before == 0:
        return day_start(local_day(trial.ends_at, zone), zone)
    return add_days(trial.ends_at, -days_before, zone)


def next_reminder(trial: Trial, zone: str) -> tuple[int, datetime] | None:
    """The next reminder not yet sent and not before the trial's start: (days before the end, instant)."""
    for days in REMINDER_DAYS:
        at = reminder_at(trial, days, zone)
        if days not in trial.reminded and at > trial.started_at:
            return days, at
    return None


def _subscription_dues(subscription: Subscription) -> Iterator[Due]:
    if subscription.status is Status.INCOMPLETE:
        if subscription.release_at is not None:
            yield Due(subscription.release_at, DueKind.RELEASE)
        return
    if not subscription.is_running:
        if subscription.status is Status.CANCELED and subscription.win_back_at is not None:
            yield Due(subscription.win_back_at, DueKind.WIN_BACK)
        return
    if subscription.cancellation is not None:
        yield Due(subscription.cancellation.at, DueKind.CANCELLATION)
    if subscription.status is Status.TRIALING and subscription.trial is not None:
        yield Due(subscription.trial.ends_at, DueKind.TRIAL_END)
        reminder = next_reminder(subscription.trial, subscription.zone)
        if reminder is not None:
            yield Due(reminder[1], DueKind.TRIAL_REMINDER)
        return
    if subscription.dunning is not None:
        yield from _dunning_dues(subscription.dunning, subscription.status)
    yield from _period_dues(subscription)


def _period_dues(subscription: Subscription) -> Iterator[Due]:
    """What the period's end brings, and a change before it: one for the end itself comes with the renewal.

    While a change waits for its payment nobody knows what the next period is to be, so that waits too.
    """
    period, change = subscription.period, subscription.pending
    if period is not None and subscription.status in (Status.ACTIVE, Status.PAST_DUE):
        at = period.end + subscription.usage_grace
        waits = change is not None and change.invoice_id is not None
        yield Due(max(at, change.at) if change is not None and waits else at, DueKind.RENEWAL)
    if change is not None and (change.invoice_id is not None or period is None or change.at < period.end):
        yield Due(change.at, DueKind.CHANGE)


def _dunning_dues(run: DunningRun, status: Status) -> Iterator[Due]:
    if run.next_at is not None:
        yield Due(run.next_at, DueKind.DUNNING)
    if run.grace_until is not None and not run.grace_ended and status is Status.PAST_DUE:
        yield Due(run.grace_until, DueKind.GRACE_END)
