"""Sign-up sessions: a cart filled over several steps and priced exactly (`signup_completion` turns it into more)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chalicelib.application import collection, coupons, decisions, trials
from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context, create_once, deciding
from chalicelib.application.ports import Page
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import occasion
from chalicelib.domain import ids, ordering, signup_rules
from chalicelib.domain.catalog import Catalog, Plan, TrialTerms
from chalicelib.domain.checkout import SignupSession, SignupStatus
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import DomainError
from chalicelib.domain.journal import Fact
from chalicelib.domain.order_price import OrderPrice, price_order
from chalicelib.domain.profile import revised
from chalicelib.domain.return_urls import require_allowed
from chalicelib.domain.signup_tax import place_of
from chalicelib.domain.tax import TaxTerms
from chalicelib.domain.taxation import terms_of

MOST_PAGES = 10
"""How many pages of the list one filtered request looks through."""


def create_signup(ctx: Context, changes: Mapping[str, Any]) -> SignupSession:
    """A new sign-up with what its first step knows (any of the fields, see `signup_rules.merged`).

    Safe to run twice: the id follows from the request, and the second run answers what the first one made.
    """
    signup_id = signup_id_of(ctx)
    blank = SignupSession(
        id=signup_id,
        customer_id=ids.customer_of(signup_id),
        created_at=ctx.now,
        updated_at=ctx.now,
        abandon_at=ctx.now + signup_rules.IDLE,
        request=ctx.request_print,
    )
    return deciding(lambda: create_once(ctx, _merged(ctx, blank, changes)))


def update_signup(ctx: Context, signup_id: str, changes: Mapping[str, Any]) -> SignupSession:
    """One more step. Safe to run twice: the same step leaves the same cart. An abandoned one is open again."""

    def decide() -> SignupSession:
        session = _merged(ctx, get_signup(ctx, signup_id), changes)
        ctx.store.commit(ctx.env, session)
        return replace(session, version=session.version + 1)

    return deciding(decide)


def save_signup(ctx: Context, changes: Mapping[str, Any]) -> SignupSession:
    """The sign-up of this request with these fields, made or brought up to date: what a form does.

    Safe to run twice. InvalidStateError when it was completed with other content.
    """
    session = create_signup(ctx, changes)
    wanted = _merged(ctx, replace(session, status=SignupStatus.OPEN), changes)
    as_it_was = replace(
        wanted, status=session.status, updated_at=session.updated_at, abandon_at=session.abandon_at
    )
    return session if as_it_was == session else update_signup(ctx, session.id, changes)


def signup_id_of(ctx: Context) -> str:
    """The id that this request's sign-up has, or will have."""
    return ids.child_id("sus", ids.customer_id(ctx.env, ctx.request_key), ctx.request_key)


def get_signup(ctx: Context, signup_id: str) -> SignupSession:
    """NotFoundError for a malformed, missing or foreign id alike."""
    key = child_key(SignupSession, ctx.env, ids.require("sus", signup_id))
    return signup_rules.require(ctx.store.get(key), signup_id)


def list_signups(
    ctx: Context, *, limit: int, cursor: str | None = None, status: SignupStatus | None = None
) -> Page:
    """Newest first. With `status` a page may hold fewer than `limit` although more follow."""
    page = Page((), cursor)
    for _ in range(MOST_PAGES):
        found = ctx.store.listing(SignupSession, ctx.env, limit=limit, cursor=page.cursor)
        matching = tuple(each for each in found.records if status in (None, each.status))
        page = Page(matching, found.cursor)
        if matching or page.cursor is None:
            break
    return page


def price_signup(ctx: Context, signup_id: str) -> OrderPrice:
    """The exact first invoice and the renewal after it, as completing now would make them. Writes nothing.

    QuoteRequiredError for a plan without a price; ValidationError names what is missing or not offered;
    InvalidStateError why the coupon cannot be redeemed.
    """
    return price_of(ctx, get_signup(ctx, signup_id))


def price_of(ctx: Context, session: SignupSession) -> OrderPrice:
    """The price of a session as it is, stored or not."""
    catalog = current_catalog(ctx)
    plan = signup_rules.require_plan(session, catalog)
    customer = _shown_customer(ctx, session)
    draft = draft_of(ctx, session, plan, catalog, customer).subscription
    account = Account(customer_id=session.customer_id)
    return price_order(
        draft,
        account,
        trial=trial_of(ctx, session, plan, catalog, account),
        occasion=occasion(ctx, draft, customer, catalog, current=catalog),
        granularity=catalog.proration,
        at=collection.instants(ctx),
    )


def tax_terms_of(ctx: Context, session: SignupSession, catalog: Catalog) -> TaxTerms:
    """How the buyer would be taxed, as far as the cart knows them."""
    return terms_of(_shown_customer(ctx, session), catalog)


def coupon_problem(ctx: Context, session: SignupSession) -> str | None:
    """Why the session's coupon cannot be redeemed with its order; None where it can, or something else is wrong."""
    try:
        price_of(ctx, session)
    except DomainError as error:
        return error.message if error.field == "coupon" else None
    return None


def abandon_signup(ctx: Context, signup_id: str) -> None:
    """The due row of a sign-up: nothing has happened for a day. Kept, and reported once; safe to run twice."""

    def decide() -> None:
        session = ctx.store.get(child_key(SignupSession, ctx.env, signup_id))
        if session is None or session.status is not SignupStatus.OPEN or session.abandon_at > ctx.now:
            return
        decision = Decision(
            cause=f"abandon:{session.id}:{session.version}",
            also=(replace(session, status=SignupStatus.ABANDONED),),
            facts=(Fact("signup.abandoned", session.id, {"plan": session.plan or ""}),),
        )
        decisions.commit(ctx, session.customer_id, decision)

    deciding(decide)


def _merged(ctx: Context, session: SignupSession, changes: Mapping[str, Any]) -> SignupSession:
    for field in ("success_url", "cancel_url"):
        if changes.get(field):
            require_allowed(changes[field], ctx.services.allowed_origins, field=field)
    if changes.get("coupon"):
        coupons.require_offered(ctx, changes["coupon"])
    return signup_rules.merged(session, changes, current_catalog(ctx), ctx.now)


def trial_of(
    ctx: Context, session: SignupSession, plan: Plan, catalog: Catalog, account: Account
) -> TrialTerms | None:
    order = signup_rules.order_of(session, plan, catalog)
    return trials.trial_shown(ctx, order, catalog, account, session.email)


def draft_of(
    ctx: Context, session: SignupSession, plan: Plan, catalog: Catalog, customer: Customer
) -> coupons.Redeemed:
    order = signup_rules.order_of(session, plan, catalog)
    draft = ordering.draft(order, catalog, customer, subscription_id_of(session), ctx.now)
    return coupons.redeemed(ctx, replace(draft, request=session.id), order.coupon)


def _shown_customer(ctx: Context, session: SignupSession) -> Customer:
    """The customer as far as the cart knows them: enough to price by."""
    blank = Customer(
        id=session.customer_id, created_at=ctx.now, email="nobody@example.com", zone=session.zone
    )
    known = revised(blank, place_of(session)) if session.country else blank
    return replace(known, email=session.email)


def subscription_id_of(session: SignupSession) -> str:
    return ids.child_id("sub", session.customer_id, session.id)
