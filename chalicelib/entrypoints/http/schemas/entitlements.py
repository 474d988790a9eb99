"""Entitlements as answered."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from chalicelib.domain.subscription import Status
from chalicelib.entrypoints.http.kit import View


class MeteredView(View):
    meter: str
    used: int = Field(description="In the present period.")
    limit: int | None = Field(description="null is unlimited.")
    hard: bool = Field(description="Whether the product stops at the limit; otherwise it only tells.")
    exceeded: bool
    resets_at: datetime


class GrantView(View):
    subscription: str
    plan: str
    status: Status
    features: list[str]
    quotas: dict[str, int | None]
    seats: int | None
    until: datetime | None
    usage: list[MeteredView] = Field(description="Of the quotas that a meter counts.")


class EntitlementsView(View):
    customer: str
    active: bool = Field(description="Whether there is access at all.")
    status: Status | None
    plan: str | None
    features: list[str]
    quotas: dict[str, int | None] = Field(description="Limits by name; null is unlimited.")
    seats: int
    until: datetime | None = Field(description="When it ends or is paid anew; null: no end in sight.")
    credits: dict[str, int] = Field(description="Prepaid credits left: currency → minor units.")
    subscriptions: list[GrantView]
