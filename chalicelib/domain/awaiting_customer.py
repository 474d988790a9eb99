"""A payment that the bank wants its customer to confirm: it stays open for them, and a dunning run waits with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain import dunning, pending
from chalicelib.domain.bookings import action_fact
from chalicelib.domain.decision import Decision
from chalicelib.domain.dunning import Rules, Verdict, new_run, past_due_fact
from chalicelib.domain.dunning_invoices import by_age, given_up, is_collected_by_run
from chalicelib.domain.dunning_mail import to_confirm
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Attempt, ChargeResult, Instants
from chalicelib.domain.subscription import Status, Subscription, require_transition


def action_required(
    invoice: Invoice,
    subscription: Subscription,
    attempt: Attempt,
    result: ChargeResult,
    at: Instants,
    waiting: tuple[Invoice, ...],
    rules: Rules,
) -> Decision | None:
    """The attempt stays open for its customer, and a dunning run waits with it until its last day. None on that day:
    there is no time left, so it is a decline, and no link to confirm it is given out.
    """
    decision = pending.action_required(invoice, attempt, result)
    if invoice.activates or not is_collected_by_run(invoice):
        return decision
    if dunning.has_ended(subscription):
        return None
    if not subscription.is_running:
        return decision
    run = subscription.dunning
    facts: tuple[Fact, ...] = ()
    if run is not None and invoice.id not in run.invoices:
        after = dunning.joined(subscription, by_age(invoice, waiting))
    else:
        verdict = _paused(subscription, invoice.id, at.business, rules)
        if verdict is None:
            return None
        after, facts = verdict.subscription, verdict.facts
    return _waiting_in_run(decision, after, facts, at.business)


def canceled(
    invoice: Invoice, subscription: Subscription, attempt: Attempt, result: ChargeResult, at: Instants
) -> Decision:
    """Something else can be tried now; one that the end of its run had left behind is written off."""
    decision = pending.canceled(invoice, attempt, result, at)
    assert decision.invoice is not None
    if invoice.activates or not is_collected_by_run(invoice):
        return decision
    run = subscription.dunning
    fell_back = subscription.is_running and (run is None or invoice.id not in run.invoices)
    if dunning.has_ended(subscription) or fell_back:
        return given_up(decision, decision.invoice, (), at.business)
    after = _resumed(subscription, invoice.id, at.business)
    return replace(decision, subscription=after if after != subscription else None)


def paused_until_last_day(subscription: Subscription) -> Subscription:
    """The run waiting for its customer: its next try is that of the policy's last day."""
    run = subscription.dunning
    assert run is not None
    paused = replace(run, step=run.policy.last_step, next_at=last_day(subscription))
    return replace(subscription, dunning=paused)


def last_day(subscription: Subscription) -> datetime:
    """When the run makes its last try."""
    run = subscription.dunning
    assert run is not None
    return run.policy.attempt_at(run.started_at, run.policy.last_step, subscription.zone)


def _waiting_in_run(
    decision: Decision, after: Subscription, facts: tuple[Fact, ...], now: datetime
) -> Decision:
    assert decision.invoice is not None
    assert after.dunning is not None
    policy = after.dunning.policy
    action = action_fact(decision.invoice, decision.invoice.attempts[-1], after.dunning.next_at)
    after, movements = moved(after, decision.cause)
    decision = replace(decision, subscription=after, facts=(action, *facts), movements=movements)
    return to_confirm(decision, policy, now)


def _paused(subscription: Subscription, invoice_id: str, now: datetime, rules: Rules) -> Verdict | None:
    """Nothing else is tried until the policy's last day; None where that has come. A run that has ended unpaid stays
    so until the customer has confirmed.
    """
    run = subscription.dunning
    facts: tuple[Fact, ...] = ()
    if subscription.status is Status.UNPAID:
        return Verdict(subscription=subscription)
    if run is None:
        require_transition(subscription.id, subscription.status, Status.PAST_DUE)
        run = new_run(subscription, invoice_id, now, rules)
        subscription = replace(subscription, status=Status.PAST_DUE)
        facts = (past_due_fact(subscription, invoice_id),)
    paused = paused_until_last_day(replace(subscription, dunning=run))
    return Verdict(subscription=paused, facts=facts) if last_day(paused) > now else None


def _resumed(subscription: Subscription, invoice_id: str, now: datetime) -> Subscription:
    """The run on its schedule again after the attempt that it had waited for was cancelled; what is due already
    stays due.
    """
    run = subscription.dunning
    if run is None or run.next_at is None or run.next_at <= now or run.invoices[0] != invoice_id:
        return subscription
    step = run.policy.next_step(run.started_at, now, subscription.zone)
    next_at = run.policy.attempt_at(run.started_at, step, subscription.zone)
    return replace(subscription, dunning=replace(run, step=step, next_at=next_at))
