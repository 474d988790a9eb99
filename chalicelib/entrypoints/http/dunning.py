"""Arrears over HTTP: what people do by hand."""

from __future__ import annotations

from chalice.app import Blueprint
from pydantic import Field

from chalicelib.application import dunning as use_cases
from chalicelib.domain import ids
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    RateLimitedError,
)
from chalicelib.entrypoints.http.invoices import invoice_view
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.schemas.invoices import InvoiceView
from chalicelib.entrypoints.http.schemas.subscriptions import SubscriptionView
from chalicelib.entrypoints.http.subscriptions import subscription_view

bp = Blueprint(__name__)


class GraceRequest(Schema):
    days: int = Field(ge=1, le=365, description="Access is kept so long from now.", examples=[7])


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/retry_payment",
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Arrears",
    summary="Try the oldest unpaid invoice now; the schedule stays as it is",
    errors=(NotFoundError, InvalidStateError, ConflictError, RateLimitedError, GatewayUnavailableError),
)
def retry_payment(call: Call[None]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    with payment(call, ids.customer_of(subscription_id)) as ctx:
        return subscription_view(use_cases.retry_now(ctx, subscription_id))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/extend_grace",
    body=GraceRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Arrears",
    summary="Keep the access of a subscription in arrears",
    errors=(NotFoundError, InvalidStateError, ConflictError),
)
def extend_grace(call: Call[GraceRequest]) -> SubscriptionView:
    return subscription_view(use_cases.extend_grace(call.ctx, call.path["id"], call.body.days))


@endpoint(
    bp,
    "POST",
    "/v1/invoices/{id}/mark_uncollectible",
    answer=InvoiceView,
    scope=Scope.WRITE,
    tag="Arrears",
    summary="Write an open invoice off: served time is bad debt, time not served is credited",
    errors=(NotFoundError, InvalidStateError, ConflictError),
)
def mark_uncollectible(call: Call[None]) -> InvoiceView:
    return invoice_view(call.ctx, use_cases.mark_uncollectible(call.ctx, call.path["id"]))
