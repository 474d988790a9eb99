"""What a settled attempt leaves behind: its own end, the payment, postings, and facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.billing import invoice_data
from chalicelib.domain.fall_behind import setback_data
from chalicelib.domain.invoice import Invoice, payment_id
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.payment import (
    Allocation,
    Attempt,
    AttemptStatus,
    ChargeResult,
    Decline,
    Instants,
    Payment,
)


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


def payment_of(invoice: Invoice, attempt: Attempt, result: ChargeResult, at: Instants) -> Payment:
    """The payment that a successful attempt made."""
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


def payment_postings(invoice: Invoice, attempt: Attempt, payment: Payment) -> tuple[Posting, ...]:
    difference = attempt.amount - payment.amount  # where the processor counts in coarser units than ISO 4217
    return (
        Posting(LedgerAccount.CASH, payment.amount, invoice.currency),
        Posting(LedgerAccount.ROUNDING, difference, invoice.currency),
        Posting(LedgerAccount.RECEIVABLE, -attempt.amount, invoice.currency),
    )


def payment_fact(payment: Payment, invoice: Invoice) -> Fact:
    data = {
        "payment": payment.id,
        "invoice": invoice.id,
        "amount": payment.amount,
        "currency": payment.currency,
        "method": payment.method.last4 if payment.method else "",
    }
    return Fact("payment.succeeded", payment.id, data)


def failed_fact(
    invoice: Invoice, attempt: Attempt, decline: Decline, next_attempt_at: datetime | None = None
) -> Fact:
    return Fact("payment.failed", invoice.id, _setback(invoice, attempt, decline, next_attempt_at))


def action_fact(invoice: Invoice, attempt: Attempt, next_attempt_at: datetime | None = None) -> Fact:
    """The customer is to confirm this very attempt; `next_attempt_at` is when it is given up for another."""
    assert attempt.decline is not None
    data = _setback(invoice, attempt, attempt.decline, next_attempt_at)
    return Fact("payment.action_required", invoice.id, data)


def canceled_fact(invoice: Invoice, attempt: Attempt) -> Fact:
    """An attempt that waited for its customer was given up at the processor, before anything else is tried."""
    return Fact("payment.canceled", invoice.id, {**invoice_data(invoice), "attempt": attempt.number})


def _setback(
    invoice: Invoice, attempt: Attempt, decline: Decline, next_attempt_at: datetime | None
) -> dict[str, object]:
    data = {
        **invoice_data(invoice),
        "attempt": attempt.number,
        "decline_code": decline.code,
        "decline_kind": str(decline.kind),
        **setback_data(invoice, attempt.number),
    }
    if next_attempt_at is not None:
        data["next_attempt_at"] = next_attempt_at.isoformat()
    return data
