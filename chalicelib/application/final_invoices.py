"""The last invoice of a subscription that ends, as part of the decision that ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalicelib.application import card_limits, collection
from chalicelib.application.context import Context
from chalicelib.application.records import account_key, customer_key
from chalicelib.domain.billing import Occasion
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.customer import Customer
from chalicelib.domain.decision import Decision
from chalicelib.domain.ending import with_final_invoice
from chalicelib.domain.in_arrears import is_in_arrears, served_until
from chalicelib.domain.subscription import Subscription

OccasionOf = Callable[[Context, Subscription, Customer, Catalog], Occasion]


def closing(
    ctx: Context,
    decision: Decision,
    subscription: Subscription,
    occasion_of: OccasionOf,
    *,
    at: datetime | None = None,
) -> Decision:
    """The decision that ends `subscription` (as it was before) with the invoice for what was served in arrears.

    `at`: the instant of a cancellation in the middle, whose day is consumed; None: the end of its period. Reads
    nothing for a subscription that is billed in advance. May run twice: the invoice's id follows from the period.
    """
    owes = bool(subscription.charges) or any(is_in_arrears(item) for item in subscription.items)
    if subscription.period is None or not owes:
        return decision
    owner = subscription.customer_id
    customer, account = ctx.store.get_many([customer_key(ctx.env, owner), account_key(ctx.env, owner)])
    assert customer is not None
    assert account is not None
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    end = subscription.period.end
    if decision.account is not None:  # as what came before in this decision leaves it
        account = decision.account
    occasion = occasion_of(ctx, subscription, customer, catalog)
    return with_final_invoice(
        decision,
        subscription,
        card_limits.with_room(ctx, account, occasion.attempts_per_card),
        until=end if at is None else served_until(at, subscription.zone, catalog.proration),
        occasion=occasion,
        granularity=catalog.proration,
        at=collection.instants(ctx),
    )


def collect_final(ctx: Context, decision: Decision) -> None:
    """Charge the final invoice of a committed decision, if it has one. A crash before leaves its own due row."""
    if decision.invoice is not None and decision.subscription is not None:
        collection.collect(ctx, decision.invoice, decision.subscription)
