"""Pauses of a subscription over HTTP, each with a preview that binds."""

from __future__ import annotations

from collections.abc import Callable

from chalice.app import Blueprint

from chalicelib.application import pauses
from chalicelib.application.context import Context
from chalicelib.application.previews import preview
from chalicelib.domain import ids
from chalicelib.domain.calendar import require_utc
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    PreviewStaleError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.subscription import Subscription
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.previewing import bound, operation, shown
from chalicelib.entrypoints.http.schemas.changes import (
    BoundPauseRequest,
    BoundRequest,
    PauseRequest,
    PreviewView,
)
from chalicelib.entrypoints.http.schemas.subscriptions import CancelAt, SubscriptionView
from chalicelib.entrypoints.http.subscriptions import started_view, subscription_view

bp = Blueprint(__name__)

_REFUSALS = (NotFoundError, ValidationError, InvalidStateError, ConflictError)
_PAID = (PaymentDeclinedError, PaymentPendingError, RateLimitedError, GatewayUnavailableError)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/pause",
    body=BoundPauseRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Pause at the end of what is paid for, or now; paused time is not billed",
    errors=(*_REFUSALS, PreviewStaleError, GatewayUnavailableError),
)
def pause_subscription(call: Call[BoundPauseRequest]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("pause", subscription_id, call.body)
    paused = bound(call.ctx, asked, call.body.preview_token, _pausing(subscription_id, call.body))
    return subscription_view(paused)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/pause/preview",
    body=PauseRequest,
    answer=PreviewView,
    scope=Scope.READ,
    tag="Previews",
    summary="What pausing would bill and credit, with a token that binds it",
    errors=_REFUSALS,
)
def preview_pause(call: Call[PauseRequest]) -> PreviewView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("pause", subscription_id, call.body)
    return shown(call.ctx, preview(call.ctx, asked, _pausing(subscription_id, call.body)))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/resume",
    body=BoundRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Go on after a pause: a period begins anew, and is paid first",
    errors=(*_REFUSALS, *_PAID, PreviewStaleError),
)
def resume_subscription(call: Call[BoundRequest]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("resume", subscription_id, call.body)
    with payment(call, ids.customer_of(subscription_id)) as ctx:
        resumed = bound(
            ctx,
            asked,
            call.body.preview_token,
            lambda ctx: pauses.resume_subscription(ctx, subscription_id),
        )
        return started_view(ctx, resumed)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/resume/preview",
    answer=PreviewView,
    scope=Scope.READ,
    tag="Previews",
    summary="What resuming would cost, with a token that binds it",
    errors=_REFUSALS,
)
def preview_resumption(call: Call[None]) -> PreviewView:
    subscription_id = ids.require("sub", call.path["id"])
    asked = operation("resume", subscription_id, None)
    resume = lambda ctx: pauses.resume_subscription(ctx, subscription_id)  # noqa: E731
    return shown(call.ctx, preview(call.ctx, asked, resume))


def _pausing(subscription_id: str, body: PauseRequest) -> Callable[[Context], Subscription]:
    return lambda ctx: pauses.pause_subscription(
        ctx,
        subscription_id,
        at_period_end=body.at is CancelAt.PERIOD_END,
        resumes_at=require_utc(body.resumes_at) if body.resumes_at else None,
        credit=body.credit,
    )
