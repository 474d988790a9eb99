"""Payments: those that attempts made, and those recorded by hand."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.application import collection, decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import Page
from chalicelib.application.records import account_key, child_key, payment_key
from chalicelib.domain import ids, manual_payment
from chalicelib.domain.currencies import exponent
from chalicelib.domain.customer import Account
from chalicelib.domain.errors import IdempotencyMismatchError, NotFoundError, ValidationError
from chalicelib.domain.invoice import Invoice, is_collected
from chalicelib.domain.manual_payment import Owed
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.subscription import Subscription


def record_payment(
    ctx: Context,
    customer_id: str,
    *,
    amount: int,
    currency: str,
    kind: str,
    reference: str | None,
    allocations: Sequence[Allocation],
) -> Payment:
    """Write down money that came by another way (minor units of `currency`) and pay invoices with it.

    Payment, invoices, subscriptions, account credit and journal entry are one transaction. Safe to run twice: the
    id derives from the request, and the second run answers what the first recorded.
    NotFoundError, ValidationError, InvalidStateError, CurrencyMismatchError; ConflictError while an attempt to
    collect one of the invoices is under way (one that waits for its customer is cancelled);
    IdempotencyMismatchError.
    """
    exponent(currency)  # ValidationError unless it is one
    payment = Payment(
        id=ids.child_id("pay", ids.require("cus", customer_id), ctx.request_key),
        customer_id=customer_id,
        amount=amount,
        currency=currency,
        at=ctx.now,
        kind=kind,
        allocations=tuple(allocations),
        reference=reference,
        request=ctx.request_print,
    )
    for owed in _owed(ctx, payment):
        collection.stop_waiting(ctx, owed.invoice, owed.subscription)

    def decide() -> Payment:
        existing = ctx.store.get(child_key(Payment, ctx.env, payment.id))
        if existing is not None:
            return _same(existing, payment)
        account = _account(ctx, customer_id)
        owed = _owed(ctx, payment)
        minimum = ctx.gateway.minimum(currency)
        decision = manual_payment.received(payment, account, owed, minimum=minimum)
        decisions.commit(ctx, customer_id, decision)
        return get_payment(ctx, payment.id)

    return deciding(decide)


def get_payment(ctx: Context, payment_id: str) -> Payment:
    """NotFoundError for a malformed, missing or foreign id alike."""
    if not is_collected(payment_id):
        ids.require("pay", payment_id)
        payment = ctx.store.get(child_key(Payment, ctx.env, payment_id))
    else:
        invoice = ctx.store.get(payment_key(ctx.env, payment_id))
        payment = _collected_by(invoice, payment_id) if invoice else None
    if payment is None:
        raise NotFoundError("no such payment", id=payment_id)
    return payment


def list_payments(ctx: Context, customer_id: str, *, limit: int, cursor: str | None) -> Page:
    """A customer's payments of both kinds, newest first; `cursor` is the last payment's id.

    All of them are in the customer's partition: two Queries, ordered here.
    """
    _account(ctx, customer_id)
    found = ctx.store.children(Payment, ctx.env, customer_id)
    for invoice in ctx.store.children(Invoice, ctx.env, customer_id):
        found += [payment for payment in invoice.payments if is_collected(payment.id)]
    found.sort(key=lambda payment: (payment.at, payment.id), reverse=True)
    start = _after(found, cursor)
    page = found[start : start + limit]
    return Page(tuple(page), page[-1].id if len(found) > start + limit else None)


def _same(existing: Payment, asked: Payment) -> Payment:
    if existing.request != asked.request:
        raise IdempotencyMismatchError(
            "this Idempotency-Key was used with another request", field="Idempotency-Key", fix="use a new key"
        )
    return existing


def _owed(ctx: Context, payment: Payment) -> list[Owed]:
    """The invoices named by the allocations, with their subscriptions."""
    named = [ids.require("inv", allocation.invoice_id) for allocation in payment.allocations]
    invoices = ctx.store.get_many([child_key(Invoice, ctx.env, each) for each in named]) if named else []
    for invoice_id, invoice in zip(named, invoices, strict=True):
        if invoice is None or invoice.customer_id != payment.customer_id:
            raise NotFoundError("no such invoice of this customer", id=invoice_id)
    owners = list({invoice.subscription_id for invoice in invoices if invoice})
    found = ctx.store.get_many([child_key(Subscription, ctx.env, each) for each in owners]) if owners else []
    subscriptions = dict(zip(owners, found, strict=True))
    return [
        Owed(invoice=invoice, subscription=subscriptions[invoice.subscription_id])
        for invoice in invoices
        if invoice is not None
    ]


def _collected_by(invoice: Invoice, payment_id: str) -> Payment | None:
    return next((payment for payment in invoice.payments if payment.id == payment_id), None)


def _after(found: Sequence[Payment], cursor: str | None) -> int:
    if cursor is None:
        return 0
    for index, payment in enumerate(found):
        if payment.id == cursor:
            return index + 1
    raise ValidationError("this is not a cursor of ours", field="cursor", fix="send next_cursor as it came")


def _account(ctx: Context, customer_id: str) -> Account:
    account = ctx.store.get(account_key(ctx.env, ids.require("cus", customer_id)))
    if account is None:
        raise NotFoundError("no such customer", id=customer_id)
    return account
