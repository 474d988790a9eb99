"""Credit notes by request: issued in one transaction with everything they change, their refunds made after it."""

from __future__ import annotations

from chalicelib.application import collection, credit_refunds, decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.credit_refunds import Desk
from chalicelib.application.ports import Page
from chalicelib.application.records import account_key, child_key
from chalicelib.domain import change_steps, credit_choice, crediting, ids
from chalicelib.domain.collection import after_paid
from chalicelib.domain.credit_note import CreditNote, NoteLine, note_id
from chalicelib.domain.credit_value import own
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import (
    IdempotencyMismatchError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.metrics import moved
from chalicelib.domain.subscription import Subscription


def issue_credit_note(ctx: Context, invoice_id: str, wanted: Wanted, *, reason: str = "") -> CreditNote:
    """Say that less is owed than the invoice said. It first lowers the invoice's amount due; the rest is refunded or
    becomes account credit.

    Note, invoice, account, refunds and journal entry are one transaction; its refunds are made after it, or by their
    due rows. Safe to run twice: the id derives from the request. An attempt that waits for its customer is cancelled
    before. An invoice on which nothing is due any more is paid, and leaves its dunning run.
    NotFoundError, ValidationError, InvalidStateError; ConflictError while the invoice is being charged;
    IdempotencyMismatchError.
    """
    ids.require("inv", invoice_id)
    id_ = note_id(invoice_id, ctx.request_key)
    if ctx.store.get(child_key(CreditNote, ctx.env, id_)) is None:
        collection.stop_waiting(ctx, *collection.load(ctx, invoice_id))

    def decide() -> CreditNote:
        existing = ctx.store.get(child_key(CreditNote, ctx.env, id_))
        if existing is not None:
            return _same(existing, ctx)
        decisions.commit(ctx, ids.customer_of(invoice_id), _decided(ctx, invoice_id, wanted, reason))
        return get_credit_note(ctx, id_)

    note = deciding(decide)
    credit_refunds.make(ctx, [note])
    return note


def get_credit_note(ctx: Context, id_: str) -> CreditNote:
    """NotFoundError for a malformed, missing or foreign id alike."""
    note = ctx.store.get(child_key(CreditNote, ctx.env, ids.require("crn", id_)))
    if note is None:
        raise NotFoundError("no such credit note", id=id_)
    return note


def list_credit_notes(
    ctx: Context, *, customer_id: str | None, invoice_id: str | None, limit: int, cursor: str | None
) -> Page:
    """A customer's (or one invoice's) notes, newest first: one Query; `cursor` is the last one's count."""
    if invoice_id is not None:
        owner = ids.customer_of(ids.require("inv", invoice_id))
        if customer_id not in (None, owner):
            raise NotFoundError("no such invoice", id=invoice_id)
    elif customer_id is None:
        raise ValidationError("say whose notes", field="customer", fix="send customer or invoice")
    else:
        owner = ids.require("cus", customer_id)
    if ctx.store.get(account_key(ctx.env, owner)) is None:
        raise NotFoundError("no such customer", id=owner)
    if cursor is not None and not cursor.isdecimal():
        raise ValidationError(
            "this is not a cursor of ours", field="cursor", fix="send next_cursor as it came"
        )
    notes = sorted(ctx.store.children(CreditNote, ctx.env, owner), key=lambda note: -note.sequence)
    found = [
        note
        for note in notes
        if invoice_id in (None, note.invoice_id) and (cursor is None or note.sequence < int(cursor))
    ]
    return Page(tuple(found[:limit]), str(found[limit - 1].sequence) if len(found) > limit else None)


def desk_of(ctx: Context, customer_id: str) -> Desk:
    """The account, then all invoices of the customer: whoever credits one of them meanwhile writes the account."""
    account = collection.account_of(ctx, customer_id)
    invoices = ctx.store.children(Invoice, ctx.env, customer_id)
    return Desk(account=account, invoices={invoice.id: invoice for invoice in invoices})


def issue_on(
    ctx: Context,
    desk: Desk,
    invoice: Invoice,
    lines: tuple[NoteLine, ...],
    wanted: Wanted,
    *,
    id_: str,
    reason: str,
) -> CreditNote:
    """Put the note over these lines of an invoice on the desk, with its refunds."""
    total = sum(line.total for line in lines)
    rest = crediting.beyond_due(invoice, total)
    parts = credit_refunds.money_of(ctx, desk, invoice, rest)
    money = sum(part.amount for part in parts)
    made = crediting.issued(
        invoice,
        desk.account,
        lines,
        refund=crediting.refund_of(invoice, total, wanted, money),
        id_=id_,
        now=ctx.now,
        reason=reason,
        request=ctx.request_print,
    )
    desk.account = made.account
    desk.put(made.invoice)
    desk.facts += made.facts
    desk.postings += made.postings
    note = credit_refunds.write_down(ctx, desk, made.note, parts)
    credit_refunds.note_lent(desk, note, max(0, rest - max(0, own(invoice))))
    desk.made.append(note)
    return note


def _decided(ctx: Context, invoice_id: str, wanted: Wanted, reason: str) -> Decision:
    desk = desk_of(ctx, ids.customer_of(invoice_id))
    invoice, subscription = collection.load(ctx, invoice_id)
    _require_creditable(invoice, subscription)
    lines = credit_choice.chosen(invoice, desk.invoices, wanted)
    minimum = ctx.gateway.minimum(invoice.currency)
    credit_choice.require_chargeable(invoice, sum(line.total for line in lines), minimum)
    note = issue_on(
        ctx, desk, invoice, lines, wanted, id_=note_id(invoice_id, ctx.request_key), reason=reason
    )
    decision = desk.onto(Decision(cause=f"credit_note:{note.id}"))
    if invoice.status is InvoiceStatus.OPEN and desk.invoices[invoice_id].status is InvoiceStatus.PAID:
        return _settled(decision, desk.invoices[invoice_id], subscription, ctx)
    return decision


def _settled(decision: Decision, invoice: Invoice, subscription: Subscription, ctx: Context) -> Decision:
    """Nothing is due of the invoice any more: its dunning run goes on with the next, or ends recovered."""
    after, facts = after_paid(subscription, invoice, ctx.now)
    after, movements = moved(after, decision.cause)
    if after == subscription:
        return decision
    return Decision(
        cause=decision.cause,
        account=decision.account,
        subscription=after,
        also=decision.also,
        facts=(*decision.facts, *facts),
        postings=decision.postings,
        movements=movements,
    )


def _require_creditable(invoice: Invoice, subscription: Subscription) -> None:
    credit_choice.require_creditable(invoice)
    if invoice.status is InvoiceStatus.OPEN and change_steps.is_paid_by(subscription, invoice):
        raise InvalidStateError(
            "a change waits for this invoice to be paid",
            fix=f"DELETE /v1/subscriptions/{subscription.id}/pending_change takes it back",
            invoice=invoice.id,
        )


def _same(existing: CreditNote, ctx: Context) -> CreditNote:
    if existing.request != ctx.request_print:
        raise IdempotencyMismatchError(
            "this Idempotency-Key was used with another request", field="Idempotency-Key", fix="use a new key"
        )
    return existing
