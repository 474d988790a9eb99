"""The demo's months: the clock advances, cards fail and are replaced, some customers leave."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from rich.progress import Progress

from infra.local.demo_company import BAD_CARD, FOUNDED, GOOD_CARD, Api, Company

RUNNING = ("active", "past_due", "trialing")
CARDS_FAIL_A_MONTH, CANCEL_A_MONTH = 6, 1
MID_MONTH = "20"


@dataclass
class Month:
    """What one month brought, by the API's own account."""

    name: str
    subscriptions: int
    counts: Counter[str] = field(default_factory=Counter)
    collected: dict[str, int] = field(default_factory=dict)
    mrr: dict[str, int] = field(default_factory=dict)


def live_through(company: Company, months: int, progress: Progress) -> list[Month]:
    bar = progress.add_task("Months go by", total=months)
    lived, draw = [], random.Random(12)
    for month in _month_ends(months):
        _advance(company.api, f"{month[:7]}-{MID_MONTH}T12:00:00Z")
        _mend_cards(company)
        _advance(company.api, month)
        statuses = Counter(s["status"] for s in company.api.pages("/v1/subscriptions"))
        lived.append(Month(month[:7], sum(statuses[status] for status in RUNNING)))
        _live_a_little(company, draw)
        progress.advance(bar)
    _read_events(company.api, lived)
    _read_books(company.api, lived)
    return lived


def resting(api: Api, path: str) -> list[Any]:
    """Books are projected from the journal moments later: read them until they rest."""
    last = None
    while True:
        books: list[Any] = api.get(path)["data"]
        if books == last:
            return books
        last = books
        time.sleep(0.5)


def _month_ends(months: int) -> list[str]:
    """The last second of each month since the founding."""
    firsts = [date(FOUNDED.year + index // 12, index % 12 + 1, 1) for index in range(1, months + 1)]
    return [f"{first - timedelta(days=1)}T23:59:59Z" for first in firsts]


def _advance(api: Api, to: str) -> None:
    advance = api.post("/v1/clock/advance", {"to": to})
    while advance["status"] == "running":
        time.sleep(0.3)
        advance = api.get(f"/v1/clock/advances/{advance['id']}")
    if advance["status"] != "done":
        raise RuntimeError(f"the clock got stuck: {advance['stuck'][:3]}")


def _live_a_little(company: Company, draw: random.Random) -> None:
    """What customers do between two months: some cards fail from now on, some customers cancel."""
    subscriptions = list(company.api.pages("/v1/subscriptions"))
    paying = sorted(s["customer"] for s in subscriptions if s["status"] == "active" and s["mrr"])
    for customer in draw.sample(paying, min(len(paying), CARDS_FAIL_A_MONTH)):
        _bring_card(company, customer, BAD_CARD)
    leaving = sorted(s["id"] for s in subscriptions if s["status"] == "active" and not s["cancellation"])
    for subscription in draw.sample(leaving, min(len(leaving), CANCEL_A_MONTH)):
        company.api.post(f"/v1/subscriptions/{subscription}/cancel", {"reason": "moving on"})


def _mend_cards(company: Company) -> None:
    """Two of three customers in arrears bring a card that works; the next attempt recovers them."""
    behind = sorted(company.api.pages("/v1/subscriptions", status="past_due"), key=lambda s: s["id"])
    for number, subscription in enumerate(behind):
        if number % 3:
            _bring_card(company, subscription["customer"], GOOD_CARD)


def _bring_card(company: Company, customer: str, card: str) -> None:
    company.api.post(f"/v1/customers/{customer}/payment_methods", {"payment_method": card})


def _read_events(api: Api, months: list[Month]) -> None:
    """Count the feed's events by the month they happened in."""
    named = {month.name: month for month in months}
    cursor, more = 0, True
    while more:
        page = api.get("/v1/events", after=cursor, limit=100)
        for event in page["data"]:
            named[event["created"][:7]].counts[event["type"]] += 1
        cursor, more = page["next_cursor"], page["has_more"]


def _read_books(api: Api, months: list[Month]) -> None:
    """What each month collected and the MRR at its end, from the ledger and the journal's movements."""
    named = {month.name: month for month in months}
    for books in resting(api, "/v1/ledger"):
        for booked in books["months"]:
            named[booked["month"]].collected[books["currency"]] = booked["accounts"].get("cash", 0)
    for books in resting(api, "/v1/mrr"):
        standing = {booked["month"]: booked["mrr"] for booked in books["months"]}
        mrr = 0
        for month in months:
            mrr = standing.get(month.name, mrr)
            month.mrr[books["currency"]] = mrr
