"""Voiding an open invoice by hand: nothing was ever owed."""

from __future__ import annotations

from chalicelib.application import collection, decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.credit_notes import desk_of
from chalicelib.domain import billing, change_steps, dunning, ids
from chalicelib.domain.credit_note import reversed_total
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError, InvalidStateError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.metrics import moved
from chalicelib.domain.subscription import Subscription


def void_invoice(ctx: Context, invoice_id: str) -> Invoice:
    """Say that nothing was ever owed of an open invoice on which nothing was paid: its bookings are reversed, the
    credit that it used comes back, and its dunning run goes on with the next, or ends recovered.

    Safe to run twice: the second time it is not open any more. An attempt that waits for its customer is cancelled
    before. NotFoundError; InvalidStateError with the way out; ConflictError while a payment is under way.
    """
    ids.require("inv", invoice_id)
    collection.stop_waiting(ctx, *collection.load(ctx, invoice_id))

    def decide() -> Invoice:
        desk = desk_of(ctx, ids.customer_of(invoice_id))
        invoice, subscription = collection.load(ctx, invoice_id)
        _require_voidable(invoice, subscription)
        if reversed_total(invoice, desk.invoices.values()):
            raise InvalidStateError(
                "a change of the subscription gave lines of it back",
                fix=f"POST /v1/invoices/{invoice_id}/credit_notes credits the rest",
                invoice=invoice_id,
            )
        voided = billing.void(invoice, desk.account, ctx.now)
        cause = f"void:{invoice.id}"
        after, facts = dunning.collected(subscription, invoice.id, ctx.now)
        after, movements = moved(after, cause)
        decision = Decision(
            cause=cause,
            account=voided.account,
            invoice=voided.invoice,
            subscription=after if after != subscription else None,
            facts=(*voided.facts, *facts),
            postings=voided.postings,
            movements=movements,
        )
        stored = decisions.commit(ctx, invoice.customer_id, decision)
        assert stored.invoice is not None
        return stored.invoice

    return deciding(decide)


def _require_voidable(invoice: Invoice, subscription: Subscription) -> None:
    if invoice.status is not InvoiceStatus.OPEN:
        raise InvalidStateError(
            f"an invoice that is {invoice.status} cannot be voided",
            fix=f"POST /v1/invoices/{invoice.id}/credit_notes takes back what was owed",
            invoice=invoice.id,
        )
    if invoice.payments or invoice.credited:
        raise InvalidStateError(
            "something was paid or credited on it already",
            fix=f"POST /v1/invoices/{invoice.id}/credit_notes credits the rest",
            invoice=invoice.id,
        )
    if invoice.activates or change_steps.is_paid_by(subscription, invoice):
        raise InvalidStateError(
            "its subscription waits for it to be paid",
            fix="take the change back, or let what waits expire: that voids it",
            invoice=invoice.id,
            subscription=subscription.id,
        )
    if invoice.attempt is not None and invoice.attempt.is_open:
        raise ConflictError(
            "a payment of this invoice may still come",
            fix="repeat the request once it is settled",
            invoice=invoice.id,
        )
