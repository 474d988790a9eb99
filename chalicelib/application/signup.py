"""Sign-up sessions: a cart filled over several steps, priced exactly, and completed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.application import checkout, checkout_opening, collection, decisions, subscriptions, trials
from chalicelib.application.catalog import current_catalog
from chalicelib.application.checkout_opening import Purchase
from chalicelib.application.context import Context, create_once, deciding
from chalicelib.application.ports import Page
from chalicelib.application.records import child_key
from chalicelib.domain import ids, lifecycle, renewal, signup_rules
from chalicelib.domain.catalog import Catalog, Plan, TrialTerms
from chalicelib.domain.checkout import CheckoutSession, SignupSession, SignupStatus
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError, ValidationError
from chalicelib.domain.journal import Fact
from chalicelib.domain.order_price import OrderPrice, price_order
from chalicelib.domain.return_urls import require_allowed
from chalicelib.domain.signup_rules import Outcome, Reason
from chalicelib.domain.subscription import Subscription

MOST_PAGES = 10
"""How many pages of the list one filtered request looks through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a completed sign-up led to: exactly one of subscription (with `checkout` while it waits) and lead."""

    session: SignupSession
    subscription: Subscription | None = None
    checkout: CheckoutSession | None = None


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
    return create_once(ctx, _merged(ctx, blank, changes))


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

    QuoteRequiredError for a plan without a price; ValidationError names what is missing or not offered.
    """
    return price_of(ctx, get_signup(ctx, signup_id))


def price_of(ctx: Context, session: SignupSession) -> OrderPrice:
    """The price of a session as it is, stored or not."""
    catalog = current_catalog(ctx)
    plan = signup_rules.require_plan(session, catalog)
    customer = _shown_customer(ctx, session)
    draft = _draft(ctx, session, plan, catalog, customer)
    account = Account(customer_id=session.customer_id)
    return price_order(
        draft,
        account,
        trial=_trial(ctx, session, plan, catalog, account),
        occasion=subscriptions.occasion(ctx, draft, customer, catalog),
        granularity=catalog.proration,
        at=collection.instants(ctx),
    )


def complete_signup(ctx: Context, signup_id: str) -> Completion:
    """Turn the cart into what it leads to: a subscription (free plan, trial without card), a hosted page to pay or
    save a card on, or a lead for sales.

    Safe to run twice and at once: customer, subscription, checkout and lead derive their ids from the session, and
    its version lets one run write. Later calls answer what it led to, opening a page that had not been opened.
    """
    session = get_signup(ctx, signup_id)
    if session.status in (SignupStatus.OPEN, SignupStatus.ABANDONED):
        _complete(ctx, session)
    done = read_completion(ctx, signup_id)
    if done.checkout is None:
        return done
    return replace(done, checkout=checkout_opening.ensure_page(ctx, done.checkout))


def read_completion(ctx: Context, signup_id: str) -> Completion:
    """The sign-up as it is, with what it has led to so far."""
    session = get_signup(ctx, signup_id)
    page = checkout.get_checkout(ctx, session.checkout_id) if session.checkout_id else None
    return Completion(session=session, subscription=_subscription(ctx, session), checkout=page)


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
    return signup_rules.merged(session, changes, current_catalog(ctx), ctx.now)


def _complete(ctx: Context, session: SignupSession) -> None:
    catalog = current_catalog(ctx)
    plan = signup_rules.require_plan(session, catalog)
    profile = signup_rules.profile_of(session)
    reason = signup_rules.sales_reason(session, plan)
    if reason is not None:
        deciding(lambda: _route_to_sales(ctx, session.id, reason))
        return
    order = signup_rules.order_of(session, plan, catalog)
    trial = _trial(ctx, session, plan, catalog, Account(customer_id=session.customer_id))
    if plan.is_free or (trial is not None and not trial.card_required):
        deciding(lambda: _start(ctx, session.id))
        return
    _require_return_urls(session)
    # The page's own request: everything it makes is named after the sign-up, whoever completes it.
    own = replace(ctx, request_key=session.id, request_print=session.id)
    done = _completed(ctx, session, Outcome.CHECKOUT, subscription_id=_subscription_id(session))
    done = replace(done, checkout_id=ids.child_id("chk", session.customer_id, session.id))
    purchase = Purchase(
        order=order,
        profile=profile,
        new_customer_id=session.customer_id,
        success_url=session.success_url,
        cancel_url=session.cancel_url,
        by_visitor=True,
    )
    checkout_opening.open_checkout(own, purchase, done, facts=(_fact(done),))


def _start(ctx: Context, signup_id: str) -> None:
    """Customer and subscription at once: nothing is due and no card is needed."""
    session = get_signup(ctx, signup_id)
    if session.subscription_id is not None:
        return
    catalog = current_catalog(ctx)
    plan = signup_rules.require_plan(session, catalog)
    buyer = checkout_opening.new_buyer(ctx, session.customer_id, signup_rules.profile_of(session))
    draft = _draft(ctx, session, plan, catalog, buyer.customer)
    trial = _trial(ctx, session, plan, catalog, buyer.account)
    if trial is not None:
        outcome = Outcome.TRIALING
        running, facts = lifecycle.trialing(draft, trial, ctx.now)
        created = Fact("subscription.created", running.id, lifecycle.subscription_data(running))
        decision = Decision(
            cause=f"trial:{running.id}",
            account=replace(buyer.account, trial_used=True),
            subscription=running,
            also=trials.claims_of(ctx, session.customer_id, session.email),
            facts=(created, *facts),
        )
    elif not plan.is_free:
        raise ConflictError(
            "somebody started a trial with this e-mail address a moment ago", fix="complete it again"
        )
    else:
        outcome = Outcome.ACTIVE
        decision = renewal.begin(
            draft,
            buyer.account,
            occasion=subscriptions.occasion(ctx, draft, buyer.customer, catalog),
            granularity=catalog.proration,
            at=collection.instants(ctx),
        )
        decision = replace(decision, account=decision.account or buyer.account)
    done = _completed(ctx, session, outcome, subscription_id=draft.id)
    decision = checkout_opening.creation(decision, buyer.customer)
    decision = replace(decision, also=(*decision.also, done), facts=(*decision.facts, _fact(done)))
    decisions.commit(ctx, session.customer_id, decision)


def _route_to_sales(ctx: Context, signup_id: str, reason: Reason) -> None:
    session = get_signup(ctx, signup_id)
    if session.lead_id is not None:
        return
    lead = signup_rules.lead_of(session, reason, ctx.now)
    done = replace(
        _completed(ctx, session, Outcome.SALES), status=SignupStatus.ROUTED_TO_SALES, lead_id=lead.id
    )
    created = Fact("lead.created", lead.id, {"reason": lead.reason, "plan": lead.plan, "signup": session.id})
    decision = Decision(cause=f"signup:{session.id}", also=(done, lead), facts=(created, _fact(done)))
    decisions.commit(ctx, session.customer_id, decision)


def _completed(
    ctx: Context, session: SignupSession, outcome: Outcome, *, subscription_id: str | None = None
) -> SignupSession:
    return replace(
        session,
        status=SignupStatus.COMPLETE,
        outcome=outcome,
        subscription_id=subscription_id,
        completed_at=ctx.now,
        updated_at=ctx.now,
    )


def _fact(done: SignupSession) -> Fact:
    data = {
        "outcome": done.outcome,
        "plan": done.plan or "",
        "customer": done.customer_id,
        "subscription": done.subscription_id,
        "lead": done.lead_id,
    }
    return Fact("signup.completed", done.id, {name: value for name, value in data.items() if value})


def _trial(
    ctx: Context, session: SignupSession, plan: Plan, catalog: Catalog, account: Account
) -> TrialTerms | None:
    order = signup_rules.order_of(session, plan, catalog)
    return trials.trial_of(ctx, order, catalog, account, session.email)


def _draft(
    ctx: Context, session: SignupSession, plan: Plan, catalog: Catalog, customer: Customer
) -> Subscription:
    order = signup_rules.order_of(session, plan, catalog)
    draft = lifecycle.draft(order, catalog, customer, _subscription_id(session), ctx.now)
    return replace(draft, request=session.id)


def _shown_customer(ctx: Context, session: SignupSession) -> Customer:
    """The customer as far as the cart knows them: enough to price by."""
    return Customer(id=session.customer_id, created_at=ctx.now, email=session.email, zone=session.zone)


def _subscription_id(session: SignupSession) -> str:
    return ids.child_id("sub", session.customer_id, session.id)


def _subscription(ctx: Context, session: SignupSession) -> Subscription | None:
    if session.subscription_id is None:
        return None
    return ctx.store.get(child_key(Subscription, ctx.env, session.subscription_id))


def _require_return_urls(session: SignupSession) -> None:
    for field, value in (("success_url", session.success_url), ("cancel_url", session.cancel_url)):
        if not value:
            raise ValidationError(
                "this sign-up leads to a payment page, which has to come back somewhere",
                field=field,
                fix=f"send {field}",
            )
