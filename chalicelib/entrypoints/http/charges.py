"""One-off charges over HTTP."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from chalice.app import Blueprint
from pydantic import Field

from chalicelib.application import charges
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain import ids
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.subscription import Charge
from chalicelib.entrypoints.http.invoices import invoice_view
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.schemas.catalog import UnitAmount
from chalicelib.entrypoints.http.schemas.invoices import InvoiceView
from chalicelib.entrypoints.http.schemas.subscriptions import Quantity

bp = Blueprint(__name__)


class On(StrEnum):
    """Which invoice a charge goes on."""

    NEXT = "next"
    NOW = "now"


class ChargeRequest(Schema):
    description: Annotated[str, Field(min_length=1, max_length=200, examples=["On-site training"])]
    unit_amount: UnitAmount
    quantity: Quantity = 1
    invoice: On = Field(
        default=On.NEXT, description="`next`: the next renewal's; `now`: one of its own, at once."
    )


class ChargeView(View):
    id: str
    description: str
    unit_amount: str
    quantity: int
    at: datetime


class ChargesView(View):
    waiting: list[ChargeView] = Field(description="For the next invoice.")
    invoice: InvoiceView | None = Field(description="Of a charge that was billed at once.")


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/charges",
    body=ChargeRequest,
    answer=ChargesView,
    status=201,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Charge something once, on the next invoice or at once",
    errors=(
        NotFoundError,
        ValidationError,
        InvalidStateError,
        ConflictError,
        PaymentDeclinedError,
        PaymentPendingError,
        RateLimitedError,
        GatewayUnavailableError,
    ),
)
def create_charge(call: Call[ChargeRequest]) -> ChargesView:
    subscription_id, body = ids.require("sub", call.path["id"]), call.body
    what = {"description": body.description, "unit_amount": body.unit_amount, "quantity": body.quantity}
    if body.invoice is On.NEXT:
        waiting = charges.charge_next(call.ctx, subscription_id, **what)  # type: ignore[arg-type]
        return ChargesView(waiting=_views(waiting.charges), invoice=None)
    with payment(call, ids.customer_of(subscription_id)) as ctx:
        invoice = charges.charge_now(ctx, subscription_id, **what)  # type: ignore[arg-type]
        return ChargesView(waiting=[], invoice=invoice_view(ctx, invoice))


@endpoint(
    bp,
    "GET",
    "/v1/subscriptions/{id}/charges",
    answer=ChargesView,
    scope=Scope.READ,
    tag="Subscriptions",
    summary="What waits for the next invoice",
    errors=(NotFoundError,),
)
def list_charges(call: Call[None]) -> ChargesView:
    subscription = get_subscription(call.ctx, call.path["id"])
    return ChargesView(waiting=_views(subscription.charges), invoice=None)


@endpoint(
    bp,
    "DELETE",
    "/v1/subscriptions/{id}/charges/{charge}",
    answer=ChargesView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Take a charge back that waits for the next invoice",
    errors=(NotFoundError, ConflictError),
)
def delete_charge(call: Call[None]) -> ChargesView:
    subscription_id = ids.require("sub", call.path["id"])
    left = charges.take_charge_back(call.ctx, subscription_id, call.path["charge"])
    return ChargesView(waiting=_views(left.charges), invoice=None)


def _views(waiting: tuple[Charge, ...]) -> list[ChargeView]:
    return [
        ChargeView(
            id=charge.id,
            description=charge.description,
            unit_amount=charge.unit_amount,
            quantity=charge.quantity,
            at=charge.at,
        )
        for charge in waiting
    ]
