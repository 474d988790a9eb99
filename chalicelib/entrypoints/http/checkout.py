"""Checkout sessions over HTTP."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application import checkout as use_cases
from chalicelib.application.catalog import current_catalog
from chalicelib.application.checkout_opening import Purchase, open_checkout
from chalicelib.application.context import Context
from chalicelib.application.subscription_records import default_currency
from chalicelib.domain import contact
from chalicelib.domain.calendar import Interval
from chalicelib.domain.checkout import CheckoutSession, CheckoutStatus
from chalicelib.domain.errors import (
    CaptchaRequiredError,
    CaptchaUnavailableError,
    ConflictError,
    ForbiddenError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    QuoteRequiredError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.ordering import Order
from chalicelib.domain.tax_ids import in_full, read_tax_id
from chalicelib.entrypoints.http.auth import is_publishable
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import attempt
from chalicelib.entrypoints.http.schemas.checkout import CheckoutSessionRequest, CheckoutSessionView

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/checkout_sessions",
    body=CheckoutSessionRequest,
    answer=CheckoutSessionView,
    status=201,
    scope=Scope.WRITE,
    publishable=True,
    tag="Checkout",
    summary="Open a payment page for a new or an existing customer",
    errors=(
        NotFoundError,
        ValidationError,
        QuoteRequiredError,
        ForbiddenError,
        InvalidStateError,
        ConflictError,
        RateLimitedError,
        CaptchaRequiredError,
        CaptchaUnavailableError,
        GatewayUnavailableError,
    ),
)
def create_checkout_session(call: Call[CheckoutSessionRequest]) -> CheckoutSessionView:
    by_visitor = is_publishable(call.credential)
    _require_one_customer(call.body, by_visitor=by_visitor)
    purchase = _purchase(call.ctx, call.body, by_visitor=by_visitor)
    with attempt(call, call.ctx, visitor=by_visitor):
        return checkout_view(call.ctx, open_checkout(call.ctx, purchase))


@endpoint(
    bp,
    "GET",
    "/v1/checkout_sessions/{id}",
    answer=CheckoutSessionView,
    publishable=True,
    tag="Checkout",
    summary="Get a checkout session; its id is what opens it",
    errors=(NotFoundError,),
)
def get_checkout_session(call: Call[None]) -> CheckoutSessionView:
    return checkout_view(call.ctx, use_cases.get_checkout(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "POST",
    "/v1/checkout_sessions/{id}/expire",
    answer=CheckoutSessionView,
    scope=Scope.WRITE,
    tag="Checkout",
    summary="Close the page and give back everything that waits for it",
    errors=(NotFoundError, InvalidStateError, ConflictError, GatewayUnavailableError),
)
def expire_checkout_session(call: Call[None]) -> CheckoutSessionView:
    return checkout_view(call.ctx, use_cases.expire_checkout(call.ctx, call.path["id"]))


def checkout_view(ctx: Context, session: CheckoutSession) -> CheckoutSessionView:
    return CheckoutSessionView(
        id=session.id,
        status=session.status,
        mode=session.mode,
        payment_status=use_cases.payment_status(ctx, session),
        url=session.url if session.status is CheckoutStatus.OPEN else None,
        customer=session.customer_id,
        subscription=session.subscription_id,
        invoice=session.invoice_id,
        success_url=session.success_url,
        cancel_url=session.cancel_url,
        created_at=session.created_at,
        expires_at=session.release_at,
        completed_at=session.completed_at,
    )


def _require_one_customer(body: CheckoutSessionRequest, *, by_visitor: bool) -> None:
    if by_visitor and body.customer is not None:
        raise ForbiddenError(
            "a publishable key opens checkouts for new customers only",
            field="customer",
            fix="send customer_email, or use a secret key on your server",
        )
    if (body.customer is None) == (body.customer_email is None):
        raise ValidationError(
            "either an existing customer or a new one's e-mail address is needed",
            field="customer_email",
            fix="send exactly one of customer and customer_email",
        )
    extra = {
        "customer_name",
        "company",
        "country",
        "state",
        "tax_id",
        "language",
        "time_zone",
    } & body.model_fields_set
    if body.customer is not None and extra:
        raise ValidationError(
            "an existing customer's profile is not changed here",
            field=min(extra),
            fix="PATCH /v1/customers/{id}",
        )


def _purchase(ctx: Context, body: CheckoutSessionRequest, *, by_visitor: bool) -> Purchase:
    return Purchase(
        order=Order(
            plan=body.plan,
            currency=body.currency or _default_currency(ctx, body.customer),
            interval=Interval(body.interval, body.interval_count),
            quantity=body.quantity,
            add_ons=tuple((add_on.id, add_on.quantity) for add_on in body.add_ons),
            trial_days=body.trial_days,
            coupon=body.coupon,
        ),
        success_url=body.success_url,
        cancel_url=body.cancel_url,
        customer_id=body.customer,
        profile=None if body.customer else _profile(body),
        by_visitor=by_visitor,
    )


def _profile(body: CheckoutSessionRequest) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "email": contact.email_address(body.customer_email or "", field="customer_email"),
        "name": body.customer_name,
        "legal_name": body.company,
        "language": body.language,
        "time_zone": body.time_zone,
        "currency": body.currency,
    }
    if body.country is not None:
        country = contact.country_code(body.country, field="country")
        profile["address"] = {"country": country, "state": body.state}
    if body.tax_id is not None:
        profile["tax_ids"] = [read_tax_id(in_full(body.tax_id, body.country or ""), field="tax_id")]
    return profile


def _default_currency(ctx: Context, customer_id: str | None) -> str:
    if customer_id is not None:
        return default_currency(ctx, customer_id)
    return current_catalog(ctx).default_currency
