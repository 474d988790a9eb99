"""Collecting an invoice: an attempt is written down, made once, and settled once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain import awaiting_customer, change_steps, dunning, funnel, overage, pending
from chalicelib.domain.billing import paid_fact
from chalicelib.domain.bookings import (
    closed,
    failed_fact,
    payment_fact,
    payment_of,
    payment_postings,
)
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.dunning_invoices import by_age, given_up, is_collected_by_run
from chalicelib.domain.dunning_mail import addressed
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.fall_behind import fallen_behind
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus, attempt_key
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import activated
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import (
    Attempt,
    AttemptStatus,
    ChargeResult,
    Decline,
    DeclineKind,
    Instants,
    Outcome,
)
from chalicelib.domain.pending import with_latest
from chalicelib.domain.subscription import Subscription

SETBACKS = (Outcome.DECLINED, Outcome.REQUIRES_ACTION)
NO_METHOD = Decline(
    kind=DeclineKind.SOFT, code="no_payment_method", message="There is no payment method on file."
)


def begin_attempt(invoice: Invoice, account: Account, at: Instants) -> Invoice:
    """The invoice with its next attempt written down, or unchanged when one is open already.

    Key, amount and payment method are frozen here, before the processor is called.
    """
    if invoice.status is not InvoiceStatus.OPEN:
        raise InvalidStateError(f"an invoice that is {invoice.status} is not collected", invoice=invoice.id)
    if invoice.attempt is not None and invoice.attempt.is_open:
        return invoice
    number = len(invoice.attempts) + 1
    attempt = Attempt(
        number=number,
        key=attempt_key(invoice.id, number),
        amount=invoice.amount_remaining,
        at=at.business,
        written_at=at.machine,
        processor_customer=account.processor_customer or "",
        method=account.payment_method.id if account.payment_method else "",
    )
    return replace(invoice, attempts=(*invoice.attempts, attempt), collect_at=at.business)


def after_paid(
    subscription: Subscription, invoice: Invoice, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription once its invoice is paid: activated by its first, or a step out of arrears."""
    subscription = funnel.paid(subscription, invoice)
    if invoice.activates:
        return activated(subscription, now)
    if change_steps.is_paid_by(subscription, invoice):
        return change_steps.paid_for(subscription, invoice, now)
    return dunning.collected(subscription, invoice.id, now)


def settle(
    invoice: Invoice,
    subscription: Subscription,
    result: ChargeResult,
    *,
    at: Instants,
    waiting: tuple[Invoice, ...] = (),
    rules: dunning.Rules = dunning.Rules(),  # noqa: B008 - frozen
    is_replaced: bool = False,
) -> Decision | None:
    """What the attempt's outcome means for invoice and subscription; None when it is settled already.

    `waiting` are the other invoices of the dunning run: they are written off with this one when the run ends.
    `rules` are the catalog's for a subscription in arrears. `is_replaced`: while the attempt was under way its
    customer got another payment method, which is tried at once where the attempt was declined.

    May run any number of times with the same result, from the worker, a webhook or the reconciler: only an
    open attempt of an open invoice can be settled. UNKNOWN moves nothing but the time of the next look. An attempt
    that waits for its customer ends paid or cancelled: refused, it can be confirmed again.
    """
    attempt = invoice.attempt
    if attempt is None or invoice.status is not InvoiceStatus.OPEN or pending.is_known(invoice, result, at):
        return None
    if result.outcome in SETBACKS:
        invoice = fallen_behind(invoice, subscription, result, policy=rules.policy_name, now=at.business)
    match result.outcome:
        case Outcome.SUCCEEDED:
            return _paid(invoice, subscription, attempt, result, at)
        case Outcome.PROCESSING:
            return pending.run_waits(pending.processing(invoice, attempt, result, at), subscription)
        case Outcome.DECLINED if attempt.awaits_customer and result.is_canceled:
            return awaiting_customer.canceled(invoice, subscription, attempt, result, at)
        case _ if attempt.awaits_customer:
            return None
        case Outcome.DECLINED:
            return _declined(invoice, subscription, attempt, result, at, waiting, rules, is_replaced=is_replaced)
        case Outcome.REQUIRES_ACTION:
            return awaiting_customer.action_required(
                invoice, subscription, attempt, result, at, waiting, rules
            ) or _declined(invoice, subscription, attempt, result, at, waiting, rules)
        case Outcome.UNKNOWN:
            return pending.run_waits(pending.unknown(invoice, attempt, result, at), subscription)


def hosted(invoice: Invoice, account: Account, result: ChargeResult, at: Instants) -> Invoice:
    """The invoice with the attempt that a customer made on a hosted page written down, ready to settle."""
    begun = begin_attempt(invoice, account, at)
    attempt = begun.attempts[-1]
    method = result.method.id if result.method else attempt.method
    return with_latest(begun, replace(attempt, method=method))


def _paid(
    invoice: Invoice, subscription: Subscription, attempt: Attempt, result: ChargeResult, at: Instants
) -> Decision:
    done = replace(closed(attempt, AttemptStatus.SUCCEEDED, result, at), decline=None)
    payment = payment_of(invoice, attempt, result, at)
    paid = replace(
        invoice,
        status=InvoiceStatus.PAID,
        amount_paid=invoice.amount_paid + attempt.amount,
        attempts=(*invoice.attempts[:-1], done),
        payments=(*invoice.payments, payment),
        collect_at=None,
        overdue_at=None,
        paid_at=at.business,
    )
    cause = _cause(invoice, attempt)
    facts: tuple[Fact, ...] = (payment_fact(payment, invoice), paid_fact(paid))
    after, more = after_paid(subscription, invoice, at.business)
    after, movements = moved(after, cause)
    return Decision(
        cause=cause,
        invoice=paid,
        subscription=after if after != subscription else None,
        facts=facts + more,
        postings=payment_postings(invoice, attempt, payment),
        movements=movements,
    )


def _declined(
    invoice: Invoice,
    subscription: Subscription,
    attempt: Attempt,
    result: ChargeResult,
    at: Instants,
    waiting: tuple[Invoice, ...],
    rules: dunning.Rules,
    *,
    is_replaced: bool = False,
) -> Decision:
    decline = result.decline or Decline(kind=DeclineKind.SOFT, code="generic_decline")
    done = replace(closed(attempt, AttemptStatus.DECLINED, result, at), decline=decline)
    refused = replace(invoice, attempts=(*invoice.attempts[:-1], done), collect_at=None)
    decision = Decision(
        cause=_cause(invoice, attempt), invoice=refused, facts=(failed_fact(refused, done, decline),)
    )
    if change_steps.is_paid_by(subscription, invoice):
        return replace(decision, subscription=change_steps.refused(subscription, at.business))
    if invoice.cause.kind is CauseKind.USAGE and subscription.is_running:
        return overage.declined(decision, refused, decline, rules.policy, at.business)
    if invoice.activates or not is_collected_by_run(invoice):
        return decision
    if not subscription.is_running:  # its last hope was under way when the run ended
        return given_up(decision, refused, (), at.business) if dunning.has_ended(subscription) else decision
    run = subscription.dunning
    if run is not None and invoice.id not in run.invoices:
        joined = dunning.joined(subscription, by_age(invoice, waiting))
        decision = _joined(decision, refused, joined, run.next_at)
        return addressed(decision, subscription, run.policy, decline, at.business)
    verdict = dunning.declined(subscription, invoice.id, decline, at.business, rules)
    behind = verdict.subscription
    if is_replaced:
        behind = dunning.with_new_method(behind, at.business)
    after, movements = moved(behind, decision.cause, reason="fell_back")
    failed = failed_fact(refused, done, decline, after.dunning.next_at if after.dunning else None)
    decision = replace(decision, subscription=after, facts=(failed, *verdict.facts), movements=movements)
    decision = addressed(decision, subscription, rules.policy, decline, at.business)
    return given_up(decision, refused, waiting, at.business) if verdict.gives_up else decision


def _joined(
    decision: Decision, invoice: Invoice, subscription: Subscription, next_at: datetime | None
) -> Decision:
    """An invoice that was being collected when the run began waits its turn in it; the run's days stay."""
    done = invoice.attempts[-1]
    assert done.decline is not None
    failed = failed_fact(invoice, done, done.decline, next_at)
    return replace(decision, subscription=subscription, facts=(failed,))


def _cause(invoice: Invoice, attempt: Attempt) -> str:
    return f"settle:{invoice.id}:{attempt.number}"
