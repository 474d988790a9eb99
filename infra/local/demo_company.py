"""The demo's company: its sandbox, and customers who sign up on a mix of plans, currencies and cards."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import requests
from rich.progress import Progress

FOUNDED = date(2026, 1, 1)
CURRENCIES = ("USD", "EUR", "GBP", "JPY")
PLANS = (
    ("starter", "month", 40),
    ("starter", "year", 10),
    ("pro", "month", 30),
    ("pro", "year", 8),
    ("business", "month", 8),
    ("free", "month", 4),
)
GOOD_CARD = "pm_card_visa"
BAD_CARD = "pm_card_chargeCustomerFail"
"""Can be saved and is declined at every charge: those who sign up with it have a trial first."""
CARDS = (("pm_card_visa", 70), ("pm_card_mastercard", 20), (BAD_CARD, 10))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney")


class Api:
    """The HTTP API with one key; a session per thread."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._local = threading.local()

    def get(self, path: str, **params: Any) -> Any:
        return self._send("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._send("POST", path, json=body or {})

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        cursor = None
        while True:
            page = self.get(path, limit=100, **params, **({"cursor": cursor} if cursor else {}))
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _send(self, method: str, path: str, **how: Any) -> Any:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.headers["Authorization"] = f"Bearer {self._key}"
        response = self._local.session.request(method, self._url + path, timeout=60, **how)
        if response.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text[:400]}")
        return response.json()


@dataclass
class Company:
    """The sandbox and its customers."""

    api: Api
    environment: str
    customers: list[str] = field(default_factory=list)


def found(url: str, key: str) -> Company:
    sandbox = Api(url, key).post("/v1/sandboxes", {"name": "Demo", "start_at": f"{FOUNDED}T09:00:00Z"})
    return Company(Api(url, sandbox["secret_key"]), sandbox["id"])


def sign_up(company: Company, customers: int, progress: Progress) -> None:
    bar = progress.add_task("Customers sign up", total=customers)
    draw = random.Random(2026)
    orders = [_order(draw, number) for number in range(customers)]
    with ThreadPoolExecutor(4) as pool:
        for customer in pool.map(lambda order: _customer(company.api, *order), orders):
            company.customers.append(customer)
            progress.advance(bar)


def _order(draw: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """(customer, subscription, card) drawn by the mix above."""
    plan, interval, _ = draw.choices(PLANS, [weight for *_, weight in PLANS])[0]
    card, _ = draw.choices(CARDS, [weight for _, weight in CARDS])[0]
    profile = {
        "email": f"customer{number}@example.com",
        "name": f"Customer {number}",
        "time_zone": draw.choice(ZONES),
    }
    order: dict[str, Any] = {"plan": plan, "interval": interval, "currency": draw.choice(CURRENCIES)}
    if plan in ("pro", "business"):
        order["quantity"] = draw.randint(1, 12)
    if plan in ("starter", "pro") and card == BAD_CARD:
        return profile, order, card  # a trial first: the card fails when it ends
    good = GOOD_CARD if card == BAD_CARD else card
    return profile, order | ({"trial_days": 0} if plan != "free" else {}), good


def _customer(api: Api, profile: dict[str, Any], order: dict[str, Any], card: str) -> str:
    customer: str = api.post("/v1/customers", profile)["id"]
    if order["plan"] != "free":
        order = order | {"payment_method": card}
    api.post("/v1/subscriptions", order | {"customer": customer})
    return customer
