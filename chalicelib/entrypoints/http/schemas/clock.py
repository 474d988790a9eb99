"""The clock of an environment, as asked and as answered."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from chalicelib.entrypoints.http.kit import Schema, View


class AdvanceRequest(Schema):
    """Exactly one of `to` and `by`."""

    to: datetime | None = Field(default=None, examples=["2027-01-01T00:00:00Z"])
    by: str | None = Field(
        default=None, max_length=40, description="ISO 8601 duration.", examples=["P1M", "P30D", "PT12H"]
    )


class ClockView(View):
    environment: str
    now: datetime
    live: bool


class StuckView(View):
    kind: str
    subject: str
    at: datetime
    error: str


class AdvanceView(View):
    """`counts` are the facts that were committed on the way, by type; `jobs` the pieces of work done."""

    id: str
    status: str = Field(description="running, done or stuck", examples=["done"])
    start: datetime
    to: datetime
    reached: datetime
    jobs: int
    counts: dict[str, int]
    stuck: list[StuckView]
