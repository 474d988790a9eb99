"""Changes of a subscription over HTTP, each with a preview that binds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalice.app import Blueprint

from chalicelib.application import changes, subscriptions
from chalicelib.application.change_payments import give_up_if_declined
from chalicelib.application.change_requests import change_or_lead
from chalicelib.application.context import Context
from chalicelib.application.previews import preview
from chalicelib.application.unused_time import Unused
from chalicelib.application.upcoming import upcoming_invoice
from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval, require_utc
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.credentials import authorise
from chalicelib.domain.errors import (
    ConflictError,
    ForbiddenError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    PreviewStaleError,
    QuoteRequiredError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.subscription import Subscription
from chalicelib.entrypoints.http.invoices import invoice_view
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.previewing import bound, operation, shown
from chalicelib.entrypoints.http.schemas.changes import (
    BoundCancelRequest,
    BoundRequest,
    ChangeRequest,
    ChangeTerms,
    PreviewView,
)
from chalicelib.entrypoints.http.schemas.invoices import InvoiceView
from chalicelib.entrypoints.http.schemas.subscriptions import CancelAt, CancelRequest, SubscriptionView
from chalicelib.entrypoints.http.subscriptions import started_view, subscription_view

bp = Blueprint(__name__)

_REFUSALS = (NotFoundError, ValidationError, InvalidStateError, ConflictError)
_PAID = (PaymentDeclinedError, PaymentPendingError, RateLimitedError, GatewayUnavailableError)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/change",
    body=ChangeRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Change plan, interval, seats, add-ons and coupon; what is charged now is in force once it is paid",
    errors=(*_REFUSALS, *_PAID, QuoteRequiredError, PreviewStaleError),
)
def change_subscription(call: Call[ChangeRequest]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    order = _order(call.body)
    with payment(call, ids.customer_of(subscription_id)) as ctx:
        if call.body.preview_token is None:
            give_up_if_declined(ctx, subscription_id)
        changed = bound(
            ctx,
            operation("change", subscription_id, call.body),
            call.body.preview_token,
            lambda ctx: change_or_lead(ctx, subscription_id, order),
        )
        return started_view(ctx, changed)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/change/preview",
    body=ChangeTerms,
    answer=PreviewView,
    scope=Scope.READ,
    tag="Previews",
    summary="What a change would cost and lead to, with a token that binds it",
    errors=(*_REFUSALS, QuoteRequiredError),
)
def preview_change(call: Call[ChangeTerms]) -> PreviewView:
    subscription_id = ids.require("sub", call.path["id"])
    order = _order(call.body)
    return shown(
        call.ctx,
        preview(
            call.ctx,
            operation("change", subscription_id, call.body),
            lambda ctx: changes.change_subscription(ctx, subscription_id, order),
        ),
    )


@endpoint(
    bp,
    "DELETE",
    "/v1/subscriptions/{id}/pending_change",
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Take back a change that is to come, or that waits for its payment",
    errors=(*_REFUSALS, GatewayUnavailableError),
)
def revoke_change(call: Call[None]) -> SubscriptionView:
    return subscription_view(changes.revoke_change(call.ctx, ids.require("sub", call.path["id"])))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/cancel",
    body=BoundCancelRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Cancel at the end of what is paid for, or now; a refund of unused time needs its scope too",
    errors=(*_REFUSALS, PreviewStaleError, ForbiddenError),
)
def cancel_subscription(call: Call[BoundCancelRequest]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    if call.body.unused is Unused.REFUND:
        assert call.credential is not None
        authorise(call.credential, Scope.REFUND)
    asked = operation("cancel", subscription_id, call.body)
    done = bound(call.ctx, asked, call.body.preview_token, _canceling(subscription_id, call.body))
    return subscription_view(done)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/cancel/preview",
    body=CancelRequest,
    answer=PreviewView,
    scope=Scope.READ,
    tag="Previews",
    summary="What cancelling would lead to, with a token that binds it",
    errors=_REFUSALS,
)
def preview_cancellation(call: Call[CancelRequest]) -> PreviewView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("cancel", subscription_id, call.body)
    return shown(call.ctx, preview(call.ctx, asked, _canceling(subscription_id, call.body)))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/reactivate",
    body=BoundRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Bring a cancelled subscription back with the prices it had",
    errors=(*_REFUSALS, *_PAID, PreviewStaleError),
)
def reactivate_subscription(call: Call[BoundRequest]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("reactivate", subscription_id, call.body)
    with payment(call, ids.customer_of(subscription_id)) as ctx:
        back = bound(
            ctx,
            asked,
            call.body.preview_token,
            lambda ctx: subscriptions.reactivate_subscription(ctx, subscription_id),
        )
        return started_view(ctx, back)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/reactivate/preview",
    answer=PreviewView,
    scope=Scope.READ,
    tag="Previews",
    summary="What coming back would cost, with a token that binds it",
    errors=_REFUSALS,
)
def preview_reactivation(call: Call[None]) -> PreviewView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("reactivate", subscription_id, None)
    return shown(
        call.ctx,
        preview(call.ctx, asked, lambda ctx: subscriptions.reactivate_subscription(ctx, subscription_id)),
    )


@endpoint(
    bp,
    "GET",
    "/v1/subscriptions/{id}/upcoming_invoice",
    answer=InvoiceView,
    scope=Scope.READ,
    tag="Invoices",
    summary="The draft of what the next renewal will bill, usage so far included",
    errors=(NotFoundError, InvalidStateError),
)
def get_upcoming_invoice(call: Call[None]) -> InvoiceView:
    return invoice_view(call.ctx, upcoming_invoice(call.ctx, call.path["id"]))


def _canceling(subscription_id: str, body: CancelRequest) -> Callable[[Context], Subscription]:
    at_end = body.at is CancelAt.PERIOD_END
    return lambda ctx: subscriptions.cancel_subscription(
        ctx, subscription_id, at_period_end=at_end, reason=body.reason, unused=body.unused
    )


def _order(body: ChangeTerms) -> ChangeOrder:
    interval = None if body.interval is None else Interval(body.interval, body.interval_count)
    add_ons = None if body.add_ons is None else tuple((each.id, each.quantity) for each in body.add_ons)
    return ChangeOrder(
        plan=body.plan,
        interval=interval,
        quantity=body.quantity,
        add_ons=add_ons,
        at=require_utc(body.at) if isinstance(body.at, datetime) else body.at,
        prorate=body.prorate,
        billing_day=body.billing_day,
        reprice=body.reprice,
        coupon=body.coupon,
    )
