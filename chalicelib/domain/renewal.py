"""What the clock does to a subscription: the next period, the end of a trial, a reminder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from chalicelib.domain import changing, dunning, funnel, holding, in_arrears, one_off, pausing
from chalicelib.domain.billing import Occasion, Opened, open_invoice, recurring_lines
from chalicelib.domain.calendar import Period, calendar_anchor
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.catalog import Plan, TrialEnd
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import Account, CollectionMethod, Terms
from chalicelib.domain.decision import Decision
from chalicelib.domain.ending import with_final_invoice
from chalicelib.domain.fall_behind import queued_behind
from chalicelib.domain.invoice import InvoiceStatus, Line, cycle_cause
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import (
    activated,
    canceled,
    full_period,
    subscription_data,
    with_first_period,
)
from chalicelib.domain.metered import metered
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Instants
from chalicelib.domain.proration import Granularity
from chalicelib.domain.redeeming import without_used_up
from chalicelib.domain.schedule import next_reminder
from chalicelib.domain.subscription import Billing, Item, ItemKind, Status, Subscription
from chalicelib.domain.usage import Usage

LAPSED = "trial_lapsed"
INVOICE_NET_DAYS = 14


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
    subscription, ended, movements = without_used_up(subscription)
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
        return closing(_ended(before, "term_ended", at))
    ahead, facts = _ahead(subscription, end)
    facts = (*ended, *facts)
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


def _ahead(subscription: Subscription, start: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription in its next period, with the change that was to come at the end of this one in force."""
    change = subscription.pending
    facts: tuple[Fact, ...] = ()
    if change is not None and pausing.is_pause(change):
        if subscription.status is Status.ACTIVE:
            return pausing.paused(subscription, change)
        subscription, facts = changing.revoked(subscription)  # in arrears it goes on until that is paid
        change = None
    if change is not None and change.invoice_id is None:
        before = subscription
        subscription = changing.in_force(before, change, start)
        subscription, facts = changing.noted(before, subscription, change)
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


def end_trial(
    subscription: Subscription,
    account: Account,
    *,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
    fall_back: Plan | None = None,
) -> Decision:
    """The trial's end: the first paid period, anchored at the end anew (a stub where it is billed on the calendar),
    or what the plan says without a card.

    `fall_back` is the free plan named by the trial, where it falls back to one.
    """
    trial = subscription.trial
    assert trial is not None
    if subscription.interval is None:  # changed to a free plan meanwhile
        free, facts = activated(replace(subscription, period=None), at.business)
        return Decision(
            cause=f"trial_end:{free.id}:{trial.ends_at.isoformat()}", subscription=free, facts=facts
        )
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and account.payment_method is None and subscription.plan.price is not None:
        match trial.on_end:
            case TrialEnd.CANCEL:
                return _ended(subscription, LAPSED, at)
            case TrialEnd.FALL_BACK:
                return _fallen_back(subscription, fall_back, at)
            case TrialEnd.INVOICE:
                terms = Terms(method=CollectionMethod.SEND_INVOICE, net_days=INVOICE_NET_DAYS)
                subscription = replace(subscription, terms=terms)
    active, facts = activated(_anchored(subscription, trial.ends_at), at.business)
    full = full_period(active, 0)
    period = Period(max(full.start, trial.ends_at), full.end)
    converted = Fact("subscription.trial_converted", active.id, subscription_data(active))
    return bill_period(
        replace(active, period=period),
        account,
        occasion=occasion,
        granularity=granularity,
        at=at,
        facts=(converted, *facts),
    )


def begin(
    subscription: Subscription,
    account: Account,
    *,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
    hosted: bool = False,
) -> Decision:
    """The first invoice of a draft (or reactivated) subscription. Charged automatically it gates activation;
    sent, or when nothing is due, the subscription is active at once. `hosted`: the customer pays it on a
    hosted page, so no attempt is begun here.
    """
    name = "subscription.created" if subscription.started_at is None else "subscription.reactivated"
    started = Fact(name, subscription.id, subscription_data(subscription))
    if subscription.plan.price is None:
        active, facts = activated(subscription, at.business)
        cause = f"begin:{subscription.id}:{subscription.version}"
        return Decision(cause=cause, subscription=active, facts=(started, *facts))
    gated = with_first_period(subscription)
    return bill_period(
        gated,
        account,
        occasion=occasion,
        granularity=granularity,
        at=at,
        facts=(started,),
        first=True,
        hosted=hosted,
    )


def resume(subscription: Subscription, at: Instants) -> Decision:
    """The reactivated subscription in a period that was billed before and had not begun when it was cancelled."""
    active, facts = activated(with_first_period(subscription), at.business)
    cause = f"resume:{subscription.id}:{subscription.version}"
    active, movements = moved(active, cause)
    started = Fact("subscription.reactivated", subscription.id, subscription_data(subscription))
    return Decision(cause=cause, subscription=active, facts=(started, *facts), movements=movements)


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


def bill_period(
    subscription: Subscription,
    account: Account,
    *,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
    facts: tuple[Fact, ...] = (),
    served: tuple[Line, ...] = (),
    usages: tuple[Usage, ...] = (),
    first: bool = False,
    hosted: bool = False,
) -> Decision:
    """Open the cycle invoice of the subscription's current period and write down its first attempt.

    `served` are the lines of the period before, of what is billed in arrears, and `usages` what these bill. Nothing
    to bill is no invoice.
    A later period of a customer who disputes a payment waits for the end of that; a first one was asked for.
    """
    served += one_off.lines_of(subscription.charges)
    if not served and not in_arrears.is_billed_in_advance(subscription):
        return _unbilled(subscription, facts, at, first=first)
    opened = _cycle_invoice(subscription, account, occasion, granularity, served, activates=first)
    subscription = replace(subscription, charges=())
    invoice, account, extra = opened.invoice, opened.account, opened.facts
    subscription = replace(subscription, redemptions=opened.redemptions)
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if invoice.status is InvoiceStatus.OPEN and automatic:
        if subscription.dunning is not None:
            invoice, extra = queued_behind(invoice, subscription.dunning, extra, at.business)
            subscription = dunning.queued(subscription, invoice.id)
        elif not hosted:
            begin = begin_attempt if first else holding.begin_automatic
            invoice = begin(invoice, account, at)
            invoice, account = admitted(invoice, account, occasion.attempts_per_card, at.business)
    if invoice.status is InvoiceStatus.PAID:
        subscription = funnel.paid(subscription, invoice)
    if first and (invoice.status is InvoiceStatus.PAID or not automatic):
        invoice = replace(invoice, activates=False)
        subscription, more = activated(subscription, at.business)
        extra += more
    cause = f"cycle:{subscription.id}:{invoice.cause.reference}"
    subscription, movements = moved(subscription, cause)
    return Decision(
        cause=cause,
        account=account,
        subscription=subscription,
        invoice=invoice,
        facts=facts + extra,
        also=usages,
        postings=opened.postings,
        movements=movements,
    )


def _unbilled(subscription: Subscription, facts: tuple[Fact, ...], at: Instants, *, first: bool) -> Decision:
    """A period that is billed once it is over has begun."""
    assert subscription.period is not None
    cause = f"cycle:{subscription.id}:{cycle_cause(subscription.period.start).reference}"
    if first:
        subscription, more = activated(subscription, at.business)
        facts += more
    subscription, movements = moved(subscription, cause)
    return Decision(cause=cause, subscription=subscription, facts=facts, movements=movements)


def _cycle_invoice(
    subscription: Subscription,
    account: Account,
    occasion: Occasion,
    granularity: Granularity,
    served: tuple[Line, ...],
    *,
    activates: bool,
) -> Opened:
    assert subscription.period is not None
    ahead = recurring_lines(
        subscription.items,
        subscription.period,
        full=full_period(subscription, subscription.cycle),
        zone=subscription.zone,
        granularity=granularity,
    )
    return open_invoice(
        subscription,
        account,
        served + ahead,
        cause=cycle_cause(subscription.period.start),
        period=subscription.period if ahead else _first_period(served) or subscription.period,
        occasion=occasion,
        activates=activates,
    )


def _first_period(lines: Sequence[Line]) -> Period | None:
    return next((line.period for line in lines if line.period is not None), None)


def _anchored(subscription: Subscription, start: datetime) -> Subscription:
    """Counting anew from `start`; billed on the calendar, from the boundary before it: the first period is a stub."""
    anchor = start
    if subscription.billing is Billing.CALENDAR and subscription.interval is not None:
        anchor = calendar_anchor(start, subscription.zone, subscription.interval)
    return replace(subscription, anchor=anchor, cycle=0)


def _ended(subscription: Subscription, reason: str, at: Instants) -> Decision:
    ended, facts = canceled(subscription, at.business, reason)
    cause = f"end:{subscription.id}:{at.business.isoformat()}"
    ended, movements = moved(ended, cause)
    return Decision(cause=cause, subscription=ended, facts=facts, movements=movements)


def _fallen_back(subscription: Subscription, plan: Plan | None, at: Instants) -> Decision:
    assert plan is not None, "a catalog whose trial falls back names the plan"
    item = Item(id="plan", kind=ItemKind.PLAN, product=plan.id, name=plan.name, starts_at=at.business)
    fallen = replace(subscription, items=(item,), interval=None, period=None)
    active, facts = activated(fallen, at.business)
    data = {**subscription_data(active), "from_plan": subscription.plan.product}
    return Decision(
        cause=f"trial_end:{subscription.id}:{at.business.isoformat()}",
        subscription=active,
        facts=(Fact("subscription.trial_lapsed", active.id, data), *facts),
    )
