"""Completing a sign-up session: a subscription at once, a hosted page to pay on, or a lead for sales."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.application import (
    checkout,
    checkout_opening,
    checkout_page,
    collection,
    decisions,
    trials,
)
from chalicelib.application.catalog import current_catalog
from chalicelib.application.checkout_opening import Purchase
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import child_key
from chalicelib.application.signup import draft_of, get_signup, subscription_id_of, trial_of
from chalicelib.application.subscription_records import occasion
from chalicelib.domain import ids, signup_rules, starting
from chalicelib.domain.checkout import CheckoutSession, SignupSession, SignupStatus
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError, ValidationError
from chalicelib.domain.journal import Fact
from chalicelib.domain.signup_rules import Outcome, Reason
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a completed sign-up led to: exactly one of subscription (with `checkout` while it waits) and lead."""

    session: SignupSession
    subscription: Subscription | None = None
    checkout: CheckoutSession | None = None


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
    return replace(done, checkout=checkout_page.ensure_page(ctx, done.checkout))


def read_completion(ctx: Context, signup_id: str) -> Completion:
    """The sign-up as it is, with what it has led to so far."""
    session = get_signup(ctx, signup_id)
    page = checkout.get_checkout(ctx, session.checkout_id) if session.checkout_id else None
    return Completion(session=session, subscription=_subscription(ctx, session), checkout=page)


def _complete(ctx: Context, session: SignupSession) -> None:
    catalog = current_catalog(ctx)
    plan = signup_rules.require_plan(session, catalog)
    profile = signup_rules.profile_of(session)
    reason = signup_rules.sales_reason(session, plan)
    if reason is not None:
        deciding(lambda: _route_to_sales(ctx, session.id, reason))
        return
    order = signup_rules.order_of(session, plan, catalog)
    trial = trial_of(ctx, session, plan, catalog, Account(customer_id=session.customer_id))
    if plan.is_free or (trial is not None and not trial.card_required):
        deciding(lambda: _start(ctx, session.id))
        return
    _require_return_urls(session)
    # The page's own request: everything it makes is named after the sign-up, whoever completes it.
    own = replace(ctx, request_key=session.id, request_print=session.id)
    done = _completed(ctx, session, Outcome.CHECKOUT, subscription_id=subscription_id_of(session))
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
    redeemed = draft_of(ctx, session, plan, catalog, buyer.customer)
    draft = redeemed.subscription
    trial = trial_of(ctx, session, plan, catalog, buyer.account)
    if trial is not None:
        outcome = Outcome.TRIALING
        decision = trials.trial_begun(ctx, draft, buyer, trial)
    elif not plan.is_free:
        raise ConflictError(
            "somebody started a trial with this e-mail address a moment ago", fix="complete it again"
        )
    else:
        outcome = Outcome.ACTIVE
        decision = starting.begin(
            draft,
            buyer.account,
            occasion=occasion(ctx, draft, buyer.customer, catalog, current=catalog),
            granularity=catalog.proration,
            at=collection.instants(ctx),
        )
        decision = replace(decision, account=decision.account or buyer.account)
    done = _completed(ctx, session, outcome, subscription_id=draft.id)
    decision = checkout_opening.creation(redeemed.onto(decision), buyer.customer)
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
