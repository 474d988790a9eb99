"""Collecting after a decline: one run per subscription, oldest invoice first, then the end that the policy names.

Attempts fall on the policy's days counted from the first failure in the subscription's zone. A hard decline, or
one that needs the customer's hand, skips to the last day. Something new to try is tried at once, and what is
tried ahead of the schedule moves nothing on it. While an attempt waits for its customer's confirmation nothing is
tried before the last day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.calendar import Period
from chalicelib.domain.dunning_policy import DEFAULT_NAME, DunningPolicy, EndState, HardDecline
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import asked_back
from chalicelib.domain.payment import Decline, DeclineKind
from chalicelib.domain.subscription import (
    Billing,
    Cancellation,
    DunningRun,
    Item,
    Status,
    Subscription,
    require_transition,
)

FAILED = "payment_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The subscription after a decline. `gives_up`: the run's invoices will not be collected any more."""

    subscription: Subscription
    facts: tuple[Fact, ...] = ()
    gives_up: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the catalog says of a subscription in arrears; `free` is the item that END FREE_PLAN falls back to."""

    policy: DunningPolicy = DunningPolicy()
    policy_name: str = DEFAULT_NAME
    free: Item | None = None


def declined(
    subscription: Subscription, invoice_id: str, decline: Decline, now: datetime, rules: Rules
) -> Verdict:
    """An attempt on one of the subscription's invoices was declined: the next step, or the end."""
    run = subscription.dunning
    if run is None:
        return _begun(subscription, invoice_id, decline, now, rules)
    scheduled = run.policy.attempt_at(run.started_at, run.step, subscription.zone)
    if now < scheduled and not _ends_now(run.policy, decline):
        return Verdict(subscription=_back_on_schedule(subscription, run, decline, now))
    if run.step >= run.policy.last_step or _ends_now(run.policy, decline):
        return _ended(subscription, run, now, rules)
    return Verdict(subscription=replace(subscription, dunning=_stepped(run, decline, subscription.zone)))


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
    return (
        subscription.status is Status.CANCELED and cancellation is not None and cancellation.reason == FAILED
    )


def collected(
    subscription: Subscription, invoice_id: str, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription after one of the run's invoices was paid (or written off): the next, or recovered.

    One that was unpaid has had no service since: its time goes on from now, re-anchored, and what passed
    without service is not billed.
    """
    run = subscription.dunning
    if run is None or invoice_id not in run.invoices:
        return subscription, ()
    left = tuple(other for other in run.invoices if other != invoice_id)
    if left:
        return replace(subscription, dunning=replace(run, invoices=left, next_at=now)), ()
    recovered = Fact("subscription.recovered", subscription.id, {"invoice": invoice_id})
    if subscription.status is Status.UNPAID:
        subscription = _resumed(subscription, now)
    status = Status.ACTIVE if subscription.status in (Status.PAST_DUE, Status.UNPAID) else subscription.status
    return replace(subscription, status=status, dunning=None), (recovered,)


def with_new_method(subscription: Subscription, now: datetime) -> Subscription:
    """Something new can be tried: at once, and a run that had skipped to its last day is on schedule again.

    One that waits for an outcome keeps waiting, and so does one that has ended unpaid.
    """
    run = subscription.dunning
    if run is None or run.next_at is None or run.next_at <= now:
        return subscription
    step = run.policy.next_step(run.started_at, now, subscription.zone)
    return replace(subscription, dunning=replace(run, step=step, next_at=now))


def with_grace(subscription: Subscription, until: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """Access kept until then by hand; an audit fact says so."""
    run = subscription.dunning
    if run is None:
        raise InvalidStateError("nothing is in arrears", subscription=subscription.id)
    data = {"until": until.isoformat(), "before": run.grace_until.isoformat() if run.grace_until else None}
    extended = replace(subscription, dunning=replace(run, grace_until=until, grace_ended=False))
    return extended, (Fact("subscription.grace_extended", subscription.id, data),)


def has_access(subscription: Subscription, now: datetime) -> bool:
    """Whether a subscription in arrears still has what it pays for: within its grace."""
    run = subscription.dunning
    return run is None or run.grace_until is None or now < run.grace_until


def _begun(
    subscription: Subscription, invoice_id: str, decline: Decline, now: datetime, rules: Rules
) -> Verdict:
    require_transition(subscription.id, subscription.status, Status.PAST_DUE)
    policy, zone = rules.policy, subscription.zone
    run = new_run(subscription, invoice_id, now, rules)
    past_due = past_due_fact(subscription, invoice_id)
    if policy.last_step == 0 or _ends_now(policy, decline):
        verdict = _ended(replace(subscription, status=Status.PAST_DUE), run, now, rules)
        return replace(verdict, facts=(past_due, *verdict.facts))
    behind = replace(subscription, status=Status.PAST_DUE, dunning=_stepped(run, decline, zone))
    return Verdict(subscription=behind, facts=(past_due,))


def new_run(subscription: Subscription, invoice_id: str, now: datetime, rules: Rules) -> DunningRun:
    """A run that begins now, with nothing scheduled yet."""
    return DunningRun(
        started_at=now,
        invoices=(invoice_id,),
        policy=rules.policy,
        policy_name=rules.policy_name,
        grace_until=rules.policy.grace_until(now, subscription.zone),
    )


def past_due_fact(subscription: Subscription, invoice_id: str) -> Fact:
    return Fact("subscription.past_due", subscription.id, {"invoice": invoice_id})


def _back_on_schedule(
    subscription: Subscription, run: DunningRun, decline: Decline, now: datetime
) -> Subscription:
    """What was tried ahead of the schedule uses no step up; a hard decline still waits for the last day."""
    soft, zone = decline.kind is DeclineKind.SOFT, subscription.zone
    step = run.policy.next_step(run.started_at, now, zone) if soft else run.policy.last_step
    next_at = run.policy.attempt_at(run.started_at, step, zone)
    return replace(subscription, dunning=replace(run, step=step, next_at=next_at))


def _ends_now(policy: DunningPolicy, decline: Decline) -> bool:
    return decline.kind is DeclineKind.HARD and policy.hard_decline is HardDecline.END


def _stepped(run: DunningRun, decline: Decline, zone: str) -> DunningRun:
    step = run.step + 1 if decline.kind is DeclineKind.SOFT else run.policy.last_step
    return replace(run, step=step, next_at=run.policy.attempt_at(run.started_at, step, zone))


def _ended(subscription: Subscription, run: DunningRun, now: datetime, rules: Rules) -> Verdict:
    match run.policy.end:
        case EndState.UNPAID:
            return _kept_unpaid(subscription, run)
        case EndState.FREE_PLAN if rules.free is not None:
            return _fallen_back(subscription, rules.free)
    require_transition(subscription.id, subscription.status, Status.CANCELED)
    ended = replace(
        subscription,
        status=Status.CANCELED,
        cancellation=Cancellation(requested_at=now, at=now, reason=FAILED),
        ended_at=now,
        pending=None,
        dunning=None,
    )
    ended = asked_back(ended, now)
    data = {"reason": FAILED, "invoices": list(run.invoices)}
    facts = (Fact("subscription.canceled", subscription.id, data),)
    return Verdict(subscription=ended, facts=facts, gives_up=True)


def _kept_unpaid(subscription: Subscription, run: DunningRun) -> Verdict:
    """Nothing renews and nothing is tried; the invoices stay open, and paying them brings it back."""
    require_transition(subscription.id, subscription.status, Status.UNPAID)
    unpaid = replace(subscription, status=Status.UNPAID, dunning=replace(run, next_at=None))
    data = {"invoices": list(run.invoices)}
    return Verdict(subscription=unpaid, facts=(Fact("subscription.unpaid", subscription.id, data),))


def _fallen_back(subscription: Subscription, free: Item) -> Verdict:
    require_transition(subscription.id, subscription.status, Status.ACTIVE)
    fallen = replace(
        subscription,
        status=Status.ACTIVE,
        items=(free,),
        interval=None,
        period=None,
        pending=None,
        cancellation=None,
        dunning=None,
    )
    data = {
        "reason": FAILED,
        "from_plan": subscription.plan.product,
        "plan": free.product,
        "plan_name": free.name,
    }
    facts = (Fact("subscription.fell_back", subscription.id, data),)
    return Verdict(subscription=fallen, facts=facts, gives_up=True)


def _resumed(subscription: Subscription, now: datetime) -> Subscription:
    period = subscription.period
    if period is None or period.end > now:
        return subscription
    return replace(
        subscription, anchor=now, cycle=-1, period=Period(period.start, now), billing=Billing.ANNIVERSARY
    )
