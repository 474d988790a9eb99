"""What the clock does to a subscription: the next period, a reminder of the trial's end, asking back who left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from chalicelib.domain import change_steps, changing, in_arrears, pausing
from chalicelib.domain.billing import Occasion
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.ending import ended, with_final_invoice
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import (
    full_period,
    subscription_data,
)
from chalicelib.domain.metered import metered
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Instants
from chalicelib.domain.period_billing import bill_period
from chalicelib.domain.proration import Granularity
from chalicelib.domain.redeeming import without_used_up
from chalicelib.domain.schedule import next_reminder
from chalicelib.domain.subscription import Status, Subscription


def renew(
    subscription: Subscription,
    account: Account,
    *,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
) -> Decision:
    """The next period begins where the last one ended, however late this runs; its invoice opens.

    One period a call. An invoice of a subscription in dunning waits for its turn in the run.
    """
    assert subscription.period is not None
    end, term = subscription.period.end, subscription.term
    before = subscription
    subscription, spent, movements = without_used_up(subscription)
    closing = partial(
        with_final_invoice,
        subscription=subscription,
        account=account,
        until=end,
        occasion=occasion,
        granularity=granularity,
        at=at,
    )
    if term.ends_at is not None and term.ends_at <= end and not term.auto_renew:
        return closing(ended(before, "term_ended", at))
    ahead, facts = _ahead(subscription, end)
    facts = (*spent, *facts)
    if ahead.period is None:
        cause = f"change:{ahead.id}:{end.isoformat()}"
        ahead, more = moved(ahead, cause)
        return closing(Decision(cause=cause, subscription=ahead, facts=facts, movements=movements + more))
    data = subscription_data(ahead)
    used = metered(subscription, occasion.usage, end)
    billed = bill_period(
        ahead,
        account,
        served=in_arrears.served(subscription, granularity) + used.lines,
        usages=used.usages,
        occasion=occasion,
        granularity=granularity,
        at=at,
        facts=(*facts, Fact("subscription.renewed", ahead.id, data)),
    )
    return replace(billed, movements=movements + billed.movements)


def remind(subscription: Subscription, at: Instants) -> Decision | None:
    """The reminder that is due for a trial, noted as sent; None when none is."""
    trial = subscription.trial
    reminder = next_reminder(trial, subscription.zone) if trial else None
    if trial is None or reminder is None or reminder[1] > at.business:
        return None
    days = reminder[0]
    data = {**subscription_data(subscription), "days_left": days, "trial_end": trial.ends_at.isoformat()}
    return Decision(
        cause=f"reminder:{subscription.id}:{trial.ends_at.isoformat()}:{days}",
        subscription=replace(subscription, trial=replace(trial, reminded=(*trial.reminded, days))),
        facts=(Fact("subscription.trial_will_end", subscription.id, data),),
    )


def win_back(subscription: Subscription, others: Sequence[Subscription]) -> Decision:
    """Ask back whoever had the ended subscription, once: said as a fact, unless they have come back with another."""
    back = any(
        each.id != subscription.id and (each.is_running or each.status is Status.INCOMPLETE)
        for each in others
    )
    asked, ended_at = subscription.cancellation, subscription.ended_at
    data = {
        **subscription_data(subscription),
        "reason": asked.reason if asked else "",
        "ended_at": ended_at.isoformat() if ended_at else None,
    }
    return Decision(
        cause=f"win_back:{subscription.id}:{subscription.version}",
        subscription=replace(subscription, win_back_at=None),
        facts=() if back else (Fact("subscription.win_back", subscription.id, data),),
    )


def _ahead(subscription: Subscription, start: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription in its next period, with the change that was to come at the end of this one in force."""
    change = subscription.pending
    facts: tuple[Fact, ...] = ()
    if change is not None and pausing.is_pause(change):
        if subscription.status is Status.ACTIVE:
            return pausing.paused(subscription, change)
        subscription, facts = change_steps.revoked(subscription)  # in arrears it goes on until that is paid
        change = None
    if change is not None and change.invoice_id is None:
        before = subscription
        subscription = changing.in_force(before, change, start)
        subscription, facts = change_steps.noted(before, subscription, change)
        if change.anchor is not None:
            return _in_phase(changing.moved_to(subscription, change.anchor, start)), facts
        if change.interval != before.interval:
            return replace(subscription, changes=()), facts
    cycle = subscription.cycle + 1
    period = full_period(subscription, cycle)
    ahead = replace(subscription, cycle=cycle, period=period, changes=())
    return _in_phase(ahead), facts


def _in_phase(ahead: Subscription) -> Subscription:
    """The subscription with the items of the stretch of its ramp that this cycle begins, if it begins one."""
    begun = [phase for phase in ahead.phases if phase.from_cycle <= ahead.cycle]
    if not begun:
        return ahead
    later = tuple(phase for phase in ahead.phases if phase.from_cycle > ahead.cycle)
    return replace(ahead, items=begun[-1].items, phases=later)
