"""What the MRR report takes and shows. Amounts are minor units per month, signed where they are movements."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.journal import MovementKind
from chalicelib.entrypoints.http.kit import Schema, View

MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
Month = Annotated[str, Field(pattern=MONTH, examples=["2026-11"], description="Business month, UTC.")]
OptionalMonth = Annotated[str | None, Field(pattern=MONTH, examples=["2026-11"])]
Currency = Annotated[str | None, Field(pattern="^[A-Z]{3}$", examples=["USD"])]
Motion = Annotated[
    str | None,
    Field(
        max_length=40, examples=["self_serve"], description="`self_serve`, `api` or `sales`; all if left out."
    ),
]
Rate = Annotated[int | None, Field(description="Basis points; null where there is nothing to divide by.")]


class MrrReportQuery(Schema):
    start: OptionalMonth = Field(
        default=None, alias="from", description="First month; eleven before `to` if left out."
    )
    to: OptionalMonth = Field(default=None, description="Last month; the present one if left out.")
    currency: Currency = None
    motion: Motion = None


class PageQuery(Schema):
    month: Month
    currency: Currency = None
    motion: Motion = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=160)


class MovementsQuery(PageQuery):
    kind: MovementKind | None = None
    reason: str | None = Field(default=None, max_length=40, examples=["payment_failed"])


class TrialsQuery(PageQuery):
    outcome: TrialOutcome | None = None


class ReasonView(View):
    reason: str = Field(
        examples=["payment_failed"],
        description="A cancellation's reason where it is a code (`a-z0-9_`), else `other` or `unstated`;"
        " `payment_failed`, `fell_back` to the free plan, `downgraded` or `discounted` to nothing, or the status.",
    )
    amount: int
    subscriptions: int


class SubscriptionsView(View):
    """Subscriptions that bring MRR."""

    opening: int
    new: int
    reactivated: int
    churned: int
    closing: int


class TrialsView(View):
    """Trials; none of it is in the MRR."""

    mrr: int = Field(description="What those that run at the month's end would bring.")
    running: int = Field(description="At the month's end.")
    ended: int = Field(description="Trials whose end fell in the month.")
    paid: int
    lost: int
    undecided: int = Field(description="Their first payment may still come: not in the rate.")
    trial_to_paid: Rate


class FreeView(View):
    """Subscriptions on a free plan."""

    opening: int
    started: int
    paid: int = Field(description="Went on to a paid plan.")
    ended: int
    closing: int
    free_to_paid: Rate


class MonthView(View):
    month: str = Field(examples=["2026-11"])
    opening: int
    movements: dict[MovementKind, int]
    net_new: int
    closing: int = Field(description="Opening plus movements; in the present month, as of now.")
    net_revenue_retention: Rate
    gross_revenue_retention: Rate
    subscriptions: SubscriptionsView
    churn_reasons: list[ReasonView]
    trials: TrialsView
    free: FreeView


class MotionView(View):
    motion: str = Field(examples=["self_serve"])
    months: list[MonthView]


class CurrencyMetricsView(View):
    currency: str
    months: list[MonthView]
    motions: list[MotionView]


class MrrReportView(View):
    start: str = Field(serialization_alias="from", examples=["2026-01"])
    to: str = Field(examples=["2026-11"], description="At most the present month.")
    data: list[CurrencyMetricsView]


class MovementRowView(View):
    entry: str = Field(description="The journal entry; its facts are the events `<entry>_<n>`.")
    at: datetime
    customer: str
    subscription: str
    kind: MovementKind
    amount: int
    currency: str
    motion: str
    reason: str
    cause: str


class MovementRowPage(View):
    data: list[MovementRowView]
    next_cursor: str | None


class TrialRowView(View):
    customer: str
    subscription: str
    plan: str = Field(description="What it has now.")
    ended_at: datetime
    currency: str
    motion: str
    outcome: TrialOutcome
    mrr: int = Field(description="What it brings now.")


class TrialRowPage(View):
    data: list[TrialRowView]
    next_cursor: str | None
