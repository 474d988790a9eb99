"""Checkout sessions as asked and as answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.calendar import IntervalUnit
from chalicelib.domain.checkout import CheckoutMode, CheckoutStatus
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.customers import Email, TaxIdValue, Text
from chalicelib.entrypoints.http.schemas.subscriptions import (
    AddOnRequest,
    Code,
    Currency,
    Id,
    Name,
    Quantity,
)

ReturnUrl = Annotated[
    str,
    Field(
        max_length=2000,
        description="Below an allowed origin. `{CHECKOUT_SESSION_ID}` in it is replaced; otherwise "
        "`checkout_session=` is appended.",
        examples=["http://127.0.0.1:8787/welcome"],
    ),
]
Country = Annotated[str, Field(min_length=2, max_length=2, examples=["DE"])]
Language = Annotated[str, Field(max_length=35, examples=["en"])]
TimeZone = Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]


class CheckoutSessionRequest(Schema):
    """For an existing `customer` (secret key only), or for a new one with `customer_email`."""

    customer: Id | None = None
    customer_email: Email | None = None
    customer_name: Text | None = None
    company: Text | None = Field(default=None, description="As invoices name the buyer.")
    country: Country | None = None
    state: Text | None = Field(default=None, description="Where tax is that of a state or province.")
    tax_id: TaxIdValue | None = Field(default=None, description="Form and check digits are looked at.")
    language: Language | None = None
    time_zone: TimeZone | None = None
    plan: Name = Field(examples=["pro"])
    interval: IntervalUnit = IntervalUnit.MONTH
    interval_count: int = Field(default=1, ge=1, le=1000)
    currency: Currency | None = Field(
        default=None, description="The customer's if left out, else the catalog's default."
    )
    quantity: Quantity = 1
    add_ons: list[AddOnRequest] = Field(default_factory=list, max_length=20)
    trial_days: int | None = Field(
        default=None,
        ge=0,
        le=90,
        description="The plan's trial if left out; 0 pays now. Saving a card starts a trial, also where the plan "
        "asks for none: to start one without, POST /v1/subscriptions. A card that somebody else has had a trial with "
        "starts none: nothing is charged, and the subscription stays incomplete with an invoice that can be paid.",
    )
    coupon: Code | None = None
    success_url: ReturnUrl
    cancel_url: ReturnUrl


class CheckoutSessionView(View):
    id: str
    status: CheckoutStatus
    mode: CheckoutMode = Field(description="`setup` saves a card when nothing is due now.")
    payment_status: str = Field(
        description="paid, processing (a bank debit takes days), unpaid, or no_payment_required",
        examples=["paid"],
    )
    url: str | None = Field(description="Send the customer here; null once the session is not open.")
    customer: str
    subscription: str
    invoice: str | None
    success_url: str
    cancel_url: str
    created_at: datetime
    expires_at: datetime = Field(description="When an unpaid session is given up.")
    completed_at: datetime | None
