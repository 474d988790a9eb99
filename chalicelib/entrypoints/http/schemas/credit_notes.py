"""Credit notes as asked and as answered. Amounts are integer minor units of `currency`, with tax."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chalicelib.domain.proration import Granularity
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.payments import Amount, RefundView
from chalicelib.entrypoints.http.schemas.subscriptions import Id, PeriodView

Part = Annotated[int, Field(ge=0, le=1_000_000_000_000)]


class Destination(StrEnum):
    CREDIT = "credit"
    REFUND = "refund"


class NoteLineRequest(Schema):
    line: str = Field(min_length=1, max_length=200, description="Of the invoice.", examples=["plan"])
    amount: Amount | None = Field(default=None, description="With tax; all that is left, when left out.")


class CreditNoteTerms(Schema):
    """Lines, an amount over all of them, or (neither) everything that is left.

    It first lowers what is due of the invoice; the rest is refunded or becomes account credit.
    """

    lines: list[NoteLineRequest] = Field(default=[], max_length=100)
    amount: Amount | None = Field(
        default=None, description="With tax, spread over the lines.", examples=[500]
    )
    destination: Destination = Field(
        default=Destination.CREDIT,
        alias="as",
        description="What becomes of the rest; refunded as far as money was paid.",
    )
    refund: Part | None = Field(
        default=None, description="How much of the rest is refunded, instead of `as`."
    )
    credit: Part | None = Field(default=None, description="How much of the rest becomes account credit.")
    reason: str = Field(default="", max_length=500)


class CreditNoteRequest(CreditNoteTerms):
    preview_token: str | None = Field(
        default=None,
        max_length=4000,
        description="Of a preview of this request: exactly that is done, or 409 `preview_stale`.",
    )


class CreditNoteQuery(Schema):
    """One of customer and invoice is needed."""

    customer: Id | None = None
    invoice: Id | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=20)] | None = None


class NoteLineView(View):
    line: str
    description: str
    total: int
    tax: int
    discount: int = Field(description="Its share of what coupons had taken from the line.")
    credited_before: int
    tax_rate: str
    tax_inclusive: bool
    numerator: int | None = Field(description="For time that was not used: so many")
    denominator: int | None = Field(description="of the units that were billed.")
    unit: Granularity
    period: PeriodView | None


class CreditNoteView(View):
    id: str
    customer: str
    subscription: str
    invoice: str
    number: str
    currency: str
    at: datetime
    reason: str
    lines: list[NoteLineView]
    total: int = Field(description="applied + credited + refunded.")
    tax: int
    applied: int = Field(description="Lowered what was due of the invoice.")
    credited: int = Field(description="Became account credit.")
    refunded: int = Field(
        description="Goes back to whoever paid. A refund that fails becomes account credit."
    )
    refunds: list[RefundView]


class CreditNotePage(View):
    data: list[CreditNoteView]
    next_cursor: str | None
