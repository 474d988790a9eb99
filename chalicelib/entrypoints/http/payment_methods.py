"""A customer's means of payment over HTTP."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import dunning
from chalicelib.application import payment_methods as use_cases
from chalicelib.domain import ids
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    NotFoundError,
    PaymentDeclinedError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.schemas.payment_methods import (
    PaymentMethodList,
    PaymentMethodRequest,
    PaymentMethodView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/customers/{id}/payment_methods",
    body=PaymentMethodRequest,
    answer=PaymentMethodView,
    status=201,
    scope=Scope.WRITE,
    tag="Payment methods",
    summary="Save a payment method as the customer's default; what is in arrears is tried with it at once",
    errors=(
        NotFoundError,
        ValidationError,
        PaymentDeclinedError,
        ConflictError,
        RateLimitedError,
        GatewayUnavailableError,
    ),
)
def attach_payment_method(call: Call[PaymentMethodRequest]) -> PaymentMethodView:
    customer_id = ids.require("cus", call.path["id"])
    with payment(call, customer_id, new_method=True) as ctx:
        method = use_cases.attach(ctx, customer_id, call.body.payment_method)
        dunning.try_new_method(ctx, customer_id)
    return _view(method)


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}/payment_methods",
    answer=PaymentMethodList,
    scope=Scope.READ,
    tag="Payment methods",
    summary="The customer's payment methods on file: the default, or none",
    errors=(NotFoundError,),
)
def list_payment_methods(call: Call[None]) -> PaymentMethodList:
    default = use_cases.default_method(call.ctx, call.path["id"])
    return PaymentMethodList(data=[_view(default)] if default else [])


def _view(method: PaymentMethod) -> PaymentMethodView:
    return PaymentMethodView(
        id=method.id,
        kind=method.kind,
        brand=method.brand,
        last4=method.last4,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        default=True,
    )
