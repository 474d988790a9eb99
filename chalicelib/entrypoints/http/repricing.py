"""Moving subscribers to current prices over HTTP."""

from __future__ import annotations

from datetime import datetime

from chalice.app import Blueprint
from pydantic import Field

from chalicelib.application import repricing
from chalicelib.domain.errors import ValidationError
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint
from chalicelib.entrypoints.http.schemas.subscriptions import Name

bp = Blueprint(__name__)


class RepriceRequest(Schema):
    plan: Name = Field(examples=["pro"])
    limit: int = Field(default=50, ge=1, le=100, description="Subscriptions looked at in one request.")
    cursor: str | None = Field(
        default=None, max_length=512, description="`next_cursor` of the request before."
    )


class RepricedView(View):
    subscription: str
    customer: str
    currency: str
    at: datetime | None = Field(description="When the new price begins: the end of the period.")
    mrr_before: int = Field(description="Minor units a month.")
    mrr_after: int
    skipped: str | None = Field(description="Why it was left out.")


class RepricedPage(View):
    catalog_version: int
    data: list[RepricedView] = Field(description="Who has the current prices already is not listed.")
    next_cursor: str | None


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/reprice",
    body=RepriceRequest,
    answer=RepricedPage,
    scope=Scope.WRITE,
    tag="Subscriptions",
    summary="Plan the current prices for a plan's subscribers, from their next period on",
    errors=(ValidationError,),
)
def reprice(call: Call[RepriceRequest]) -> RepricedPage:
    return _page(call, dry=False)


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/reprice/preview",
    body=RepriceRequest,
    answer=RepricedPage,
    scope=Scope.READ,
    tag="Previews",
    summary="Who would pay what at the current prices",
    errors=(ValidationError,),
)
def preview_reprice(call: Call[RepriceRequest]) -> RepricedPage:
    return _page(call, dry=True)


def _page(call: Call[RepriceRequest], *, dry: bool) -> RepricedPage:
    body = call.body
    page = repricing.reprice(call.ctx, plan=body.plan, limit=body.limit, cursor=body.cursor, dry=dry)
    return RepricedPage(
        catalog_version=page.catalog_version,
        data=[
            RepricedView(
                subscription=row.subscription.id,
                customer=row.subscription.customer_id,
                currency=row.subscription.currency,
                at=row.subscription.period.end if row.subscription.period else None,
                mrr_before=row.mrr_before,
                mrr_after=row.mrr_after,
                skipped=row.skipped,
            )
            for row in page.rows
        ],
        next_cursor=page.cursor,
    )
