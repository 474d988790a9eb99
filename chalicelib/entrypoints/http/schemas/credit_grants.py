"""Prepaid credits as asked for and as answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.catalog import CurrencyCode

Minor = Annotated[int, Field(ge=1, le=10**12, description="Minor units.", examples=[10000])]


class GrantRequest(Schema):
    """Credits that usage is taken from before tax. With a `price` they are bought, else given."""

    amount: Minor
    currency: CurrencyCode
    name: str = Field(default="", max_length=100)
    priority: int = Field(default=0, ge=0, le=1000, description="The lowest is drawn first.")
    expires_at: datetime | None = None
    price: Minor | None = Field(default=None, description="Billed on an invoice of its own, with tax.")
    subscription: str | None = Field(
        default=None, max_length=64, description="With `price`: whose terms the invoice has."
    )


class TopUpSchema(Schema):
    """When the balance falls below `below`, `amount` is bought for `price`."""

    currency: CurrencyCode
    below: Minor
    amount: Minor
    price: Minor
    subscription: str = Field(max_length=64, description="Whose terms the invoices have.")
    most_per_month: int = Field(default=3, ge=1, le=31)


class TopUpRequest(Schema):
    top_up: TopUpSchema | None = Field(description="null: no more.")


class GrantView(View):
    id: str
    name: str
    currency: str
    amount: int
    balance: int
    priority: int
    granted_at: datetime
    expires_at: datetime | None
    invoice: str | None = Field(description="What it was bought with.")
    waiting: bool = Field(description="For the payment of that invoice: nothing is drawn from it yet.")


class TopUpView(View):
    currency: str
    below: int
    amount: int
    price: int
    subscription: str
    most_per_month: int


class GrantsView(View):
    data: list[GrantView]
    balances: dict[str, int] = Field(description="Currency → minor units that may be drawn now.")
    top_up: TopUpView | None
