"""Money that came by other ways than the processor: a transfer, a cheque. Recorded, allocated, the rest kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.billing import paid_fact
from chalicelib.domain.collection import after_paid
from chalicelib.domain.customer import Account, CollectionMethod, Credit
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import (
    ConflictError,
    CurrencyMismatchError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Movement, Posting
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """An invoice to be paid and what stands behind it."""

    invoice: Invoice
    subscription: Subscription


def received(payment: Payment, account: Account, owed: Sequence[Owed], *, minimum: int) -> Decision:
    """The payment recorded: each of `owed` paid by its allocation (same order), the rest account credit.

    `minimum` is the smallest amount (minor units) that the processor charges in the payment's currency. A
    payment that pays what gates a subscription activates it; one that pays what is in dunning leaves the run.
    Errors name the allocation that is wrong. Pure; the payment's id makes the decision the same every time.
    """
    _require_sum(payment)
    for index, (allocation, each) in enumerate(zip(payment.allocations, owed, strict=True)):
        _require_payable(payment, allocation, each.invoice, minimum=minimum, field=f"allocations[{index}]")
    cause = f"payment:{payment.id}"
    rest = payment.amount - sum(allocation.amount for allocation in payment.allocations)
    payment = replace(payment, credited=rest)
    subscriptions = {each.subscription.id: each.subscription for each in owed}
    before = dict(subscriptions)
    invoices, facts = [], [_recorded(payment)]
    for allocation, each in zip(payment.allocations, owed, strict=True):
        invoice = _with_share(each.invoice, payment, allocation.amount)
        invoices.append(invoice)
        if invoice.status is InvoiceStatus.PAID:
            subscription, more = after_paid(subscriptions[invoice.subscription_id], invoice, payment.at)
            subscriptions[invoice.subscription_id] = subscription
            facts += [paid_fact(invoice), *more]
    movements: tuple[Movement, ...] = ()
    for id_, subscription in subscriptions.items():
        subscriptions[id_], more_mrr = moved(subscription, cause)
        movements += more_mrr
    changed = [each for id_, each in subscriptions.items() if each != before[id_]]
    return Decision(
        cause=cause,
        account=_with_credit(account, payment) if rest else None,
        also=(payment, *invoices, *changed),
        facts=tuple(facts),
        postings=_postings(payment),
        movements=movements,
    )


def _require_sum(payment: Payment) -> None:
    named = [allocation.invoice_id for allocation in payment.allocations]
    for index, invoice_id in enumerate(named):
        if invoice_id in named[:index]:
            raise ValidationError(
                "this invoice is named twice",
                field=f"allocations[{index}].invoice",
                fix="add its amounts up",
                invoice=invoice_id,
            )
    if sum(allocation.amount for allocation in payment.allocations) > payment.amount:
        raise ValidationError(
            "more is allocated than was paid",
            field="allocations",
            fix="allocate at most amount; what is left becomes account credit",
        )


def _require_payable(
    payment: Payment, allocation: Allocation, invoice: Invoice, *, minimum: int, field: str
) -> None:
    if invoice.customer_id != payment.customer_id:
        raise NotFoundError("no such invoice of this customer", field=f"{field}.invoice", id=invoice.id)
    if invoice.currency != payment.currency:
        raise CurrencyMismatchError(
            f"the invoice is in {invoice.currency}", field=f"{field}.invoice", invoice=invoice.id
        )
    if invoice.status is not InvoiceStatus.OPEN:
        raise InvalidStateError(
            f"an invoice that is {invoice.status} takes no payment",
            field=f"{field}.invoice",
            fix="leave it out: what is not allocated becomes account credit",
            invoice=invoice.id,
        )
    if invoice.attempt is not None and invoice.attempt.is_open:
        # Its outcome is open: allocating now could take the same money twice.
        raise ConflictError(
            "an attempt to collect this invoice is under way",
            field=f"{field}.invoice",
            fix="repeat the request once it is settled, or leave the invoice out: the money becomes account credit",
            invoice=invoice.id,
        )
    _require_amount(allocation, invoice, minimum=minimum, field=f"{field}.amount")


def _require_amount(allocation: Allocation, invoice: Invoice, *, minimum: int, field: str) -> None:
    left = invoice.amount_remaining - allocation.amount
    if left < 0:
        raise ValidationError(
            f"only {invoice.amount_remaining} remains to be paid",
            field=field,
            fix="allocate less; what is left becomes account credit",
            invoice=invoice.id,
        )
    if left and invoice.activates:
        raise ValidationError(
            "what starts a subscription is paid as a whole",
            field=field,
            fix=f"allocate {invoice.amount_remaining}",
            invoice=invoice.id,
        )
    automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and 0 < left < minimum:
        raise ValidationError(
            f"what would remain is too small to be charged: at least {minimum}, or nothing",
            field=field,
            fix=f"allocate {invoice.amount_remaining}, or leave {minimum}",
            invoice=invoice.id,
        )


def _with_share(invoice: Invoice, payment: Payment, amount: int) -> Invoice:
    """The invoice with its share of the payment; paid when nothing remains."""
    share = replace(
        payment, amount=amount, credited=0, allocations=(Allocation(invoice.id, amount),), request=""
    )
    partly = replace(invoice, amount_paid=invoice.amount_paid + amount, payments=(*invoice.payments, share))
    if partly.amount_remaining:
        return partly
    return replace(partly, status=InvoiceStatus.PAID, collect_at=None, overdue_at=None, paid_at=payment.at)


def _with_credit(account: Account, payment: Payment) -> Account:
    credit = Credit(payment.credited, payment.currency, payment.at, payment.id)
    return replace(account, credits=(*account.credits, credit))


def _postings(payment: Payment) -> tuple[Posting, ...]:
    allocated = payment.amount - payment.credited
    return (
        Posting(LedgerAccount.CASH, payment.amount, payment.currency),
        Posting(LedgerAccount.RECEIVABLE, -allocated, payment.currency),
        Posting(LedgerAccount.CUSTOMER_CREDIT, -payment.credited, payment.currency),
    )


def _recorded(payment: Payment) -> Fact:
    data = {
        "payment": payment.id,
        "amount": payment.amount,
        "currency": payment.currency,
        "kind": payment.kind,
        "reference": payment.reference or "",
        "allocations": [{"invoice": each.invoice_id, "amount": each.amount} for each in payment.allocations],
        "credited": payment.credited,
    }
    return Fact("payment.recorded", payment.id, data)
