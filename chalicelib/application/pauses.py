"""Pausing and resuming by request. What a planned pause or resumption brings is a change like others: see `changes`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.application import collection
from chalicelib.application.change_decisions import cause_of, decided, invoices_of_period, is_known, stored
from chalicelib.application.change_payments import collect_change
from chalicelib.application.context import Context, deciding
from chalicelib.application.subscription_records import get_subscription, load_buyer, occasion
from chalicelib.domain import billing, change_steps, changing, ids, in_arrears, pausing
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.change_lines import billed_lines, unused
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.holding import begin_automatic
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.metered import metered
from chalicelib.domain.metrics import moved
from chalicelib.domain.redeeming import spent_with
from chalicelib.domain.subscription import PendingChange, Subscription


def pause_subscription(
    ctx: Context,
    subscription_id: str,
    *,
    at_period_end: bool,
    resumes_at: datetime | None = None,
    credit: bool = True,
) -> Subscription:
    """Pause at the end of what is paid for, or now; then what is unused becomes credit, unless it is not to.

    What was served in arrears or used is billed as it is paused. Safe to run twice: the pause's id derives from the
    request, and a second run finds the first one's work.
    """
    change_id = _change_id(ctx, "pause", subscription_id)

    def decide() -> Decision:
        subscription = get_subscription(ctx, subscription_id)
        if is_known(ctx, subscription, change_id):
            return Decision(cause="", subscription=subscription)
        pausing.require_pausable(subscription)
        assert subscription.period is not None
        at_end = at_period_end or subscription.period.end <= ctx.now  # over, and waiting for late usage
        at = subscription.period.end if at_end else ctx.now
        change = pausing.pause(subscription, at, change_id, now=ctx.now, resumes_at=resumes_at)
        if at_end:
            planned, facts = change_steps.scheduled(subscription, change)
            return stored(
                ctx, Decision(cause=f"pause:{change_id}:planned", subscription=planned, facts=facts)
            )
        return stored(ctx, _paused(ctx, subscription, change, credit=credit))

    done = deciding(decide)
    assert done.subscription is not None
    if done.invoice is not None:
        collection.collect(ctx, done.invoice, done.subscription)
    return get_subscription(ctx, subscription_id)


def resume_subscription(ctx: Context, subscription_id: str) -> Subscription:
    """Begin a period anew, paid first where it is charged automatically: see `changes.change_subscription`, whose
    refusals these are.
    """
    change_id = _change_id(ctx, "resume", subscription_id)

    def decide() -> Subscription:
        subscription = get_subscription(ctx, subscription_id)
        if is_known(ctx, subscription, change_id):
            return subscription
        change = pausing.resumption(subscription, ctx.now, change_id)
        resumed = stored(ctx, decided(ctx, subscription, change, ctx.now)).subscription
        assert resumed is not None
        return resumed

    return collect_change(ctx, deciding(decide), change_id)


def _paused(ctx: Context, subscription: Subscription, change: PendingChange, *, credit: bool) -> Decision:
    """Paused now, with an invoice of what was served and used, less what is unused."""
    buyer = load_buyer(ctx, subscription.customer_id)
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    granularity, due = catalog.proration, occasion(ctx, subscription, buyer.customer, catalog)
    cause = f"pause:{subscription.id}:{change.change_id}"
    resting, facts = pausing.paused(subscription, change)
    resting, movements = moved(resting, cause)
    decision = Decision(cause=cause, subscription=resting, facts=facts, movements=movements)
    until = in_arrears.served_until(ctx.now, subscription.zone, granularity)
    used = metered(subscription, due.usage, ctx.now)
    lines = in_arrears.served(subscription, granularity, until) + used.lines
    if credit:
        invoices = invoices_of_period(ctx, subscription)
        billed = [line for item in subscription.items for line in billed_lines(item, invoices)]
        rest = changing.stretch_after(subscription, granularity, ctx.now)
        lines += unused(subscription.items, billed, rest)
    if not lines:
        return decision
    opened = billing.open_invoice(
        subscription,
        buyer.account,
        lines,
        cause=cause_of(change.change_id),
        period=subscription.period,
        occasion=due,
    )
    invoice, account = opened.invoice, opened.account
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and invoice.status is InvoiceStatus.OPEN:
        invoice = begin_automatic(invoice, account, collection.instants(ctx))
        invoice, account = admitted(invoice, account, due.attempts_per_card, ctx.now)
    return replace(
        decision,
        account=account,
        subscription=spent_with(resting, opened.redemptions),
        invoice=invoice,
        also=used.usages,
        facts=decision.facts + opened.facts,
        postings=opened.postings,
    )


def _change_id(ctx: Context, verb: str, subscription_id: str) -> str:
    return ids.token(verb, subscription_id, ctx.request_key, length=ids.CHILD_LENGTH)
