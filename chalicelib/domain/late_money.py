"""Money that comes when there is nothing left to pay: it goes back, and both are in the books.

It is a payment of its own, all of it paid over, and its refund begins in the same transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.domain import ids
from chalicelib.domain.bookings import closed
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.payment import AttemptStatus, ChargeResult, Instants, Outcome, Payment
from chalicelib.domain.refund import Refund, refund_key

REASON = "late_payment"


def late_payment_id(customer_id: str, reference: str) -> str:
    """The same money of the processor's is the same payment, whoever notices it."""
    return ids.child_id("pay", customer_id, "late", reference)


def late_refund_id(payment_id: str) -> str:
    """The refund that begins with the payment."""
    return ids.child_id("ref", payment_id, payment_id, REASON)


def is_late(invoice: Invoice, result: ChargeResult) -> bool:
    """Whether money came for an attempt of an invoice that was void before: it goes back."""
    attempt = invoice.attempt
    return (
        invoice.status is InvoiceStatus.VOID
        and attempt is not None
        and attempt.is_open
        and result.outcome is Outcome.SUCCEEDED
    )


def received(invoice: Invoice, result: ChargeResult, at: Instants, *also: Any) -> Decision:
    """Late money noted as received, with the refund that returns it written down; `also` changes with it."""
    assert result.reference is not None
    payment = _payment(invoice, result, at)
    refund = Refund(
        id=late_refund_id(payment.id),
        customer_id=payment.customer_id,
        payment_id=payment.id,
        amount=payment.amount,
        currency=payment.currency,
        at=at.business,
        written_at=at.machine,
        key=refund_key(payment.id, payment.refunds),
        payment_reference=payment.reference,
        reason=REASON,
        look_at=at.business,
    )
    data = {
        "payment": payment.id,
        "invoice": invoice.id,
        "amount": payment.amount,
        "currency": payment.currency,
        "reference": payment.reference,
    }
    return Decision(
        cause=f"late:{payment.reference}",
        also=(payment, refund, *also),
        facts=(Fact("payment.unexpected", payment.id, data),),
        postings=(
            Posting(LedgerAccount.CASH, payment.amount, payment.currency),
            Posting(LedgerAccount.CUSTOMER_CREDIT, -payment.amount, payment.currency),
        ),
    )


def attempt_closed(invoice: Invoice, result: ChargeResult, at: Instants) -> Invoice:
    """The void invoice with the attempt whose money came late at its end."""
    done = closed(invoice.attempts[-1], AttemptStatus.SUCCEEDED, result, at)
    return replace(invoice, attempts=(*invoice.attempts[:-1], done))


def _payment(invoice: Invoice, result: ChargeResult, at: Instants) -> Payment:
    assert result.reference is not None
    amount = result.charged
    return Payment(
        id=late_payment_id(invoice.customer_id, result.reference),
        customer_id=invoice.customer_id,
        amount=amount,
        currency=invoice.currency,
        at=at.business,
        kind=result.method.kind if result.method else "card",
        allocations=(),
        reference=result.reference,
        charge=result.charge or result.reference,
        method=result.method,
        credited=amount,
        refunding=amount,
        refunds=1,
    )
