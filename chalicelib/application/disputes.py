"""Disputes: what the customer's bank takes back, looked up and booked; what waits for them goes on when they close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.application import collection, decisions, payment_notices, reports
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import Page, ProcessorNotice
from chalicelib.application.records import account_key, child_key
from chalicelib.domain import disputing, ids
from chalicelib.domain.dispute import Dispute
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Payment
from chalicelib.domain.subscription import Subscription


def apply_notice(ctx: Context, notice: ProcessorNotice) -> None:
    """Whatever was said of a dispute: all disputes of its payment are looked up, and what is new is booked.

    Safe to run any number of times, in any order and at once: the processor is asked after our records were read,
    so what was seen earlier cannot be written over what was seen later. A payment that we have not settled yet is
    settled first. Money that no invoice was paid with (it went back as it came) is reported as a fact, once.
    """
    if notice.invoice_id is None:
        return
    if _paid_with(ctx, notice) is None:
        payment_notices.settle_payment(ctx, replace(notice, kind="payment_intent.succeeded"))
        if _paid_with(ctx, notice) is None:
            reports.record_once(ctx, notice, "dispute.unmatched")
            return
    deciding(lambda: _bring_in_line(ctx, notice))


def list_disputes(ctx: Context, customer_id: str, *, limit: int, cursor: str | None = None) -> Page:
    """A customer's disputes as (payment, dispute), newest first; `cursor` is the last one's reference. One Query
    over the customer's invoices.
    """
    if ctx.store.get(account_key(ctx.env, ids.require("cus", customer_id))) is None:
        raise NotFoundError("no such customer", id=customer_id)
    found = [
        (payment, dispute)
        for invoice in ctx.store.children(Invoice, ctx.env, customer_id)
        for payment in invoice.payments
        for dispute in payment.disputes
    ]
    found.sort(key=lambda each: (each[1].opened_at, each[1].state.reference), reverse=True)
    start = _after(found, cursor)
    page = tuple(found[start : start + limit])
    return Page(page, page[-1][1].state.reference if len(found) > start + limit else None)


def _bring_in_line(ctx: Context, notice: ProcessorNotice) -> None:
    assert notice.customer_id is not None
    found = _paid_with(ctx, notice)
    standing = ctx.store.standing(ctx.env, notice.customer_id)
    account = standing.account
    if found is None or account is None:
        raise NotFoundError("no such payment", id=notice.reference)
    invoice, payment = found
    waiting = disputing.Waiting()
    if account.disputes:
        invoices = ctx.store.children(Invoice, ctx.env, notice.customer_id)
        others = [each for each in invoices if each.id != invoice.id]
        waiting = disputing.Waiting(invoices=others, subscriptions=standing.subscriptions)
    suspends = () if account.disputes else _without_access(ctx, standing.subscriptions)
    states = ctx.gateway.disputes(notice.reference)
    decision = disputing.brought_in_line(
        invoice, payment, account, states, waiting, ctx.now, suspends=suspends
    )
    if decision is not None:
        decisions.commit(ctx, notice.customer_id, decision)


def _after(found: Sequence[tuple[Payment, Dispute]], cursor: str | None) -> int:
    references = [dispute.state.reference for _, dispute in found]
    if cursor is not None and cursor not in references:
        raise ValidationError(
            "this is not a cursor of ours", field="cursor", fix="send next_cursor as it came"
        )
    return references.index(cursor) + 1 if cursor is not None else 0


def _without_access(ctx: Context, subscriptions: Sequence[Subscription]) -> tuple[str, ...]:
    """Those whose policy takes access away while a dispute is open."""
    named = []
    for each in subscriptions:
        catalog = ctx.catalogs.version(ctx.env, each.catalog_version)
        if each.is_running and not collection.policy_of(ctx, each, catalog)[1].access_while_disputed:
            named.append(each.id)
    return tuple(named)


def _paid_with(ctx: Context, notice: ProcessorNotice) -> tuple[Invoice, Payment] | None:
    """The invoice that was paid with the processor's payment."""
    assert notice.invoice_id is not None
    invoice = ctx.store.get(child_key(Invoice, ctx.env, notice.invoice_id))
    if invoice is None:
        raise NotFoundError("no such invoice", id=notice.invoice_id)
    payment = next((each for each in invoice.payments if each.reference == notice.reference), None)
    return (invoice, payment) if payment is not None else None
