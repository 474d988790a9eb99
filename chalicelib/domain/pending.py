"""Attempts whose outcome is open: under way, unknown, or waiting for their customer. They begin nothing new."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from chalicelib.domain.bookings import action_fact, canceled_fact, closed
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact
from chalicelib.domain.payment import (
    Attempt,
    AttemptStatus,
    ChargeResult,
    Decline,
    DeclineKind,
    Instants,
    Outcome,
)
from chalicelib.domain.subscription import Subscription

_FIRST_LOOK = timedelta(minutes=5)
_LONGEST_LOOK = timedelta(hours=12)
_PROCESSING_LOOK = timedelta(days=3)
_CONFIRM = Decline(kind=DeclineKind.NEEDS_CUSTOMER, code="authentication_required")


def processing(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Decision:
    """A bank debit is under way: looked up again in some days."""
    if attempt.status is AttemptStatus.PROCESSING:
        facts: tuple[Fact, ...] = ()
    else:
        facts = (Fact("payment.processing", invoice.id, {"attempt": attempt.number}),)
    waiting = replace(
        attempt,
        status=AttemptStatus.PROCESSING,
        reference=result.reference,
        charge=result.charge,
        decline=None,
    )
    return Decision(
        cause=f"processing:{invoice.id}:{attempt.number}",
        invoice=replace(with_latest(invoice, waiting), collect_at=at.business + _PROCESSING_LOOK),
        facts=facts,
    )


def is_known(invoice: Invoice, result: ChargeResult, at: Instants) -> bool:
    """Whether there is nothing to write: the latest attempt is closed, or a debit under way that is not due for a
    look.
    """
    attempt = invoice.attempt
    if attempt is None or not attempt.is_open:
        return True
    if attempt.status is not AttemptStatus.PROCESSING or result.outcome is not Outcome.PROCESSING:
        return False
    same = attempt.reference == result.reference
    return same and invoice.collect_at is not None and invoice.collect_at > at.business


def unknown(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Decision:
    """Nobody knows yet: looked up again, ever more slowly."""
    wait = min(_FIRST_LOOK * 2**attempt.tries, _LONGEST_LOOK)
    later = replace(
        attempt,
        tries=attempt.tries + 1,
        not_before=at.machine + wait,
        reference=result.reference or attempt.reference,
    )
    return Decision(
        cause=f"unknown:{invoice.id}:{attempt.number}:{later.tries}", invoice=with_latest(invoice, later)
    )


def action_required(invoice: Invoice, attempt: Attempt, result: ChargeResult) -> Decision:
    """The customer is to confirm it; nothing is looked up until they do, or it is cancelled."""
    waiting = replace(
        attempt,
        status=AttemptStatus.REQUIRES_ACTION,
        reference=result.reference or attempt.reference,
        charge=result.charge or attempt.charge,
        decline=result.decline or _CONFIRM,
        not_before=None,
    )
    held = replace(with_latest(invoice, waiting), collect_at=None)
    return Decision(
        cause=f"action:{invoice.id}:{attempt.number}", invoice=held, facts=(action_fact(held, waiting),)
    )


def confirming(invoice: Invoice) -> Invoice:
    """The invoice with one more confirmation by its customer written down, before the processor is asked for it:
    each has a key of its own, so that no answer to an earlier one comes back.
    """
    attempt = invoice.attempts[-1]
    return with_latest(invoice, replace(attempt, tries=attempt.tries + 1))


def canceled(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Decision:
    """What waited for its customer was cancelled at the processor: no money can come from it any more."""
    done = closed(attempt, AttemptStatus.CANCELED, result, at)
    freed = replace(with_latest(invoice, done), collect_at=None)
    return Decision(
        cause=f"settle:{invoice.id}:{attempt.number}", invoice=freed, facts=(canceled_fact(freed, done),)
    )


def run_waits(decision: Decision, subscription: Subscription) -> Decision:
    """While an attempt of a dunning run has no outcome, the run waits for it: the invoice's own row looks again."""
    run = subscription.dunning
    invoice = decision.invoice
    if run is None or invoice is None or run.next_at is None or run.invoices[0] != invoice.id:
        return decision
    return replace(decision, subscription=replace(subscription, dunning=replace(run, next_at=None)))


def with_latest(invoice: Invoice, attempt: Attempt) -> Invoice:
    """The invoice with its latest attempt as it is now."""
    return replace(invoice, attempts=(*invoice.attempts[:-1], attempt))
