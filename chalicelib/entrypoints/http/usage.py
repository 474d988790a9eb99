"""Usage over HTTP: reported by the product, read by anybody who asks what it came to."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import usage
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.usage import Usage
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.usage import (
    EventSchema,
    ReceiptsView,
    ReceiptView,
    Taken,
    UsagePage,
    UsageRequest,
    UsageView,
    WindowView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/usage",
    body=UsageRequest,
    answer=ReceiptsView,
    scope=Scope.WRITE,
    tag="Usage",
    summary="Report up to 100 events; each id counts once",
    errors=(NotFoundError,),
)
def record_usage(call: Call[UsageRequest]) -> ReceiptsView:
    receipts = usage.record_usage(call.ctx, [_event(call, event) for event in call.body.events])
    return ReceiptsView(
        data=[
            ReceiptView(id=receipt.id, status=Taken.DUPLICATE if receipt.duplicate else Taken.RECORDED)
            for receipt in receipts
        ]
    )


@endpoint(
    bp,
    "GET",
    "/v1/subscriptions/{id}/usage",
    answer=UsagePage,
    scope=Scope.READ,
    tag="Usage",
    summary="What a subscription has used, per meter and period",
    errors=(NotFoundError,),
)
def get_usage(call: Call[None]) -> UsagePage:
    found = usage.usage_of(call.ctx, call.path["id"])
    subscription = get_subscription(call.ctx, call.path["id"])
    catalog = call.ctx.catalogs.version(call.ctx.env, subscription.catalog_version)
    meters = {meter.id: meter for meter in catalog.meters}
    return UsagePage(
        data=[
            UsageView(meter=each.meter, aggregation=meters[each.meter].aggregation, windows=_windows(each))
            for each in found
            if each.meter in meters
        ]
    )


def _event(call: Call[UsageRequest], event: EventSchema) -> UsageEvent:
    return UsageEvent(
        id=event.id,
        customer_id=event.customer,
        name=event.event,
        at=event.at or call.ctx.now,
        recorded_at=call.ctx.now,
        value=event.value,
        properties=event.properties,
        subscription_id=event.subscription,
    )


def _windows(each: Usage) -> list[WindowView]:
    return [
        WindowView(
            start=window.start,
            end=window.end,
            quantity=window.reading.quantity,
            events=window.reading.events,
            billed=window.part if window.billed is None else window.billed,
        )
        for window in each.windows
    ]
