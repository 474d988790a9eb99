"""The clock of an environment, as asked and as answered."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from chalicelib.entrypoints.http.kit import Schema, View


class Span(Schema):
    """Added up in the calendar's way: months and years clamp to the month's end (UTC)."""

    years: int = Field(default=0, ge=0, le=20)
    months: int = Field(default=0, ge=0, le=240)
    weeks: int = Field(default=0, ge=0, le=1000)
    days: int = Field(default=0, ge=0, le=7500)
    hours: int = Field(default=0, ge=0, le=100_000)
    minutes: int = Field(default=0, ge=0, le=1_000_000)


class AdvanceRequest(Schema):
    """Exactly one of `to` and `by`."""

    to: datetime | None = Field(default=None, examples=["2027-01-01T00:00:00Z"])
    by: Span | None = Field(default=None, examples=[{"months": 1}])


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
