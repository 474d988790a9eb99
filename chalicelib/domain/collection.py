"""Collecting an invoice: an attempt is written down, made once, and settled once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.domain import dunning
from chalicelib.domain.billing import invoice_data, paid_fact
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.dunning_mail import addressed
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import Invoice, InvoiceStatus, attempt_key, payment_id
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.lifecycle import activated
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import (
    Allocation,
    Attempt,
    AttemptStatus,
    ChargeResult,
    Decline,
    DeclineKind,
    Outcome,
    Payment,
)
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.write_off import written_off

NO_METHOD = Decline(
    kind=DeclineKind.SOFT, code="no_payment_method", message="There is no payment method on file."
)
_FIRST_LOOK = timedelta(minutes=5)
_LONGEST_LOOK = timedelta(hours=12)
_PROCESSING_LOOK = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Instants:
    """Business time for what is seen, machine time for leases and keys."""

    business: datetime
    machine: datetime


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
    if invoice.activates:
        return activated(subscription, now)
    return dunning.collected(subscription, invoice.id, now)


def settle(
    invoice: Invoice,
    subscription: Subscription,
    result: ChargeResult,
    *,
    at: Instants,
    waiting: tuple[Invoice, ...] = (),
    rules: dunning.Rules = dunning.Rules(),  # noqa: B008 - frozen
) -> Decision | None:
    """What the attempt's outcome means for invoice and subscription; None when it is settled already.

    `waiting` are the other invoices of the dunning run: they are written off with this one when the run ends.
    `rules` are the catalog's for a subscription in arrears.

    May run any number of times with the same result, from the worker, a webhook or the reconciler: only an
    open attempt of an open invoice can be settled. UNKNOWN moves nothing but the time of the next look.
    """
    attempt = invoice.attempt
    if attempt is None or not attempt.is_open or invoice.status is not InvoiceStatus.OPEN:
        return None
    match result.outcome:
        case Outcome.SUCCEEDED:
            return _paid(invoice, subscription, attempt, result, at)
        case Outcome.DECLINED:
            return _declined(invoice, subscription, attempt, result, at, waiting, rules)
        case Outcome.PROCESSING:
            return _waiting(_processing(invoice, attempt, result, at), subscription)
        case Outcome.UNKNOWN:
            return _waiting(_unknown(invoice, attempt, result, at), subscription)


def hosted(invoice: Invoice, account: Account, result: ChargeResult, at: Instants) -> Invoice:
    """The invoice with the attempt that a customer made on a hosted page written down, ready to settle."""
    begun = begin_attempt(invoice, account, at)
    attempt = begun.attempts[-1]
    method = result.method.id if result.method else attempt.method
    return replace(begun, attempts=(*begun.attempts[:-1], replace(attempt, method=method)))


def _paid(
    invoice: Invoice, subscription: Subscription, attempt: Attempt, result: ChargeResult, at: Instants
) -> Decision:
    done = closed(attempt, AttemptStatus.SUCCEEDED, result, at)
    payment = _payment(invoice, attempt, result, at)
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
    facts: tuple[Fact, ...] = (_payment_fact(payment, invoice), paid_fact(paid))
    after, more = after_paid(subscription, invoice, at.business)
    after, movements = moved(after, cause)
    return Decision(
        cause=cause,
        invoice=paid,
        subscription=after if after != subscription else None,
        facts=facts + more,
        postings=_payment_postings(invoice, attempt, payment),
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
) -> Decision:
    decline = result.decline or Decline(kind=DeclineKind.SOFT, code="generic_decline")
    done = replace(closed(attempt, AttemptStatus.DECLINED, result, at), decline=decline)
    refused = replace(invoice, attempts=(*invoice.attempts[:-1], done), collect_at=None)
    decision = Decision(
        cause=_cause(invoice, attempt), invoice=refused, facts=(_failed_fact(refused, done, decline),)
    )
    if invoice.activates or not _is_collected_by_run(invoice):
        return decision
    if not subscription.is_running:  # its last hope was under way when the run ended
        return _given_up(decision, refused, (), at.business) if dunning.has_ended(subscription) else decision
    run = subscription.dunning
    if run is not None and invoice.id not in run.invoices:
        joined = dunning.joined(subscription, _by_age(invoice, waiting))
        decision = _joined(decision, refused, joined, run.next_at)
        return addressed(decision, subscription, run.policy, decline, at.business)
    verdict = dunning.declined(subscription, invoice.id, decline, at.business, rules)
    after, movements = moved(verdict.subscription, decision.cause)
    failed = _failed_fact(refused, done, decline, after.dunning.next_at if after.dunning else None)
    decision = replace(decision, subscription=after, facts=(failed, *verdict.facts), movements=movements)
    decision = addressed(decision, subscription, rules.policy, decline, at.business)
    return _given_up(decision, refused, waiting, at.business) if verdict.gives_up else decision


def _joined(
    decision: Decision, invoice: Invoice, subscription: Subscription, next_at: datetime | None
) -> Decision:
    """An invoice that was being collected when the run began waits its turn in it; the run's days stay."""
    done = invoice.attempts[-1]
    assert done.decline is not None
    failed = _failed_fact(invoice, done, done.decline, next_at)
    return replace(decision, subscription=subscription, facts=(failed,))


def _by_age(invoice: Invoice, others: tuple[Invoice, ...]) -> tuple[str, ...]:
    return tuple(each.id for each in sorted((invoice, *others), key=lambda each: each.sequence))


def _given_up(decision: Decision, invoice: Invoice, waiting: tuple[Invoice, ...], now: datetime) -> Decision:
    """The end of a dunning run: everything that it was to collect is uncollectible, except what is being paid."""
    left = [each for each in waiting if each.attempt is None or not each.attempt.is_open]
    given_up = [written_off(each, now) for each in (invoice, *left) if each.status is InvoiceStatus.OPEN]
    return replace(
        decision,
        invoice=given_up[0][0],
        also=tuple(each for each, _, _ in given_up[1:]),
        facts=decision.facts + tuple(fact for _, facts, _ in given_up for fact in facts),
        postings=tuple(posting for _, _, postings in given_up for posting in postings),
    )


def _processing(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Decision:
    if attempt.status is AttemptStatus.PROCESSING:
        facts: tuple[Fact, ...] = ()
    else:
        facts = (Fact("payment.processing", invoice.id, {"attempt": attempt.number}),)
    waiting = replace(
        attempt, status=AttemptStatus.PROCESSING, reference=result.reference, charge=result.charge
    )
    return Decision(
        cause=f"processing:{invoice.id}:{attempt.number}",
        invoice=replace(
            invoice, attempts=(*invoice.attempts[:-1], waiting), collect_at=at.business + _PROCESSING_LOOK
        ),
        facts=facts,
    )


def _unknown(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Decision:
    wait = min(_FIRST_LOOK * 2**attempt.tries, _LONGEST_LOOK)
    later = replace(
        attempt,
        tries=attempt.tries + 1,
        not_before=at.machine + wait,
        reference=result.reference or attempt.reference,
    )
    return Decision(
        cause=f"unknown:{invoice.id}:{attempt.number}:{later.tries}",
        invoice=replace(invoice, attempts=(*invoice.attempts[:-1], later)),
    )


def _waiting(decision: Decision, subscription: Subscription) -> Decision:
    """While an attempt of a dunning run has no outcome, the run waits for it: the invoice's own row looks again."""
    run = subscription.dunning
    invoice = decision.invoice
    if run is None or invoice is None or run.next_at is None or run.invoices[0] != invoice.id:
        return decision
    return replace(decision, subscription=replace(subscription, dunning=replace(run, next_at=None)))


def _is_collected_by_run(invoice: Invoice) -> bool:
    return invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY


def closed(attempt: Attempt, status: AttemptStatus, result: ChargeResult, at: Instants) -> Attempt:
    """The attempt at its end, with what the processor said of it."""
    return replace(
        attempt,
        status=status,
        reference=result.reference or attempt.reference,
        charge=result.charge or attempt.charge,
        settled_at=at.business,
        not_before=None,
    )


def _cause(invoice: Invoice, attempt: Attempt) -> str:
    return f"settle:{invoice.id}:{attempt.number}"


def _payment(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Payment:
    return Payment(
        id=payment_id(invoice.id, attempt.number),
        customer_id=invoice.customer_id,
        amount=result.charged or attempt.amount,
        currency=invoice.currency,
        at=at.business,
        kind=result.method.kind if result.method else "card",
        allocations=(Allocation(invoice.id, attempt.amount),),
        reference=result.reference,
        charge=result.charge,
        method=result.method,
    )


def _payment_postings(invoice: Invoice, attempt: Attempt, payment: Payment) -> tuple[Posting, ...]:
    difference = attempt.amount - payment.amount  # where the processor counts in coarser units than ISO 4217
    return (
        Posting(LedgerAccount.CASH, payment.amount, invoice.currency),
        Posting(LedgerAccount.ROUNDING, difference, invoice.currency),
        Posting(LedgerAccount.RECEIVABLE, -attempt.amount, invoice.currency),
    )


def _payment_fact(payment: Payment, invoice: Invoice) -> Fact:
    data = {
        "payment": payment.id,
        "invoice": invoice.id,
        "amount": payment.amount,
        "currency": payment.currency,
        "method": payment.method.last4 if payment.method else "",
    }
    return Fact("payment.succeeded", payment.id, data)


def _failed_fact(
    invoice: Invoice, attempt: Attempt, decline: Decline, next_attempt_at: datetime | None = None
) -> Fact:
    data = {
        **invoice_data(invoice),
        "attempt": attempt.number,
        "decline_code": decline.code,
        "decline_kind": str(decline.kind),
    }
    if next_attempt_at is not None:
        data["next_attempt_at"] = next_attempt_at.isoformat()
    return Fact("payment.failed", invoice.id, data)
