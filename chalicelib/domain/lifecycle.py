"""The life of a subscription: started, activated, cancelled, undone, ended, reactivated. Pure decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.calendar import (
    Period,
    add_days,
    boundary,
    local_day,
    next_day_start,
)
from chalicelib.domain.catalog import TrialTerms
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.journal import Fact
from chalicelib.domain.schedule import REMINDER_DAYS, reminder_at
from chalicelib.domain.subscription import (
    Billing,
    Cancellation,
    Status,
    Subscription,
    Trial,
    require_transition,
)

RELEASE_AFTER = timedelta(hours=23)
"""How long an unpaid first invoice may gate its subscription before it is given up."""
WIN_BACK_DAYS = 7
"""How many days after the end of a paid plan, or of its trial, the customer is asked back."""
MOST_TRIAL_DAYS = 730
"""How long a trial may become by extensions."""


def with_first_period(subscription: Subscription) -> Subscription:
    """The subscription in its first paid period: a stub from its creation where it bills on the calendar."""
    assert subscription.interval is not None
    full = full_period(subscription, 0)
    return replace(subscription, cycle=0, period=Period(max(full.start, subscription.created_at), full.end))


def full_period(subscription: Subscription, cycle: int) -> Period:
    """[boundary k, boundary k+1) counted from the anchor."""
    assert subscription.interval is not None
    anchor, zone, interval = subscription.anchor, subscription.zone, subscription.interval
    return Period(boundary(anchor, zone, interval, cycle), boundary(anchor, zone, interval, cycle + 1))


def activated(subscription: Subscription, now: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription in force: its first payment came, or none was needed."""
    require_transition(subscription.id, subscription.status, Status.ACTIVE)
    started = subscription.started_at or now
    active = replace(subscription, status=Status.ACTIVE, started_at=started, release_at=None)
    return active, (Fact("subscription.activated", active.id, subscription_data(active)),)


def trialing(
    subscription: Subscription, terms: TrialTerms, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription in its trial of `terms.days` from `now`, to the same wall time."""
    require_transition(subscription.id, subscription.status, Status.TRIALING)
    trial = Trial(
        started_at=now,
        ends_at=add_days(now, terms.days, subscription.zone),
        on_end=terms.on_end,
        fall_back_plan=terms.fall_back_plan,
    )
    running = replace(
        subscription, status=Status.TRIALING, trial=trial, started_at=now, release_at=None, period=None
    )
    data = {**subscription_data(running), "trial_end": trial.ends_at.isoformat()}
    return running, (Fact("subscription.trial_started", running.id, data),)


def trial_extended(
    subscription: Subscription, days: int, now: datetime, request: str
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The trial's end so many days later, at the same wall time; the reminders are those of the new end, without
    the ones whose time is past. The same `request` moves it once. InvalidStateError outside of a trial.
    """
    trial = _require_trial(subscription)
    if request in trial.extensions:
        return subscription, ()
    ends_at = add_days(trial.ends_at, days, subscription.zone)
    if ends_at > add_days(trial.started_at, MOST_TRIAL_DAYS, subscription.zone):
        raise ValidationError(
            f"a trial has at most {MOST_TRIAL_DAYS} days in all", field="days", fix="extend it by fewer"
        )
    longer = replace(trial, ends_at=ends_at, extensions=(*trial.extensions, request))
    past = tuple(day for day in REMINDER_DAYS if reminder_at(longer, day, subscription.zone) <= now)
    extended = replace(subscription, trial=replace(longer, reminded=past))
    data = {
        **subscription_data(extended),
        "days": days,
        "trial_end": ends_at.isoformat(),
        "previous_trial_end": trial.ends_at.isoformat(),
    }
    return extended, (Fact("subscription.trial_extended", extended.id, data),)


def trial_cut_short(subscription: Subscription, now: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """The trial with its end now, on request. InvalidStateError outside of a trial."""
    trial = _require_trial(subscription)
    cut = replace(subscription, trial=replace(trial, ends_at=min(now, trial.ends_at)))
    data = {**subscription_data(cut), "previous_trial_end": trial.ends_at.isoformat()}
    return cut, (Fact("subscription.trial_ended_early", cut.id, data),)


def scheduled_to_cancel(
    subscription: Subscription, now: datetime, reason: str
) -> tuple[Subscription, tuple[Fact, ...]]:
    """Cancelled at the end of what is paid for (or of the trial); at once where there is no such end."""
    _require_running(subscription)
    if subscription.status is Status.TRIALING and subscription.trial is not None:
        at = subscription.trial.ends_at
    elif subscription.period is not None and subscription.status is not Status.UNPAID:
        at = subscription.period.end
    else:
        return canceled(subscription, now, reason)
    cancellation = Cancellation(requested_at=now, at=at, reason=reason)
    data = {**subscription_data(subscription), "at": at.isoformat(), "reason": reason}
    fact = Fact("subscription.cancellation_scheduled", subscription.id, data)
    return replace(subscription, cancellation=cancellation), (fact,)


def cancellation_undone(subscription: Subscription) -> tuple[Subscription, tuple[Fact, ...]]:
    """A cancellation that has not taken effect, taken back."""
    if subscription.cancellation is None or not subscription.is_running:
        raise InvalidStateError("there is no pending cancellation", subscription=subscription.id)
    kept = replace(subscription, cancellation=None)
    return kept, (Fact("subscription.cancellation_undone", subscription.id, subscription_data(kept)),)


def canceled(subscription: Subscription, now: datetime, reason: str) -> tuple[Subscription, tuple[Fact, ...]]:
    """Ended now: add-ons with the plan, dunning stops, nothing renews."""
    _require_running(subscription)
    require_transition(subscription.id, subscription.status, Status.CANCELED)
    asked = subscription.cancellation
    ended = replace(
        subscription,
        status=Status.CANCELED,
        cancellation=Cancellation(requested_at=asked.requested_at if asked else now, at=now, reason=reason),
        ended_at=now,
        pending=None,
        dunning=None,
    )
    ended = asked_back(ended, now)
    data = {**subscription_data(ended), "reason": reason}
    return ended, (Fact("subscription.canceled", ended.id, data),)


def asked_back(ended: Subscription, now: datetime) -> Subscription:
    """The ended subscription with the time of its win-back letter, where it was one that is paid for."""
    if ended.plan.price is None:
        return ended
    return replace(ended, win_back_at=add_days(now, WIN_BACK_DAYS, ended.zone))


def expired(subscription: Subscription, now: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """An incomplete subscription given up; one that had run before is canceled again."""
    status = Status.CANCELED if subscription.started_at else Status.INCOMPLETE_EXPIRED
    require_transition(subscription.id, subscription.status, status)
    gone = replace(subscription, status=status, ended_at=now, release_at=None, period=None)
    return gone, (Fact("subscription.expired", gone.id, subscription_data(gone)),)


def reactivated(subscription: Subscription, now: datetime) -> Subscription:
    """The ended subscription awaiting its first payment anew, re-anchored.

    A day that was paid for is never billed twice: ended today, the new time begins tomorrow.
    """
    if subscription.status is not Status.CANCELED:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} cannot be reactivated",
            subscription=subscription.id,
        )
    same_day = subscription.ended_at is not None and local_day(
        subscription.ended_at, subscription.zone
    ) == local_day(now, subscription.zone)
    start = next_day_start(now, subscription.zone) if same_day and subscription.had_revenue else now
    return replace(
        subscription,
        status=Status.INCOMPLETE,
        anchor=start,
        cycle=0,
        period=None,
        changes=(),
        trial=None,
        cancellation=None,
        ended_at=None,
        win_back_at=None,
        release_at=now + RELEASE_AFTER,
        billing=Billing.ANNIVERSARY,
    )


def subscription_data(subscription: Subscription) -> dict[str, object]:
    """What events say of a subscription."""
    data: dict[str, object] = {
        "subscription": subscription.id,
        "status": str(subscription.status),
        "plan": subscription.plan.product,
        "plan_name": subscription.plan.name,
        "quantity": subscription.plan.quantity,
        "currency": subscription.currency,
    }
    if subscription.period is not None:
        data["period_end"] = subscription.period.end.isoformat()
    return data


def _require_trial(subscription: Subscription) -> Trial:
    """The trial that may be changed: it runs, and nobody has asked for its end."""
    if subscription.status is not Status.TRIALING or subscription.trial is None:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} has no trial to change",
            subscription=subscription.id,
        )
    if subscription.cancellation is not None:
        raise InvalidStateError(
            "it is cancelled to the end of its trial",
            fix="undo the cancellation first",
            subscription=subscription.id,
        )
    return subscription.trial


def _require_running(subscription: Subscription) -> None:
    if not subscription.is_running:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} cannot be cancelled", subscription=subscription.id
        )
