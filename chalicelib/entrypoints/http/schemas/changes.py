"""Changes of a subscription as asked, and previews as answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.calendar import IntervalUnit
from chalicelib.domain.change import When
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.credit_notes import CreditNoteView
from chalicelib.entrypoints.http.schemas.invoices import InvoiceView
from chalicelib.entrypoints.http.schemas.subscriptions import (
    AddOnRequest,
    CancelAt,
    CancelRequest,
    Code,
    Name,
    Quantity,
    SubscriptionView,
)

PreviewToken = Annotated[
    str | None,
    Field(
        default=None,
        max_length=4000,
        description="Of a preview of this request: exactly that is done, or 409 `preview_stale`.",
    ),
]


class ChangeTerms(Schema):
    """What is to be different; what is left out stays as it is."""

    plan: Name | None = Field(default=None, examples=["business"])
    interval: IntervalUnit | None = None
    interval_count: int = Field(
        default=1, ge=1, le=1000, description="With `interval`: 3 with `month` is a quarter."
    )
    quantity: Quantity | None = Field(default=None, description="Seats, where the plan is sold per seat.")
    add_ons: list[AddOnRequest] | None = Field(
        default=None, max_length=20, description="All that there are to be; an empty list takes them all off."
    )
    at: When | datetime | None = Field(
        default=None,
        description=(
            "`now`, `period_end`, or an instant within the period. Left out: up (a higher plan, a longer interval, "
            "more seats) is now, down at the period's end."
        ),
    )
    prorate: bool = Field(
        default=True, description="Whether the rest of the period is charged and credited, where it goes on."
    )
    billing_day: int | None = Field(
        default=None, ge=1, le=31, description="Day of the month on which periods begin, from the end of this one."
    )
    reprice: bool = Field(
        default=False, description="What is kept is sold anew too, at the current catalog's prices."
    )
    coupon: Code | None = None


class ChangeRequest(ChangeTerms):
    preview_token: PreviewToken


class BoundCancelRequest(CancelRequest):
    preview_token: PreviewToken


class PauseRequest(Schema):
    at: CancelAt = CancelAt.PERIOD_END
    resumes_at: datetime | None = Field(
        default=None, description="When it goes on by itself; null: when asked to."
    )
    credit: bool = Field(
        default=True, description="Paused now, whether what is unused becomes account credit."
    )


class BoundPauseRequest(PauseRequest):
    preview_token: PreviewToken


class BoundRequest(Schema):
    preview_token: PreviewToken


class PreviewView(View):
    """What the request would do now."""

    token: str = Field(description="Send it with the request as `preview_token`.")
    expires_at: datetime
    invoices: list[InvoiceView] = Field(description="That would be drawn up or changed by it.")
    credit_notes: list[CreditNoteView] = Field(
        description="That would be issued; their refunds are made after."
    )
    subscription: SubscriptionView | None = Field(description="As it would be once it is paid.")
    next_invoice: InvoiceView | None = Field(description="What the next renewal would then bill.")
