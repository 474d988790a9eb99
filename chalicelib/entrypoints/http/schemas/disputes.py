"""Disputes as answered. Amounts are integer minor units."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.dispute import DisputeStatus
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.subscriptions import Id


class DisputeQuery(Schema):
    customer: Id
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=512)] | None = None


class PaymentDisputeView(View):
    """A payment that the customer's bank claims back, or asks about (`inquiry`: no money has moved)."""

    reference: str = Field(description="The payment provider's id.", examples=["du_1Pgc7B2eZvKYlo2C"])
    status: DisputeStatus
    reason: str = Field(description="As the bank gives it.", examples=["fraudulent"])
    amount: int
    currency: str
    withdrawn: int = Field(description="What the bank holds of ours now.")
    fee: int = Field(description="What the payment provider kept for it, in fee_currency.")
    fee_currency: str
    evidence_due_at: datetime | None = Field(
        description="Until when it can be answered; the payment provider's time, also in a sandbox."
    )
    opened_at: datetime
    closed_at: datetime | None


class DisputeView(PaymentDisputeView):
    payment: str
    invoice: str


class DisputePage(View):
    data: list[DisputeView]
    next_cursor: str | None
