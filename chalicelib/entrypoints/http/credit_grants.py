"""Prepaid credits over HTTP."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import credit_grants
from chalicelib.application.credit_grants import Wanted
from chalicelib.domain import ids
from chalicelib.domain.calendar import require_utc
from chalicelib.domain.credit_grant import CreditGrant, TopUp
from chalicelib.domain.currencies import exponent
from chalicelib.domain.customer import Account
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
from chalicelib.domain.prepaid import balances
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.schemas.credit_grants import (
    GrantRequest,
    GrantsView,
    GrantView,
    TopUpRequest,
    TopUpView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/customers/{id}/credit_grants",
    body=GrantRequest,
    answer=GrantView,
    status=201,
    scope=Scope.WRITE,
    tag="Prepaid credits",
    summary="Give prepaid credits, or sell them",
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
def create_grant(call: Call[GrantRequest]) -> GrantView:
    customer_id, body = ids.require("cus", call.path["id"]), call.body
    wanted = _wanted(body)
    if body.price is None:
        return _view(credit_grants.give_credits(call.ctx, customer_id, wanted))
    credit_grants.read_account(call.ctx, customer_id)
    if body.subscription is None or ids.customer_of(body.subscription) != customer_id:
        raise ValidationError("bought credits need one of its subscriptions", field="subscription")
    with payment(call, customer_id) as ctx:
        return _view(credit_grants.buy_credits(ctx, body.subscription, wanted, price=body.price))


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}/credit_grants",
    answer=GrantsView,
    scope=Scope.READ,
    tag="Prepaid credits",
    summary="What a customer has in prepaid credits",
    errors=(NotFoundError,),
)
def list_grants(call: Call[None]) -> GrantsView:
    return _grants(call, credit_grants.read_account(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "PUT",
    "/v1/customers/{id}/credit_top_up",
    body=TopUpRequest,
    answer=GrantsView,
    scope=Scope.WRITE,
    tag="Prepaid credits",
    summary="Buy credits by itself when they run low",
    errors=(NotFoundError, ValidationError, ConflictError),
)
def set_top_up(call: Call[TopUpRequest]) -> GrantsView:
    customer_id, body = ids.require("cus", call.path["id"]), call.body.top_up
    wanted = None
    if body is not None:
        exponent(body.currency)
        wanted = TopUp(
            currency=body.currency,
            below=body.below,
            amount=body.amount,
            price=body.price,
            subscription_id=body.subscription,
            most_per_month=body.most_per_month,
        )
    return _grants(call, credit_grants.set_top_up(call.ctx, customer_id, wanted))


def _wanted(body: GrantRequest) -> Wanted:
    exponent(body.currency)
    return Wanted(
        amount=body.amount,
        currency=body.currency,
        name=body.name,
        priority=body.priority,
        expires_at=require_utc(body.expires_at) if body.expires_at else None,
    )


def _grants(call: Call[TopUpRequest] | Call[None], account: Account) -> GrantsView:
    top_up = account.top_up
    return GrantsView(
        data=[_view(grant) for grant in account.grants],
        balances=balances(account, call.ctx.now),
        top_up=TopUpView(
            currency=top_up.currency,
            below=top_up.below,
            amount=top_up.amount,
            price=top_up.price,
            subscription=top_up.subscription_id,
            most_per_month=top_up.most_per_month,
        )
        if top_up
        else None,
    )


def _view(grant: CreditGrant) -> GrantView:
    return GrantView(
        id=grant.id,
        name=grant.name,
        currency=grant.currency,
        amount=grant.amount,
        balance=grant.balance,
        priority=grant.priority,
        granted_at=grant.at,
        expires_at=grant.expires_at,
        invoice=grant.invoice_id,
        waiting=grant.waits,
    )
