"""Sign-up sessions over HTTP: a website drives them with its publishable key; the id of a session opens it."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application import signup as use_cases
from chalicelib.application.signup_completion import Completion, complete_signup, read_completion
from chalicelib.domain import ids
from chalicelib.domain.checkout import CheckoutStatus
from chalicelib.domain.errors import (
    CaptchaRequiredError,
    CaptchaUnavailableError,
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    QuoteRequiredError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.order_price import OrderPrice
from chalicelib.entrypoints.http.auth import is_publishable
from chalicelib.entrypoints.http.explanation_view import tax_view
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import attempt
from chalicelib.entrypoints.http.schemas.signup import (
    AddOnView,
    PriceLineView,
    SignupPriceView,
    SignupQuery,
    SignupSessionPage,
    SignupSessionRequest,
    SignupSessionView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/signup_sessions",
    body=SignupSessionRequest,
    answer=SignupSessionView,
    status=201,
    scope=Scope.WRITE,
    publishable=True,
    tag="Sign-up",
    summary="Start a sign-up with whatever is known",
    errors=(NotFoundError, ValidationError),
)
def create_signup_session(call: Call[SignupSessionRequest]) -> SignupSessionView:
    return signup_view(Completion(session=use_cases.create_signup(call.ctx, _changes(call.body))))


@endpoint(
    bp,
    "GET",
    "/v1/signup_sessions",
    query=SignupQuery,
    answer=SignupSessionPage,
    scope=Scope.READ,
    tag="Sign-up",
    summary="List sign-ups, newest first: the abandoned ones, say",
    errors=(ValidationError,),
)
def list_signup_sessions(call: Call[None]) -> SignupSessionPage:
    page = use_cases.list_signups(
        call.ctx, limit=call.query.limit, cursor=call.query.cursor, status=call.query.status
    )
    data = [signup_view(Completion(session=each)) for each in page.records]
    return SignupSessionPage(data=data, next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/signup_sessions/{id}",
    answer=SignupSessionView,
    publishable=True,
    tag="Sign-up",
    summary="Get a sign-up with what it led to",
    errors=(NotFoundError,),
)
def get_signup_session(call: Call[None]) -> SignupSessionView:
    return signup_view(read_completion(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "PATCH",
    "/v1/signup_sessions/{id}",
    body=SignupSessionRequest,
    answer=SignupSessionView,
    scope=Scope.WRITE,
    publishable=True,
    tag="Sign-up",
    summary="One more step: what is sent changes, the rest stays",
    errors=(NotFoundError, ValidationError, InvalidStateError, ConflictError),
)
def update_signup_session(call: Call[SignupSessionRequest]) -> SignupSessionView:
    session = use_cases.update_signup(call.ctx, call.path["id"], _changes(call.body))
    return signup_view(Completion(session=session))


@endpoint(
    bp,
    "POST",
    "/v1/signup_sessions/{id}/price",
    answer=SignupPriceView,
    scope=Scope.READ,
    publishable=True,
    tag="Sign-up",
    summary="The exact first invoice and the next renewal, without changing anything",
    errors=(NotFoundError, ValidationError, InvalidStateError, QuoteRequiredError),
)
def price_signup_session(call: Call[None]) -> SignupPriceView:
    return price_view(use_cases.price_signup(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "POST",
    "/v1/signup_sessions/{id}/complete",
    answer=SignupSessionView,
    scope=Scope.WRITE,
    publishable=True,
    tag="Sign-up",
    summary="Turn it into a subscription, a payment page, or a lead; twice is once",
    errors=(
        NotFoundError,
        ValidationError,
        ConflictError,
        InvalidStateError,
        RateLimitedError,
        CaptchaRequiredError,
        CaptchaUnavailableError,
        GatewayUnavailableError,
    ),
)
def complete_signup_session(call: Call[None]) -> SignupSessionView:
    signup_id = ids.require("sus", call.path["id"])
    with attempt(call, call.ctx, visitor=is_publishable(call.credential), signup=signup_id):
        return signup_view(complete_signup(call.ctx, signup_id))


def signup_view(completion: Completion) -> SignupSessionView:
    session, page, subscription = completion.session, completion.checkout, completion.subscription
    return SignupSessionView(
        id=session.id,
        status=session.status,
        outcome=session.outcome or None,
        url=page.url if page and page.status is CheckoutStatus.OPEN else None,
        customer=session.customer_id if session.subscription_id else None,
        subscription=session.subscription_id,
        subscription_status=subscription.status if subscription else None,
        checkout_session=session.checkout_id,
        lead=session.lead_id,
        email=session.email,
        name=session.name,
        company=session.company,
        company_size=session.company_size,
        country=session.country,
        state=session.state,
        tax_id=session.tax_id,
        language=session.language,
        time_zone=session.zone,
        currency=session.currency,
        plan=session.plan,
        interval=session.interval.unit if session.interval else None,
        quantity=session.quantity,
        add_ons=[AddOnView(id=name, quantity=quantity) for name, quantity in session.add_ons],
        trial=session.trial,
        coupon=session.coupon or None,
        wants_demo=session.wants_demo,
        note=session.note,
        success_url=session.success_url,
        cancel_url=session.cancel_url,
        created_at=session.created_at,
        updated_at=session.updated_at,
        abandons_at=session.abandon_at,
        completed_at=session.completed_at,
    )


def price_view(price: OrderPrice) -> SignupPriceView:
    return SignupPriceView(
        currency=price.currency,
        lines=[
            PriceLineView(description=line.description, quantity=line.quantity, amount=line.total)
            for line in price.lines
        ],
        taxes=[tax_view(tax) for tax in price.taxes],
        total=price.total,
        due_now=price.due_now,
        card_required=price.card_required,
        trial_days=price.trial_days,
        trial_end=price.trial_end,
        on_trial_end=price.on_trial_end,
        renews_at=price.renews_at,
        renewal_amount=price.renewal_amount,
    )


def _changes(body: SignupSessionRequest) -> dict[str, Any]:
    """What was sent, null included."""
    sent = body.model_dump(include=body.model_fields_set)
    if sent.get("add_ons"):
        sent["add_ons"] = [(each["id"], each["quantity"]) for each in sent["add_ons"]]
    return sent
