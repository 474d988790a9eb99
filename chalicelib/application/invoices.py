"""Invoices by request: find, list, pay."""

from __future__ import annotations

from chalicelib.application import collection, confirmation, payment_methods
from chalicelib.application.context import Context
from chalicelib.application.ports import Page
from chalicelib.application.records import account_key, child_key
from chalicelib.domain import ids
from chalicelib.domain.errors import (
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice, InvoiceStatus


def get_invoice(ctx: Context, invoice_id: str) -> Invoice:
    ids.require("inv", invoice_id)
    invoice = ctx.store.get(child_key(Invoice, ctx.env, invoice_id))
    if invoice is None:
        raise NotFoundError("no such invoice", id=invoice_id)
    return invoice


def list_invoices(
    ctx: Context, *, customer_id: str | None, subscription_id: str | None, limit: int, cursor: str | None
) -> Page:
    """A customer's (or one subscription's) invoices, newest first; `cursor` is the last invoice's number.

    All of a customer's invoices are one partition: they are read in one Query and ordered by their numbers.
    """
    customer_id = _customer(customer_id, subscription_id)
    invoices = ctx.store.children(Invoice, ctx.env, customer_id)
    if not invoices and ctx.store.get(account_key(ctx.env, customer_id)) is None:
        raise NotFoundError("no such customer", id=customer_id)
    before = _sequence(cursor)
    found = sorted(
        (
            invoice
            for invoice in invoices
            if subscription_id in (None, invoice.subscription_id)
            and (before is None or invoice.sequence < before)
        ),
        key=lambda invoice: -invoice.sequence,
    )
    following = str(found[limit - 1].sequence) if len(found) > limit else None
    return Page(tuple(found[:limit]), following)


def pay_invoice(ctx: Context, invoice_id: str, *, payment_method: str | None) -> Invoice:
    """Collect an open invoice now, with a new payment method if one is given.

    Paying the invoice that gates a subscription activates it; paying one that is in dunning goes on with the
    run. Safe to run twice: an attempt in the air is finished before another begins, and a paid invoice is
    refused; one that waits for its customer is cancelled first. Raises PaymentDeclinedError, also where the customer
    is to confirm the payment (with the address where they do), PaymentPendingError, InvalidStateError.
    """
    invoice = get_invoice(ctx, invoice_id)
    if invoice.status is not InvoiceStatus.OPEN:
        raise InvalidStateError(f"an invoice that is {invoice.status} cannot be paid", invoice=invoice_id)
    if invoice.amount_remaining < ctx.gateway.minimum(invoice.currency):
        raise InvalidStateError(
            "what remains is less than the processor charges",
            fix="record the payment with POST /v1/payments",
            invoice=invoice_id,
        )
    if payment_method is not None:
        payment_methods.attach(ctx, invoice.customer_id, payment_method)
    invoice = collection.begin_and_collect(ctx, invoice_id)
    if invoice.status is InvoiceStatus.PAID:
        return invoice
    refuse_unpaid(ctx, invoice)
    return invoice


def refuse_unpaid(ctx: Context, invoice: Invoice) -> None:
    """Say why an invoice that was just collected is not paid."""
    attempt, link = invoice.attempt, confirmation.link_of(ctx, invoice)
    if link is not None:
        raise PaymentDeclinedError(
            "the customer's bank wants them to confirm this payment",
            fix="send the customer to ids.confirmation_url",
            subscription=invoice.subscription_id,
            invoice=invoice.id,
            decline_code=attempt.decline.code if attempt and attempt.decline else "",
            confirmation_url=link,
        )
    if attempt is not None and attempt.is_open:
        raise PaymentPendingError(
            "the outcome of the payment is not known yet",
            fix="repeat this request with the same Idempotency-Key",
            subscription=invoice.subscription_id,
            invoice=invoice.id,
        )
    decline = attempt.decline if attempt is not None else None
    raise PaymentDeclinedError(
        decline.message if decline and decline.message else "the payment was declined",
        field="payment_method",
        fix=f"send another payment method to POST /v1/invoices/{invoice.id}/pay",
        subscription=invoice.subscription_id,
        invoice=invoice.id,
        decline_code=decline.code if decline else "",
    )


def _customer(customer_id: str | None, subscription_id: str | None) -> str:
    if subscription_id is not None:
        ids.require("sub", subscription_id)
        owner = ids.customer_of(subscription_id)
        if customer_id not in (None, owner):
            raise NotFoundError("no such subscription", id=subscription_id)
        return owner
    if customer_id is None:
        raise ValidationError("say whose invoices", field="customer", fix="send customer or subscription")
    return ids.require("cus", customer_id)


def _sequence(cursor: str | None) -> int | None:
    if cursor is not None and not cursor.isdecimal():
        raise ValidationError(
            "this is not a cursor of ours", field="cursor", fix="send next_cursor as it came"
        )
    return int(cursor) if cursor is not None else None
