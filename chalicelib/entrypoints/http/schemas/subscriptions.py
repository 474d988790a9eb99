"""Subscriptions as asked and as answered. Money is integer minor units beside an ISO 4217 currency."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chalicelib.application.unused_time import Unused
from chalicelib.domain.calendar import IntervalUnit, Period
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.discount import Duration
from chalicelib.domain.pricing import PricingModel
from chalicelib.domain.profile import LONGEST_NET_DAYS
from chalicelib.domain.subscription import Billing, ItemKind, Status
from chalicelib.entrypoints.http.kit import Schema, View

Name = Annotated[str, Field(min_length=1, max_length=64)]
Id = Annotated[str, Field(min_length=1, max_length=80)]
Quantity = Annotated[int, Field(ge=1, le=1_000_000)]
UnitAmount = Annotated[
    str, Field(max_length=32, description="Decimal string of minor units.", examples=["500"])
]
Currency = Annotated[str, Field(min_length=3, max_length=3, examples=["USD"])]


Code = Annotated[
    str,
    Field(min_length=1, max_length=40, description="A coupon's code, in whatever case.", examples=["SPRING27"]),
]


class AddOnRequest(Schema):
    id: Name
    quantity: Quantity = 1


class RampRequest(Schema):
    periods: int = Field(ge=1, le=240, examples=[3])
    unit_amount: UnitAmount


class CollectionSchema(Schema):
    method: CollectionMethod = CollectionMethod.CHARGE_AUTOMATICALLY
    net_days: int = Field(default=0, ge=0, le=LONGEST_NET_DAYS, description="Days to pay a sent invoice.")


class SubscriptionRequest(Schema):
    customer: Id
    plan: Name = Field(examples=["pro"])
    interval: IntervalUnit = Field(default=IntervalUnit.MONTH, examples=["month"])
    interval_count: int = Field(default=1, ge=1, le=1000, description="3 with `month` is a quarter.")
    currency: Currency | None = Field(
        default=None, description="The customer's if left out, else the catalog's default."
    )
    quantity: Quantity = Field(default=1, description="Seats, where the plan is sold per seat.")
    add_ons: list[AddOnRequest] = Field(default_factory=list, max_length=20)
    trial_days: int | None = Field(
        default=None,
        ge=0,
        le=90,
        description=(
            "The plan's trial if left out; 0 starts paying at once. A trial is had once per customer, mailbox and "
            "card: refused where somebody else has had it."
        ),
    )
    payment_method: str | None = Field(
        default=None,
        max_length=255,
        description="The processor's payment method, saved as the customer's default.",
        examples=["pm_card_visa"],
    )
    collection: CollectionSchema | None = Field(default=None, description="The customer's terms if left out.")
    billing: Billing = Billing.ANNIVERSARY
    unit_amounts: dict[Name, UnitAmount] = Field(
        default={},
        max_length=20,
        description="Plan or add-on → what this customer pays instead of the catalog's flat or per-unit price.",
    )
    ramp: list[RampRequest] = Field(
        default=[],
        max_length=24,
        description="Stretches before the usual price, each with a price of its own.",
    )
    coupon: Code | None = None


class CancelAt(StrEnum):
    NOW = "now"
    PERIOD_END = "period_end"


class CancelRequest(Schema):
    at: CancelAt = CancelAt.PERIOD_END
    reason: str = Field(default="", max_length=500)
    unused: Unused = Field(
        default=Unused.NONE,
        description="Cancelled now, what becomes of paid time that is not used: a credit note gives it back as account "
        "credit, or as a refund as far as money was paid.",
    )


class ExtendTrialRequest(Schema):
    days: int = Field(
        ge=1, le=365, description="Days to add to the end, in the customer's zone.", examples=[7]
    )


class SubscriptionQuery(Schema):
    customer: Id | None = None
    status: Status | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=512)


class PeriodView(View):
    """Half-open: `end` is the first instant that no longer belongs to it."""

    start: datetime
    end: datetime


class ItemView(View):
    id: str
    kind: ItemKind
    product: str
    name: str
    quantity: int
    price: str | None = Field(description="The price's id in the catalog version bought; null when free.")
    model: PricingModel | None
    unit_amount: str | None = Field(description="Decimal string in minor units.")
    interval: IntervalUnit | None
    interval_count: int | None


class CollectionView(View):
    method: CollectionMethod
    net_days: int


class TrialView(View):
    start: datetime
    end: datetime
    on_end: str


class CancellationView(View):
    requested_at: datetime
    at: datetime
    reason: str


class PendingChangeView(View):
    at: datetime
    items: list[ItemView]
    coupons: list[str] = Field(description="Redeemed with it; given back where it does not come about.")


class SubscriptionCouponView(View):
    id: str
    name: str
    percent: str | None
    amount: int | None
    currency: str | None
    duration: Duration
    redeemed_at: datetime
    periods_used: int
    periods_left: int | None = Field(description="null: as long as the subscription runs.")


class ApplyCouponRequest(Schema):
    coupon: Code


class DunningView(View):
    policy: str = Field(examples=["default"], description="`default`, `plan:<id>` or `segment:<name>`.")
    started_at: datetime
    step: int
    next_attempt_at: datetime | None
    grace_until: datetime | None
    invoices: list[str]


class NextView(View):
    """What the clock will do next."""

    at: datetime
    kind: str


class SubscriptionView(View):
    id: str
    customer: str
    status: Status
    plan: str
    currency: str
    catalog_version: int
    items: list[ItemView]
    time_zone: str
    anchor: datetime
    billing: Billing
    current_period: PeriodView | None
    trial: TrialView | None
    cancellation: CancellationView | None
    pending_change: PendingChangeView | None
    dunning: DunningView | None
    next: NextView | None
    collection: CollectionView
    channel: str
    coupons: list[SubscriptionCouponView] = Field(description="In the order in which they apply.")
    mrr: int = Field(description="Monthly recurring revenue in minor units.")
    latest_invoice: str | None
    confirmation_url: str | None = Field(
        description="Where the customer of an incomplete one confirms the first payment. Not in lists."
    )
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class SubscriptionPage(View):
    data: list[SubscriptionView]
    next_cursor: str | None


def period_view(period: Period | None) -> PeriodView | None:
    return PeriodView(start=period.start, end=period.end) if period else None
