"""Calling a payment off at the processor before what it was for is given up."""

from __future__ import annotations

from chalicelib.application import collection
from chalicelib.application.context import Context
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.payment import Outcome
from chalicelib.domain.subscription import Subscription


def close_attempt(ctx: Context, invoice_id: str) -> bool:
    """Whether no money can come from the invoice's attempt any more."""
    invoice, subscription = collection.load(ctx, invoice_id)
    attempt = invoice.attempt
    if invoice.status is not InvoiceStatus.OPEN or attempt is None or not attempt.is_open:
        return True
    result = ctx.gateway.cancel_charge(collection.charge_request(ctx, invoice, attempt))
    if result is None:  # no trace of it, and too old to arrive still
        return True
    collection.settle(ctx, invoice, subscription, result)
    return result.outcome is Outcome.DECLINED


def call_off_change(ctx: Context, subscription: Subscription) -> None:
    """Call off the payment that the subscription's change waits for, where it waits for one.

    Safe to run twice. One that turns out to have succeeded brings the change into force; one that cannot be called
    off any more stays under way.
    """
    change = subscription.pending
    if change is not None and change.invoice_id is not None:
        close_attempt(ctx, change.invoice_id)
