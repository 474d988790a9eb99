"""The first period of a subscription: at its start, when it comes back, and at the end of its trial."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.billing import Occasion
from chalicelib.domain.calendar import Period, calendar_anchor
from chalicelib.domain.catalog import Plan, TrialEnd
from chalicelib.domain.customer import Account, CollectionMethod, Terms
from chalicelib.domain.decision import Decision
from chalicelib.domain.ending import ended
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import (
    activated,
    full_period,
    subscription_data,
    with_first_period,
)
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Instants
from chalicelib.domain.period_billing import bill_period
from chalicelib.domain.proration import Granularity
from chalicelib.domain.subscription import Billing, Item, ItemKind, Subscription

LAPSED = "trial_lapsed"
INVOICE_NET_DAYS = 14


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
                return ended(subscription, LAPSED, at)
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


def _anchored(subscription: Subscription, start: datetime) -> Subscription:
    """Counting anew from `start`; billed on the calendar, from the boundary before it: the first period is a stub."""
    anchor = start
    if subscription.billing is Billing.CALENDAR and subscription.interval is not None:
        anchor = calendar_anchor(start, subscription.zone, subscription.interval)
    return replace(subscription, anchor=anchor, cycle=0)


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
