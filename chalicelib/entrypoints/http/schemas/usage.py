"""Usage as reported and as answered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chalicelib.application.usage import MOST
from chalicelib.domain.meter import Aggregation
from chalicelib.entrypoints.http.kit import Schema, View

Whole = Annotated[int, Field(ge=-(10**15), le=10**15)]


class EventSchema(Schema):
    """Something that a customer did, as the product saw it."""

    id: str = Field(
        min_length=1,
        max_length=200,
        description="Yours, unique per customer: an id that came before counts nothing.",
        examples=["req_7f3a"],
    )
    customer: str = Field(max_length=64)
    event: str = Field(
        min_length=1, max_length=64, description="The name that meters read.", examples=["api_calls"]
    )
    at: datetime | None = Field(
        default=None,
        description="When it happened, up to 35 days ago; now, if left out. It decides the period.",
    )
    value: Whole = 1
    properties: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=200)] | Whole] = (
        Field(default={}, max_length=20, examples=[{"region": "eu"}])
    )
    subscription: str | None = Field(
        default=None, max_length=64, description="Only where a customer has several that could take it."
    )


class UsageRequest(Schema):
    events: list[EventSchema] = Field(min_length=1, max_length=MOST)


class Taken(StrEnum):
    RECORDED = "recorded"
    DUPLICATE = "duplicate"


class ReceiptView(View):
    id: str
    status: Taken


class ReceiptsView(View):
    data: list[ReceiptView] = Field(description="One per event, in order.")


class WindowView(View):
    start: datetime
    end: datetime
    quantity: int
    events: int
    billed: int | None = Field(description="The quantity that invoices billed; null until one did.")


class UsageView(View):
    meter: str
    aggregation: Aggregation
    windows: list[WindowView] = Field(
        description="Oldest first; a period has more than one where the plan changed."
    )


class UsagePage(View):
    data: list[UsageView]
