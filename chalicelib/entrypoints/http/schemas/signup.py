"""Sign-up sessions and leads, as asked and as answered."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from chalicelib.domain.calendar import IntervalUnit
from chalicelib.domain.checkout import SignupStatus
from chalicelib.domain.profile import LARGEST_COMPANY
from chalicelib.domain.signup_rules import LONGEST_NOTE, MOST_SEATS
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.checkout import Country, Language, ReturnUrl, TimeZone
from chalicelib.entrypoints.http.schemas.customers import Cursor, Email, Limit, TaxIdValue, Text
from chalicelib.entrypoints.http.schemas.invoices import TaxSumView
from chalicelib.entrypoints.http.schemas.subscriptions import AddOnRequest, Code, Currency, Name


class SignupSessionRequest(Schema):
    """One step of a sign-up: whatever is known by now. null clears a field."""

    email: Email | None = None
    name: Text | None = None
    company: Text | None = Field(default=None, description="As invoices name the buyer.")
    company_size: int | None = Field(
        default=None, ge=1, le=LARGEST_COMPANY, description="People employed; above 100 sales take over."
    )
    country: Country | None = None
    state: Text | None = Field(default=None, description="Where tax is that of a state or province.")
    tax_id: TaxIdValue | None = Field(default=None, description="Form and check digits are looked at.")
    language: Language | None = None
    time_zone: TimeZone | None = None
    currency: Currency | None = None
    plan: Name | None = Field(default=None, examples=["pro"])
    interval: IntervalUnit | None = None
    quantity: int | None = Field(default=None, ge=1, le=MOST_SEATS, description="Seats, where sold per seat.")
    add_ons: list[AddOnRequest] | None = Field(default=None, max_length=20)
    trial: bool | None = Field(default=None, description="false pays now; else the plan's trial, if any.")
    coupon: Code | None = None
    wants_demo: bool | None = Field(default=None, description="true asks for a talk with sales.")
    note: str | None = Field(default=None, max_length=LONGEST_NOTE, description="What sales should know.")
    success_url: ReturnUrl | None = None
    cancel_url: ReturnUrl | None = None


class AddOnView(View):
    id: str
    quantity: int


class SignupSessionView(View):
    id: str
    status: SignupStatus
    outcome: str | None = Field(
        description="Of a completed one: active, trialing, checkout (go to `url`), or sales.",
        examples=["checkout"],
    )
    url: str | None = Field(description="The payment page, while it waits.")
    customer: str | None = Field(description="Once there is one.")
    subscription: str | None
    subscription_status: str | None
    checkout_session: str | None
    lead: str | None
    email: str
    name: str
    company: str
    company_size: int | None
    country: str
    state: str
    tax_id: str
    language: str
    time_zone: str
    currency: str | None
    plan: str | None
    interval: IntervalUnit | None
    quantity: int
    add_ons: list[AddOnView]
    trial: bool | None
    coupon: str | None
    wants_demo: bool
    note: str
    success_url: str
    cancel_url: str
    created_at: datetime
    updated_at: datetime
    abandons_at: datetime
    completed_at: datetime | None


class SignupQuery(Schema):
    status: SignupStatus | None = Field(
        default=None, description="With it, a page may hold fewer than `limit`."
    )
    limit: Limit = 20
    cursor: Cursor | None = None


class SignupSessionPage(View):
    data: list[SignupSessionView]
    next_cursor: str | None


class PriceLineView(View):
    description: str
    quantity: int
    amount: int = Field(description="With tax.")


class SignupPriceView(View):
    """Exactly what completing now would bill. Amounts in minor units."""

    currency: str
    lines: list[PriceLineView] = Field(
        description="Of the first invoice; after a trial, of the one at its end."
    )
    taxes: list[TaxSumView] = Field(description="Within `total`, one for each rate.")
    total: int
    due_now: int
    card_required: bool = Field(description="Whether completing leads to a payment page.")
    trial_days: int
    trial_end: datetime | None
    on_trial_end: str | None = Field(description="Without a card: cancel, fall_back or invoice.")
    renews_at: datetime | None
    renewal_amount: int


class LeadView(View):
    id: str
    reason: str = Field(
        description="demo_requested, quote_only_plan, sales_assisted_plan or large_company",
        examples=["large_company"],
    )
    at: datetime
    customer: str = Field(description="The id that the customer has, or would have.")
    email: str
    name: str
    company: str
    company_size: int | None
    country: str
    plan: str
    quantity: int
    note: str
    source: str = Field(description="The sign-up session that led here.")


class LeadQuery(Schema):
    limit: Limit = 20
    cursor: Cursor | None = None


class LeadPage(View):
    data: list[LeadView]
    next_cursor: str | None
