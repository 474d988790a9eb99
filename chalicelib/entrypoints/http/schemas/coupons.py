"""Coupons as asked and as answered. Money is integer minor units beside an ISO 4217 currency."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.discount import Duration
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.customers import Cursor, Limit
from chalicelib.entrypoints.http.schemas.subscriptions import Code, Currency, Name

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class CouponRequest(Schema):
    """Either `percent`, or `amount` with its `currency`: taken from every invoice that the coupon counts for."""

    id: Code | None = Field(
        default=None, max_length=40, description="The code that customers enter; one is made up if left out."
    )
    name: str = Field(default="", max_length=100, examples=["Spring offer"])
    percent: str | None = Field(
        default=None,
        max_length=10,
        description="Above 0, up to 100, at most 6 decimal places.",
        examples=["20"],
    )
    amount: Count | None = Field(default=None, description="In minor units.")
    currency: Currency | None = Field(default=None, description="With `amount`.", examples=[None])
    duration: Duration = Duration.ONCE
    periods: int | None = Field(
        default=None, ge=1, le=1000, description="With `repeating`: counted from the first paid one."
    )
    valid_from: datetime | None = None
    valid_until: datetime | None = Field(default=None, description="The first instant at which it is over.")
    max_redemptions: Count | None = None
    plans: list[Name] = Field(
        default_factory=list, max_length=50, description="Only with these plans, and for their lines alone."
    )
    first_time: bool = Field(default=False, description="Only for customers who have not paid anything yet.")


class CouponView(View):
    id: str
    name: str
    percent: str | None
    amount: int | None
    currency: str | None
    duration: Duration
    periods: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    max_redemptions: int | None
    redeemed: int | None = Field(description="How often, less what was given back. Not in lists.")
    plans: list[str]
    first_time: bool
    created_at: datetime
    archived_at: datetime | None = Field(description="Since when nobody redeems it any more.")


class CouponQuery(Schema):
    limit: Limit = 20
    cursor: Cursor | None = None


class CouponPage(View):
    data: list[CouponView]
    next_cursor: str | None
