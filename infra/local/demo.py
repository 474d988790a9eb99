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
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.local.ports import free_ports

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
CARDS = (
    ("pm_card_visa", 70),
    ("pm_card_mastercard", 20),
    ("pm_card_chargeCustomerFail", 10),
)
"""The last one can be saved and is declined at every charge: those customers start with a trial."""
TABLE_WIDTH = 118
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
    """What one month of the clock brought, by the API's own counts."""

    name: str
    subscriptions: int
    counts: Counter[str]
    collected: Counter[str]
    mrr: dict[str, int]


@dataclass
class Company:
    """The sandbox and its customers."""

    api: Api
    environment: str
    customers: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--months", type=int, default=12)
    options = parser.parse_args()
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    with _system() as (url, stripe, key):
        company = _found(url, key)
        with _progress(console) as progress:
            started = time.monotonic()
            _sign_up(company, options.customers, progress)
            signed_up = time.monotonic()
            months = _live_through(company, options.months, progress)
        advanced = time.monotonic() - signed_up
        console.print(_table(months))
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
    sandbox = Api(url, key).post("/v1/sandboxes", {"name": "Demo", "start_at": "2026-01-15T09:00:00Z"})
    return Company(Api(url, sandbox["secret_key"]), sandbox["id"])


def _sign_up(company: Company, customers: int, progress: Progress) -> None:
    bar = progress.add_task("Customers sign up", total=customers)
    draw = random.Random(2026)
    orders = [_order(draw, number) for number in range(customers)]
    with ThreadPoolExecutor(4) as pool:
        for customer, fails in pool.map(lambda order: _customer(company.api, *order), orders):
            company.customers.append(customer)
            if fails:
                company.failing.add(customer)
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
    if plan in ("starter", "pro") and card == CARDS[-1][0]:
        return profile, order, card  # a trial first: the card fails when it ends
    return profile, order | ({"trial_days": 0} if plan != "free" else {}), GOOD_CARD


def _customer(api: Api, profile: dict[str, Any], order: dict[str, Any], card: str) -> tuple[str, bool]:
    customer = api.post("/v1/customers", profile)["id"]
    if order["plan"] != "free":
        order = order | {"payment_method": card}
    api.post("/v1/subscriptions", order | {"customer": customer})
    return customer, card == CARDS[-1][0]


def _live_through(company: Company, months: int, progress: Progress) -> list[Month]:
    bar = progress.add_task("Months go by", total=months)
    lived = []
    before: Counter[str] = Counter()
    for _ in range(months):
        counts = _advance(company.api, "P1M")
        cash = _cash(company.api)
        lived.append(_month(company, counts, cash - before))
        before = cash
        _mend_some_cards(company)
        progress.advance(bar)
    return lived


def _advance(api: Api, by: str) -> Counter[str]:
    advance = api.post("/v1/clock/advance", {"by": by})
    while advance["status"] == "running":
        time.sleep(0.3)
        advance = api.get(f"/v1/clock/advances/{advance['id']}")
    if advance["status"] != "done":
        raise RuntimeError(f"the clock got stuck: {advance['stuck'][:3]}")
    return Counter(advance["counts"])


def _month(company: Company, counts: Counter[str], collected: Counter[str]) -> Month:
    subscriptions = [s for s in company.api.pages("/v1/subscriptions") if s["started_at"]]
    running = [s for s in subscriptions if s["status"] in ("active", "past_due", "trialing")]
    mrr: Counter[str] = Counter()
    for subscription in subscriptions:
        mrr[subscription["currency"]] += subscription["mrr"]
    now = company.api.get("/v1/clock")["now"]
    return Month(now[:10], len(running), counts, collected, dict(mrr))


def _mend_some_cards(company: Company) -> None:
    """Of the customers in arrears every second one brings a card that works; the next attempt recovers them."""
    behind = sorted(
        {s["customer"] for s in company.api.pages("/v1/subscriptions") if s["status"] == "past_due"}
    )
    for customer in behind[::2]:
        company.api.post(f"/v1/customers/{customer}/payment_methods", {"payment_method": GOOD_CARD})


def _cash(api: Api) -> Counter[str]:
    """Cash in the ledger per currency. Its sums are projected from the journal: wait until they rest."""
    last: Counter[str] | None = None
    while True:
        balances = api.get("/v1/ledger")["balances"]
        cash = Counter({row["currency"]: row["amount"] for row in balances if row["account"] == "cash"})
        if cash == last:
            return cash
        last = cash
        time.sleep(0.3)


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
    ledger = _cash(company.api)
    agree = True
    for currency in CURRENCIES:
        same = processor.get(currency, 0) == invoices[currency] == ledger[currency]
        agree = agree and same
        console.print(
            f"{currency}: charges at the processor {_money(processor.get(currency, 0), currency)}"
            f" {'=' if same else '≠'} paid invoices {_money(invoices[currency], currency)}"
            f" {'=' if same else '≠'} ledger {_money(ledger[currency], currency)}"
        )
    console.print("[green]Reconciled to the cent.[/]" if agree else "[red]The books do not agree.[/]")
    return 0 if agree else 1


def _table(months: list[Month]) -> Table:
    table = Table(title="A year in a sandbox", title_style="bold")
    for heading in ("Month to", "Subs", "Invoices", "Paid", "Failed", "Recovered"):
        table.add_column(heading, justify="right" if heading != "Month to" else "left")
    for currency in CURRENCIES:
        table.add_column(f"Collected\n{currency}", justify="right")
    table.add_column(f"MRR\n{' · '.join(CURRENCIES)}", justify="right")
    for month in months:
        table.add_row(
            month.name,
            str(month.subscriptions),
            str(month.counts["invoice.opened"]),
            str(month.counts["invoice.paid"]),
            str(month.counts["payment.failed"]),
            str(month.counts["subscription.recovered"]),
            *(_whole(month.collected[currency], currency) for currency in CURRENCIES),
            " · ".join(_whole(month.mrr.get(currency, 0), currency) for currency in CURRENCIES),
        )
    return table


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
