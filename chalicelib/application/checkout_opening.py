"""Opening a checkout session: everything that waits for the payment, in one transaction, then the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.application import collection, coupons, decisions, trials
from chalicelib.application.catalog import current_catalog
from chalicelib.application.checkout_page import Waiting, ensure_page, open_page
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import Buyer, load_buyer, occasion
from chalicelib.domain import checkout_rules, ids, ordering, starting
from chalicelib.domain.catalog import Catalog, SoldBy
from chalicelib.domain.checkout import CheckoutMode, CheckoutSession
from chalicelib.domain.customer import Account, Customer, Terms
from chalicelib.domain.decision import Decision
from chalicelib.domain.erasure import refuse_erased
from chalicelib.domain.errors import (
    IdempotencyMismatchError,
    QuoteRequiredError,
    ValidationError,
)
from chalicelib.domain.journal import Fact
from chalicelib.domain.ordering import Order
from chalicelib.domain.profile import revised
from chalicelib.domain.return_urls import require_allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """What is to be bought on a hosted page, and by whom: `customer_id` of an existing customer, or the `profile`
    (as `profile.revised` takes it) of a new one, whose id then is `new_customer_id` or follows from the request.
    `by_visitor`: asked for by somebody without a secret key, who gets what the price list offers and no more.
    """

    order: Order
    success_url: str
    cancel_url: str
    customer_id: str | None = None
    profile: Mapping[str, Any] | None = None
    new_customer_id: str | None = None
    by_visitor: bool = False


def open_checkout(
    ctx: Context, purchase: Purchase, *also: object, facts: tuple[Fact, ...] = ()
) -> CheckoutSession:
    """A hosted page for the purchase. `also` and `facts` are committed with it.

    Mode payment when something is due now, setup when not: a trial (also one that needs no card: who opens a
    payment page wants one saved), or a first invoice that account credit covers. ValidationError for a free plan,
    for a trial or combination that is not offered, and for addresses outside the allowed origins.

    Safe to run twice: customer, subscription, invoice and session follow from the request's key and are written
    in one transaction; the page is opened with the session's id as key; a run that broke off is continued.
    """
    customer_id = (
        purchase.customer_id or purchase.new_customer_id or ids.customer_id(ctx.env, ctx.request_key)
    )
    session_id = ids.child_id("chk", ids.require("cus", customer_id), ctx.request_key)
    _require_return_urls(ctx, purchase)

    def decide() -> CheckoutSession | Waiting:
        existing = ctx.store.get(child_key(CheckoutSession, ctx.env, session_id))
        if existing is None:
            return _begin(ctx, purchase, session_id, also=also, facts=facts)
        if existing.request != ctx.request_print:
            raise IdempotencyMismatchError(
                "this Idempotency-Key was used with another request",
                field="Idempotency-Key",
                fix="use a new key",
            )
        return existing

    found = deciding(decide)
    return ensure_page(ctx, found) if isinstance(found, CheckoutSession) else open_page(ctx, found)


def new_buyer(ctx: Context, customer_id: str, profile: Mapping[str, Any]) -> Buyer:
    """A customer who is stored with what they buy (see `creation`)."""
    blank = Customer(id=customer_id, created_at=ctx.now, email="", request=ctx.request_print)
    return Buyer(customer=revised(blank, profile), account=Account(customer_id=customer_id))


def creation(decision: Decision, customer: Customer) -> Decision:
    """The decision with the creation of its new customer in the same transaction."""
    fact = Fact("customer.created", customer.id)
    return replace(decision, also=(*decision.also, customer), facts=(fact, *decision.facts))


def _begin(
    ctx: Context, purchase: Purchase, session_id: str, *, also: tuple[object, ...], facts: tuple[Fact, ...]
) -> Waiting:
    """Everything but the page, in one transaction."""
    customer_id = ids.customer_of(session_id)
    buyer = (
        load_buyer(ctx, customer_id)
        if purchase.customer_id is not None
        else new_buyer(ctx, customer_id, purchase.profile or {})
    )
    refuse_erased(buyer.customer)
    catalog = current_catalog(ctx)
    if purchase.by_visitor:
        _require_offered(catalog, purchase.order)
    order = replace(purchase.order, terms=Terms())  # paid on the page, whatever the customer's terms are
    subscription_id = ids.child_id("sub", customer_id, ctx.request_key)
    draft = ordering.draft(order, catalog, buyer.customer, subscription_id, ctx.now)
    if draft.plan.price is None:
        raise ValidationError(
            f"{draft.plan.name} costs nothing, so there is no page to pay on",
            field="plan",
            fix="start it with POST /v1/subscriptions",
        )
    session = _session(ctx, purchase, session_id, buyer.customer)
    release_at = session.release_at + checkout_rules.RELEASE_MARGIN
    draft = replace(draft, request=ctx.request_print, release_at=release_at)
    redeemed = coupons.redeemed(ctx, draft, order.coupon)
    draft = redeemed.subscription
    trial = trials.trial_shown(ctx, order, catalog, buyer.account, buyer.customer.email)
    if trial is not None:
        first = None
        session = replace(session, trial_days=trial.days)
    else:
        first = starting.begin(
            draft,
            buyer.account,
            occasion=occasion(ctx, draft, buyer.customer, catalog, current=catalog),
            granularity=catalog.proration,
            at=collection.instants(ctx),
            hosted=True,
        )
    decision = redeemed.onto(checkout_rules.opened(session, draft, buyer.account, first))
    if purchase.customer_id is None:
        decision = creation(decision, buyer.customer)
    decision = replace(decision, also=(*decision.also, *also), facts=(*decision.facts, *facts))
    stored = decisions.commit(ctx, customer_id, decision)
    assert stored.subscription is not None
    return Waiting(
        session=next(record for record in stored.also if isinstance(record, CheckoutSession)),
        subscription=stored.subscription,
        account=stored.account or buyer.account,
        customer=buyer.customer,
        invoice=stored.invoice,
    )


def _session(ctx: Context, purchase: Purchase, session_id: str, customer: Customer) -> CheckoutSession:
    return CheckoutSession(
        id=session_id,
        customer_id=customer.id,
        subscription_id=ids.child_id("sub", customer.id, ctx.request_key),
        mode=CheckoutMode.SETUP,
        success_url=purchase.success_url,
        cancel_url=purchase.cancel_url,
        created_at=ctx.now,
        expires_at=(ctx.machine_now + checkout_rules.PAGE_LIFETIME).replace(microsecond=0),
        release_at=ctx.now + checkout_rules.PAGE_LIFETIME,
        language=customer.language,
        request=ctx.request_print,
    )


def _require_offered(catalog: Catalog, order: Order) -> None:
    """What a visitor may buy alone: public self-serve plans, with the trial as published or without it."""
    plan = catalog.plan(order.plan)
    if not plan.public:
        raise ValidationError(f"there is no plan {order.plan!r}", field="plan", fix="see GET /v1/plans")
    if plan.sold_by is not SoldBy.SELF_SERVE:
        raise QuoteRequiredError(
            f"{plan.name} is sold after a talk with sales",
            field="plan",
            fix="start a sign-up session: it is routed to sales",
            plan=plan.id,
        )
    if order.trial_days:
        raise ValidationError(
            "a publishable key takes the trial as published",
            field="trial_days",
            fix="leave it out, or send 0 to pay at once",
        )


def _require_return_urls(ctx: Context, purchase: Purchase) -> None:
    allowed = ctx.services.allowed_origins
    require_allowed(purchase.success_url, allowed, field="success_url")
    require_allowed(purchase.cancel_url, allowed, field="cancel_url")
