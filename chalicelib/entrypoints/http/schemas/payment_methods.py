"""Means of payment as asked and as answered. Card numbers never pass through here, only the processor's ids."""

from __future__ import annotations

from pydantic import Field

from chalicelib.entrypoints.http.kit import Schema, View


class PaymentMethodRequest(Schema):
    payment_method: str = Field(
        min_length=1,
        max_length=255,
        description="The processor's id of a method that the customer gave on a page of theirs or yours.",
        examples=["pm_card_visa"],
    )


class PaymentMethodView(View):
    id: str
    kind: str
    brand: str
    last4: str
    exp_month: int = Field(description="0 where the kind has no expiry.")
    exp_year: int
    default: bool = Field(description="What is charged automatically.")


class PaymentMethodList(View):
    data: list[PaymentMethodView]
