"""Invoices of usage alone, between two periods or after the end."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import card_limits, collection, decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import get_subscription, load_buyer, occasion
from chalicelib.domain import overage
from chalicelib.domain.billing import open_invoice
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.holding import begin_automatic
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.metered import Metered
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import Usage


def bill_usage(ctx: Context, usage_id: str) -> None:
    """Bill usage that has called for an invoice of its own, and collect it.

    Safe to run twice, and beside a renewal: the usage says what was billed and is written with the invoice. A crash
    before the charge leaves the invoice's own due row.
    """
    key = child_key(Usage, ctx.env, usage_id)

    def decide() -> tuple[Invoice, Subscription] | None:
        usage = ctx.store.get(key)
        if usage is None or usage.settle_at is None or usage.settle_at > ctx.now:
            return None
        subscription = get_subscription(ctx, usage.subscription_id)
        due = overage.own_lines(subscription, usage, ctx.now)
        if not due.lines:
            ctx.store.commit(ctx.env, replace(usage, settle_at=None))
            return None
        stored = decisions.commit(ctx, usage.customer_id, _opened(ctx, subscription, usage, due))
        assert stored.invoice is not None
        return stored.invoice, subscription

    opened = deciding(decide)
    if opened is not None:
        collection.collect(ctx, *opened)


def _opened(ctx: Context, subscription: Subscription, usage: Usage, due: Metered) -> Decision:
    buyer = load_buyer(ctx, subscription.customer_id)
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    when = occasion(ctx, subscription, buyer.customer, catalog)
    cause = overage.cause_of(usage)
    account = card_limits.with_room(ctx, buyer.account, when.attempts_per_card)
    period = due.lines[0].period
    spent = tuple(each for each in subscription.redemptions if period and each.spent_on == period.start)
    subscription = replace(subscription, redemptions=spent)  # no other coupon is used up between two periods
    opened = open_invoice(subscription, account, due.lines, cause=cause, period=period, occasion=when)
    invoice, account = opened.invoice, opened.account
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and invoice.status is InvoiceStatus.OPEN:
        invoice = begin_automatic(invoice, account, collection.instants(ctx))
        invoice, account = admitted(invoice, account, when.attempts_per_card, ctx.now)
    billed = (replace(each, settle_at=None, settled=usage.settled + 1) for each in due.usages)
    return Decision(
        cause=f"usage:{usage.id}:{usage.settled + 1}",
        account=account,
        invoice=invoice,
        also=tuple(billed),
        facts=opened.facts,
        postings=opened.postings,
    )
