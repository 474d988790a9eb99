"""Subscriptions over HTTP."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import subscription_records as records
from chalicelib.application import subscriptions as use_cases
from chalicelib.application import trial_changes
from chalicelib.application.context import Context
from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval
from chalicelib.domain.customer import Terms
from chalicelib.domain.discount import Redemption
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    QuoteRequiredError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.ordering import Order
from chalicelib.domain.schedule import next_due
from chalicelib.domain.subscription import (
    Cancellation,
    DunningRun,
    Item,
    PendingChange,
    Subscription,
    Trial,
)
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.schemas.subscriptions import (
    CancellationView,
    CollectionView,
    DunningView,
    ExtendTrialRequest,
    ItemView,
    NextView,
    PendingChangeView,
    SubscriptionCouponView,
    SubscriptionPage,
    SubscriptionQuery,
    SubscriptionRequest,
    SubscriptionView,
    TrialView,
    period_view,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions",
    body=SubscriptionRequest,
    answer=SubscriptionView,
    status=201,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Start a subscription with the payment method on file",
    errors=(
        NotFoundError,
        ValidationError,
        InvalidStateError,
        QuoteRequiredError,
        PaymentDeclinedError,
        PaymentPendingError,
        RateLimitedError,
    ),
)
def create_subscription(call: Call[SubscriptionRequest]) -> SubscriptionView:
    body = call.body
    currency = body.currency or records.default_currency(call.ctx, body.customer)
    method = body.payment_method
    with payment(call, body.customer, new_method=method is not None) as ctx:
        order = order_of(body, currency)
        created = use_cases.create_subscription(ctx, body.customer, order, payment_method=method)
    return started_view(call.ctx, created)


@endpoint(
    bp,
    "GET",
    "/v1/subscriptions",
    query=SubscriptionQuery,
    answer=SubscriptionPage,
    scope=Scope.READ,
    tag="Subscriptions",
    summary="List subscriptions, newest first, of one customer or all",
    errors=(ValidationError, NotFoundError),
)
def list_subscriptions(call: Call[None]) -> SubscriptionPage:
    query = call.query
    page = records.list_subscriptions(
        call.ctx, customer_id=query.customer, status=query.status, limit=query.limit, cursor=query.cursor
    )
    return SubscriptionPage(data=[subscription_view(each) for each in page.records], next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/subscriptions/{id}",
    answer=SubscriptionView,
    scope=Scope.READ,
    tag="Subscriptions",
    summary="Get a subscription",
    errors=(NotFoundError,),
)
def get_subscription(call: Call[None]) -> SubscriptionView:
    return started_view(call.ctx, records.get_subscription(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/undo_cancellation",
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Take back a cancellation that has not taken effect",
    errors=(NotFoundError, InvalidStateError, ConflictError),
)
def undo_cancellation(call: Call[None]) -> SubscriptionView:
    return subscription_view(use_cases.undo_cancellation(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/extend_trial",
    body=ExtendTrialRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Put the end of a trial off; its reminders move with it",
    errors=(NotFoundError, ValidationError, InvalidStateError, ConflictError),
)
def extend_trial(call: Call[ExtendTrialRequest]) -> SubscriptionView:
    return subscription_view(trial_changes.extend_trial(call.ctx, call.path["id"], call.body.days))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/end_trial",
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="End a trial early: the first paid period begins now and is billed",
    errors=(
        NotFoundError,
        ValidationError,
        InvalidStateError,
        ConflictError,
        RateLimitedError,
        GatewayUnavailableError,
    ),
)
def end_trial(call: Call[None]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    with payment(call, ids.customer_of(subscription_id)) as ctx:
        return subscription_view(trial_changes.end_trial_early(ctx, subscription_id))


def order_of(body: SubscriptionRequest, currency: str) -> Order:
    """The body as an order. Whoever holds a secret key may sell what is not self-serve."""
    terms = body.collection
    return Order(
        plan=body.plan,
        currency=currency,
        interval=Interval(body.interval, body.interval_count),
        quantity=body.quantity,
        add_ons=tuple((add_on.id, add_on.quantity) for add_on in body.add_ons),
        trial_days=body.trial_days,
        terms=Terms(method=terms.method, net_days=terms.net_days) if terms else None,
        billing=body.billing,
        unit_amounts=tuple(body.unit_amounts.items()),
        ramp=tuple((each.periods, each.unit_amount) for each in body.ramp),
        channel="api",
        coupon=body.coupon,
    )


def started_view(ctx: Context, subscription: Subscription) -> SubscriptionView:
    """With the address where its customer confirms the first payment, while that waits for them."""
    return subscription_view(subscription, records.confirmation_url(ctx, subscription))


def subscription_view(subscription: Subscription, confirmation_url: str | None = None) -> SubscriptionView:
    terms, due = subscription.terms, next_due(subscription)
    return SubscriptionView(
        id=subscription.id,
        customer=subscription.customer_id,
        status=subscription.status,
        plan=subscription.plan.product,
        currency=subscription.currency,
        catalog_version=subscription.catalog_version,
        items=[_item(item) for item in subscription.items],
        time_zone=subscription.zone,
        anchor=subscription.anchor,
        billing=subscription.billing,
        current_period=period_view(subscription.period),
        trial=_trial(subscription.trial) if subscription.trial else None,
        cancellation=_cancellation(subscription.cancellation) if subscription.cancellation else None,
        pending_change=_pending(subscription.pending) if subscription.pending else None,
        dunning=_dunning(subscription.dunning) if subscription.dunning else None,
        next=NextView(at=due.at, kind=due.kind) if due else None,
        collection=CollectionView(method=terms.method, net_days=terms.net_days),
        channel=subscription.channel,
        coupons=[_coupon(redemption) for redemption in subscription.redemptions],
        mrr=subscription.mrr,
        latest_invoice=records.first_invoice_id(subscription),
        confirmation_url=confirmation_url,
        created_at=subscription.created_at,
        started_at=subscription.started_at,
        ended_at=subscription.ended_at,
    )


def _trial(trial: Trial) -> TrialView:
    return TrialView(start=trial.started_at, end=trial.ends_at, on_end=trial.on_end)


def _cancellation(asked: Cancellation) -> CancellationView:
    return CancellationView(requested_at=asked.requested_at, at=asked.at, reason=asked.reason)


def _pending(change: PendingChange) -> PendingChangeView:
    return PendingChangeView(
        at=change.at,
        items=[_item(item) for item in change.items],
        coupons=[redemption.coupon.id for redemption in change.adds],
    )


def _dunning(run: DunningRun) -> DunningView:
    return DunningView(
        policy=run.policy_name,
        started_at=run.started_at,
        step=run.step,
        next_attempt_at=run.next_at,
        grace_until=run.grace_until,
        invoices=list(run.invoices),
    )


def _coupon(redemption: Redemption) -> SubscriptionCouponView:
    coupon = redemption.coupon
    return SubscriptionCouponView(
        id=coupon.id,
        name=coupon.name,
        percent=coupon.percent,
        amount=coupon.amount,
        currency=coupon.currency,
        duration=coupon.duration,
        redeemed_at=redemption.at,
        periods_used=redemption.uses,
        periods_left=redemption.periods_left,
    )


def _item(item: Item) -> ItemView:
    price = item.price
    return ItemView(
        id=item.id,
        kind=item.kind,
        product=item.product,
        name=item.name,
        quantity=item.quantity,
        price=price.id if price else None,
        model=price.rate.model if price else None,
        unit_amount=price.rate.unit_amount if price else None,
        interval=price.interval.unit if price else None,
        interval_count=price.interval.count if price else None,
    )
