"""`python -m infra.local.demo`: a company's year in a minute, and whether the books agree at its end.

Starts a system of its own in a folder that is removed afterwards, makes a sandbox with 200 customers on a mix
of plans, currencies and cards, advances its clock month by month, and reconciles three independent
counts to the minor unit: what the processor took, what the paid invoices say, and what the ledger holds.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.local.ports import free_ports

FOUNDED = date(2026, 1, 1)
COUNTED = (
    "invoice.opened",
    "invoice.paid",
    "payment.failed",
    "subscription.recovered",
    "subscription.canceled",
)
RUNNING = ("active", "past_due", "trialing")
CURRENCIES = ("USD", "EUR", "GBP", "JPY")
EXPONENTS = {"JPY": 0}
PLANS = (
    ("starter", "month", 40),
    ("starter", "year", 10),
    ("pro", "month", 30),
    ("pro", "year", 8),
    ("business", "month", 8),
    ("free", "month", 4),
)
BAD_CARD = "pm_card_chargeCustomerFail"
"""Can be saved and is declined at every charge: those who sign up with it have a trial first."""
CARDS = (("pm_card_visa", 70), ("pm_card_mastercard", 20), (BAD_CARD, 10))
CARDS_FAIL_A_MONTH, CANCEL_A_MONTH = 6, 1
MID_MONTH = "20"
WIDTH = 100
GOOD_CARD = "pm_card_visa"
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
class Month:
    """What one month brought, by the API's own account."""

    name: str
    subscriptions: int
    counts: Counter[str] = field(default_factory=Counter)
    collected: dict[str, int] = field(default_factory=dict)
    mrr: dict[str, int] = field(default_factory=dict)


@dataclass
class Company:
    """The sandbox and its customers."""

    api: Api
    environment: str
    customers: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--months", type=int, default=12)
    options = parser.parse_args()
    console = Console()
    console.width = max(console.width, WIDTH)
    with _system() as (url, stripe, key):
        company = _found(url, key)
        with _progress(console) as progress:
            started = time.monotonic()
            _sign_up(company, options.customers, progress)
            signed_up = time.monotonic()
            months = _live_through(company, options.months, progress)
        advanced = time.monotonic() - signed_up
        console.print(*_tables(months))
        console.print(
            f"{options.customers} customers signed up in {signed_up - started:.0f} s; "
            f"{options.months} months in {advanced:.0f} s."
        )
        return _reconcile(company, stripe, console)


@contextlib.contextmanager
def _system() -> Iterator[tuple[str, str, str]]:
    """(address, the processor's address, admin key) of a system that lives as long as this block."""
    with tempfile.TemporaryDirectory(prefix="perennial-demo-") as folder:
        port = free_ports(3)
        command = [sys.executable, "-m", "infra.local", "run", "--port", str(port), "--state", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as system:
            try:
                key = _key_when_up(system, Path(folder))
                yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", key
            finally:
                system.terminate()
                system.wait(20)


def _key_when_up(system: subprocess.Popen[str], folder: Path) -> str:
    assert system.stdout is not None
    said = []
    for line in system.stdout:
        said.append(line)
        if "Secret key" in line:
            # Its screen is not ours to show; read on so that it is never held up by a full pipe.
            threading.Thread(target=system.stdout.read, daemon=True).start()
            return line.split()[-1]
    raise SystemExit("the system did not start:\n" + "".join(said))


def _found(url: str, key: str) -> Company:
    sandbox = Api(url, key).post("/v1/sandboxes", {"name": "Demo", "start_at": f"{FOUNDED}T09:00:00Z"})
    return Company(Api(url, sandbox["secret_key"]), sandbox["id"])


def _sign_up(company: Company, customers: int, progress: Progress) -> None:
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


def _live_through(company: Company, months: int, progress: Progress) -> list[Month]:
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
    for books in _resting(api, "/v1/ledger"):
        for booked in books["months"]:
            named[booked["month"]].collected[books["currency"]] = booked["accounts"].get("cash", 0)
    for books in _resting(api, "/v1/mrr"):
        standing = {booked["month"]: booked["mrr"] for booked in books["months"]}
        mrr = 0
        for month in months:
            mrr = standing.get(month.name, mrr)
            month.mrr[books["currency"]] = mrr


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


def _resting(api: Api, path: str) -> list[Any]:
    """Books are projected from the journal moments later: read them until they rest."""
    last = None
    while True:
        books: list[Any] = api.get(path)["data"]
        if books == last:
            return books
        last = books
        time.sleep(0.5)


def _reconcile(company: Company, stripe: str, console: Console) -> int:
    """0 when processor, invoices and ledger agree in every currency, else 1."""
    answer = requests.get(
        f"{stripe}/_control/totals", params={"metadata[env]": company.environment}, timeout=30
    ).json()
    processor = {currency.upper(): row["net"] for currency, row in answer["currencies"].items()}
    invoices: Counter[str] = Counter()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(
            lambda c: list(company.api.pages("/v1/invoices", customer=c)), company.customers
        ):
            for invoice in found:
                if invoice["status"] == "paid":
                    invoices[invoice["currency"]] += invoice["amount_paid"]
    ledger = {
        books["currency"]: books["balances"].get("cash", 0) for books in _resting(company.api, "/v1/ledger")
    }
    agree = True
    table = Table("", "Charges at the processor", "Paid invoices", "Ledger", box=SIMPLE)
    for currency in CURRENCIES:
        same = processor.get(currency, 0) == invoices[currency] == ledger.get(currency, 0)
        agree = agree and same
        counts = (processor.get(currency, 0), invoices[currency], ledger.get(currency, 0))
        table.add_row("✓" if same else "✗", *(_money(count, currency) for count in counts))
    console.print(table)
    console.print(
        "[green]Charges at the processor = paid invoices = ledger, to the cent.[/]"
        if agree
        else "[red]The books do not agree.[/]"
    )
    return 0 if agree else 1


def _tables(months: list[Month]) -> list[Table]:
    happened = Table(title="What happened", box=SIMPLE)
    for heading in ("Month", "Subscriptions", "Invoices", "Paid", "Failed", "Recovered", "Canceled"):
        happened.add_column(heading, justify="left" if heading == "Month" else "right")
    money = Table(title="Collected, and MRR at the month's end, in whole units", box=SIMPLE)
    for heading in ("Month", *CURRENCIES, *(f"MRR {currency}" for currency in CURRENCIES)):
        money.add_column(heading, justify="left" if heading == "Month" else "right")
    for month in months:
        counted = (month.counts[type_] for type_ in COUNTED)
        happened.add_row(month.name, str(month.subscriptions), *(str(count) for count in counted))
        money.add_row(
            month.name,
            *(_whole(month.collected.get(currency, 0), currency) for currency in CURRENCIES),
            *(_whole(month.mrr.get(currency, 0), currency) for currency in CURRENCIES),
        )
    return [happened, money]


def _money(amount: int, currency: str) -> str:
    places = EXPONENTS.get(currency, 2)
    whole, rest = divmod(amount, 10**places)
    return f"{whole:,}{f'.{rest:0{places}d}' if places else ''} {currency}"


def _whole(amount: int, currency: str) -> str:
    """Major units for a table; the reconciliation below it is exact."""
    return f"{amount // 10 ** EXPONENTS.get(currency, 2):,}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    sys.exit(main())
