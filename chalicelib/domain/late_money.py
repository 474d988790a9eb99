"""Money that comes when there is nothing left to pay: it goes back, and both are in the books."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.bookings import closed
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.payment import AttemptStatus, ChargeResult, Instants, Outcome


def is_late(invoice: Invoice, result: ChargeResult) -> bool:
    """Whether money came for an attempt of an invoice that was void before: it goes back."""
    attempt = invoice.attempt
    return (
        invoice.status is InvoiceStatus.VOID
        and attempt is not None
        and attempt.is_open
        and result.outcome is Outcome.SUCCEEDED
    )


def given_back(invoice: Invoice, result: ChargeResult, at: Instants) -> Decision:
    """Late money noted as received and refunded: the attempt is closed, the invoice stays void."""
    attempt = invoice.attempts[-1]
    done = closed(attempt, AttemptStatus.SUCCEEDED, result, at)
    amount, currency = result.charged or attempt.amount, invoice.currency
    data = {"invoice": invoice.id, "amount": amount, "currency": currency, "reason": "late_payment"}
    return Decision(
        cause=f"refund:{invoice.id}:late:{result.reference}",
        invoice=replace(invoice, attempts=(*invoice.attempts[:-1], done)),
        facts=(Fact("payment.refunded", invoice.id, data),),
        postings=late_postings(amount, currency),
    )


def late_postings(amount: int, currency: str) -> tuple[Posting, ...]:
    """Cash in as the customer's credit, and out again."""
    return (
        Posting(LedgerAccount.CASH, amount, currency),
        Posting(LedgerAccount.CUSTOMER_CREDIT, -amount, currency),
        Posting(LedgerAccount.CUSTOMER_CREDIT, amount, currency),
        Posting(LedgerAccount.CASH, -amount, currency),
    )
