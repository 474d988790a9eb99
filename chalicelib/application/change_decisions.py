"""What a change comes to: in force with its invoice, or waiting until that is paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.application import card_limits, collection, decisions
from chalicelib.application.context import Context
from chalicelib.application.invoices import refuse_unpaid
from chalicelib.application.metered_usage import usage_of
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import load_buyer, occasion, require_method
from chalicelib.domain import billing, change_steps, changing
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.change_lines import invoice_ids_of_period
from chalicelib.domain.changing import Changed
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Cause, CauseKind, Invoice, InvoiceStatus, invoice_id
from chalicelib.domain.metrics import moved
from chalicelib.domain.redeeming import spent_with
from chalicelib.domain.subscription import PendingChange, Subscription


def decided(
    ctx: Context,
    subscription: Subscription,
    change: PendingChange,
    at: datetime,
    *,
    automatic: bool = False,
) -> Decision:
    """The change as of `at`: in force with its invoice, or waiting for that to be paid.

    ValidationError where there is nothing to charge; `automatic`: nobody asked now, so that is a decline.
    """
    buyer = load_buyer(ctx, subscription.customer_id)
    catalog = ctx.catalogs.version(ctx.env, change.catalog_version)
    invoices = invoices_of_period(ctx, subscription)
    used = usage_of(ctx, subscription, change.items)
    result = changing.changed(subscription, change, invoices, catalog.proration, at, used)
    cause = f"change:{subscription.id}:{change.change_id}"
    if not result.lines:
        return _in_force(subscription, result, change, Decision(cause=cause, also=result.usages))
    now_due = occasion(ctx, result.subscription, buyer.customer, catalog)
    opened = billing.open_invoice(
        result.subscription,
        card_limits.with_room(ctx, buyer.account, now_due.attempts_per_card),
        result.lines,
        cause=cause_of(change.change_id),
        period=result.subscription.period,
        occasion=now_due,
    )
    decision = Decision(
        cause=cause,
        also=result.usages,
        account=opened.account,
        invoice=opened.invoice,
        facts=opened.facts,
        postings=opened.postings,
    )
    is_charged = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if opened.invoice.status is not InvoiceStatus.OPEN or not is_charged:
        spent = replace(result, subscription=spent_with(result.subscription, opened.redemptions))
        return _in_force(subscription, spent, change, decision)
    if not automatic:
        require_method(subscription, buyer.account)
    waiting = change_steps.awaiting_payment(
        subscription, change, opened.invoice, ctx.now, redemptions=opened.redemptions
    )
    invoice = begin_attempt(opened.invoice, opened.account, collection.instants(ctx))
    invoice, account = admitted(invoice, opened.account, now_due.attempts_per_card, ctx.now)
    return replace(decision, invoice=invoice, account=account, subscription=waiting)


def is_known(ctx: Context, subscription: Subscription, change_id: str) -> bool:
    """Whether this request was here before: its change is in force, planned, waiting, or was refused."""
    pending = subscription.pending
    if change_id in subscription.changes or (pending is not None and pending.change_id == change_id):
        return True
    key = child_key(Invoice, ctx.env, invoice_id(subscription.id, cause_of(change_id)))
    invoice = ctx.store.get(key)
    if invoice is not None and invoice.status is InvoiceStatus.VOID:
        refuse_unpaid(ctx, invoice)
    return invoice is not None


def invoices_of_period(ctx: Context, subscription: Subscription) -> list[Invoice]:
    """What was billed for the present period so far, oldest first."""
    keys = [child_key(Invoice, ctx.env, id_) for id_ in invoice_ids_of_period(subscription)]
    return [invoice for invoice in (ctx.store.get_many(keys) if keys else []) if invoice is not None]


def cause_of(change_id: str) -> Cause:
    return Cause(kind=CauseKind.CHANGE, reference=change_id)


def stored(ctx: Context, decision: Decision) -> Decision:
    """The decision, committed."""
    assert decision.subscription is not None
    return decisions.commit(ctx, decision.subscription.customer_id, decision)


def _in_force(before: Subscription, result: Changed, change: PendingChange, decision: Decision) -> Decision:
    after, facts = change_steps.noted(before, result.subscription, change)
    after, movements = moved(after, decision.cause)
    return replace(decision, subscription=after, facts=(*decision.facts, *facts), movements=movements)
