"""The letters of a dunning run: which one its policy wants, and when; none goes out in quiet hours.

A decision has one letter at most, about one of its facts: the run's end, else the failure. The fact says which
letter it is (`mail`) and, in quiet hours, when it goes out (`mail_at`): until then the subscription holds it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.domain.decision import Decision
from chalicelib.domain.dunning import has_access
from chalicelib.domain.dunning_policy import DunningPolicy, StageMail
from chalicelib.domain.journal import Fact
from chalicelib.domain.payment import Decline, DeclineKind
from chalicelib.domain.subscription import HeldLetter, Status, Subscription

ENDED = "ended"
FAILURE = "payment.failed"
ACTION = "payment.action_required"
CONFIRM = "confirm"
LETTER_DUE = "subscription.letter_due"
GRACE_ENDED = "subscription.grace_ended"
_ENDS = {
    "subscription.canceled": Status.CANCELED,
    "subscription.unpaid": Status.UNPAID,
    "subscription.fell_back": Status.ACTIVE,
}
_OF_INVOICE = ("invoice", "number", "currency", "amount_due")


def addressed(
    decision: Decision, before: Subscription, policy: DunningPolicy, decline: Decline, now: datetime
) -> Decision:
    """The decision on a decline with its letter named in the fact that it is about, and held in quiet hours.

    `before` is the subscription as it was: one that is on hold already is not told so again.
    """
    subscription = decision.subscription
    assert subscription is not None
    failed = next(fact for fact in decision.facts if fact.type == FAILURE)
    about = next((fact for fact in decision.facts if fact.type in _ENDS), failed)
    if about is failed:
        began = before.dunning.started_at if before.dunning else now
        skips = decline.kind is not DeclineKind.SOFT
        mail = str(policy.mail_after(began, now, subscription.zone, skips=skips))
        data: dict[str, Any] = {**failed.data}
    else:
        is_news = policy.end_mail and before.status is not Status.UNPAID
        mail = ENDED if is_news else str(StageMail.NONE)
        of_invoice = {name: failed.data[name] for name in _OF_INVOICE}
        data = {**of_invoice, **about.data, "subscription": subscription.id}
    named = Fact(about.type, about.subject, {**data, "mail": mail})
    subscription, named = _held(subscription, named, policy, now)
    facts = tuple(named if fact is about else fact for fact in decision.facts)
    return replace(decision, subscription=subscription, facts=facts)


def to_confirm(decision: Decision, policy: DunningPolicy, now: datetime) -> Decision:
    """The decision on an attempt that waits for its customer, with the letter that asks them, held in quiet hours."""
    subscription = decision.subscription
    assert subscription is not None
    asked = next(fact for fact in decision.facts if fact.type == ACTION)
    named = Fact(asked.type, asked.subject, {**asked.data, "mail": CONFIRM})
    subscription, named = _held(subscription, named, policy, now)
    facts = tuple(named if fact is asked else fact for fact in decision.facts)
    return replace(decision, subscription=subscription, facts=facts)


def grace_over(subscription: Subscription, now: datetime) -> Decision:
    """The run's grace noted as over, once, with the letter that its policy may want."""
    run = subscription.dunning
    assert run is not None
    assert run.grace_until is not None
    data = {
        "subscription": subscription.id,
        "invoice": run.invoices[0],
        "grace_until": run.grace_until.isoformat(),
        "mail": GRACE_ENDED.partition(".")[2] if run.policy.grace_mail else str(StageMail.NONE),
    }
    noted = replace(subscription, dunning=replace(run, grace_ended=True))
    noted, fact = _held(noted, Fact(GRACE_ENDED, subscription.id, data), run.policy, now)
    cause = f"grace_end:{subscription.id}:{run.grace_until.isoformat()}"
    return Decision(cause=cause, subscription=noted, facts=(fact,))


def released(subscription: Subscription, now: datetime) -> Decision:
    """The held letter let go: said as a fact, unless things have moved past it."""
    held = subscription.letter
    assert held is not None
    data = {**held.data, "about": held.type}
    fact = Fact(LETTER_DUE, subscription.id, data)
    return Decision(
        cause=f"letter:{subscription.id}:{held.at.isoformat()}:{subscription.version}",
        subscription=replace(subscription, letter=None),
        facts=() if _is_moot(subscription, held, now) else (fact,),
    )


def _held(
    subscription: Subscription, fact: Fact, policy: DunningPolicy, now: datetime
) -> tuple[Subscription, Fact]:
    """A later letter takes the place of one that is held."""
    if fact.data["mail"] == StageMail.NONE:
        return subscription, fact
    at = policy.awake(now, subscription.zone)
    if at <= now:
        return replace(subscription, letter=None), fact
    about = {name: value for name, value in fact.data.items() if name != "dunning"}  # that counts once
    held = HeldLetter(at=at, type=fact.type, data={**about, "happened_at": now.isoformat()})
    return replace(subscription, letter=held), replace(fact, data={**fact.data, "mail_at": at.isoformat()})


def _is_moot(subscription: Subscription, held: HeldLetter, now: datetime) -> bool:
    if held.type in _ENDS:
        return subscription.status is not _ENDS[held.type] or (
            "plan" in held.data and subscription.plan.product != held.data["plan"]
        )
    run = subscription.dunning
    if run is None or held.data["invoice"] not in run.invoices:
        return True
    return held.type == GRACE_ENDED and has_access(subscription, now)
