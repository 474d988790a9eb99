"""Subscriptions as read, and what an invoice of one needs to be drawn up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.application import confirmation
from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context
from chalicelib.application.metered_usage import usage_of
from chalicelib.application.ports import Page
from chalicelib.application.records import account_key, child_key, customer_key
from chalicelib.domain import ids
from chalicelib.domain.billing import Occasion
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.customer import Account, CollectionMethod, Customer
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.in_arrears import is_billed_in_advance
from chalicelib.domain.invoice import Invoice, cycle_cause, invoice_id
from chalicelib.domain.subscription import Status, Subscription
from chalicelib.domain.taxation import terms_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Buyer:
    """A customer with the money side, as read."""

    customer: Customer
    account: Account


def get_subscription(ctx: Context, subscription_id: str) -> Subscription:
    ids.require("sub", subscription_id)
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    if subscription is None:
        raise NotFoundError("no such subscription", id=subscription_id)
    return subscription


def list_subscriptions(
    ctx: Context, *, customer_id: str | None, status: Status | None, limit: int, cursor: str | None
) -> Page:
    """Newest first: a customer's own (one Query; `cursor` is the last one's id), or the environment's.

    `status` filters what a page shows: one of the environment's may be short and still have a cursor.
    """
    if customer_id is None:
        page = ctx.store.listing(Subscription, ctx.env, limit=limit, cursor=cursor)
        return replace(page, records=tuple(s for s in page.records if status in (None, s.status)))
    load_buyer(ctx, customer_id)
    own = ctx.store.children(Subscription, ctx.env, customer_id)
    own.sort(key=lambda subscription: (subscription.created_at, subscription.id), reverse=True)
    if cursor is not None:
        own = own[_position(own, cursor) + 1 :]
    found = [subscription for subscription in own if status in (None, subscription.status)]
    return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def load_buyer(ctx: Context, customer_id: str) -> Buyer:
    """The customer and the account; NotFoundError."""
    ids.require("cus", customer_id)
    customer, account = ctx.store.get_many(
        [customer_key(ctx.env, customer_id), account_key(ctx.env, customer_id)]
    )
    if customer is None or account is None:
        raise NotFoundError("no such customer", id=customer_id)
    return Buyer(customer=customer, account=account)


def default_currency(ctx: Context, customer_id: str) -> str:
    """The customer's currency, else the catalog's default."""
    customer = load_buyer(ctx, customer_id).customer
    return customer.currency or current_catalog(ctx).default_currency


def occasion(
    ctx: Context,
    subscription: Subscription,
    customer: Customer,
    catalog: Catalog,
    *,
    current: Catalog | None = None,
) -> Occasion:
    """When, for whom and from whom an invoice of this subscription is drawn up. `current`: the catalog in force,
    whose tax applies; read where it is not given.
    """
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    minimum = ctx.gateway.minimum(subscription.currency) if automatic else 0
    _, policy = catalog.dunning_of(subscription.plan.product, customer.segment)
    return Occasion(
        now=ctx.now,
        customer=customer,
        seller=catalog.seller,
        minimum=minimum,
        tax=terms_of(customer, current or ctx.catalogs.in_force(ctx.env, ctx.machine_now) or catalog),
        attempts_per_card=policy.attempts_per_card,
        usage=usage_of(ctx, subscription),
    )


def confirmation_url(ctx: Context, subscription: Subscription) -> str | None:
    """Where the customer of an incomplete subscription confirms its first payment, while that waits for them."""
    first = first_invoice_id(subscription) if subscription.status is Status.INCOMPLETE else None
    invoice = ctx.store.get(child_key(Invoice, ctx.env, first)) if first is not None else None
    return confirmation.link_of(ctx, invoice) if invoice is not None else None


def first_invoice_id(subscription: Subscription) -> str | None:
    """The invoice that gates (or gated) the subscription's current period; none where that is billed once it is over
    and is the first.
    """
    if subscription.period is None or (subscription.cycle == 0 and not is_billed_in_advance(subscription)):
        return None
    return invoice_id(subscription.id, cycle_cause(subscription.period.start))


def require_method(subscription: Subscription, account: Account) -> None:
    """ValidationError where it is charged automatically and there is nothing to charge."""
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and account.payment_method is None:
        raise ValidationError(
            "there is no payment method on file",
            field="payment_method",
            fix="send payment_method, or let the customer pay on a page: POST /v1/checkout_sessions",
        )


def _position(own: Sequence[Subscription], cursor: str) -> int:
    for index, subscription in enumerate(own):
        if subscription.id == cursor:
            return index
    raise ValidationError("this is not a cursor of ours", field="cursor", fix="send next_cursor as it came")
