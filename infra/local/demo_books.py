"""The demo's report: what happened month by month, and whether three counts of the money agree."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from infra.local.demo_company import CURRENCIES, Company
from infra.local.demo_months import Month, resting

COUNTED = (
    "invoice.opened",
    "invoice.paid",
    "payment.failed",
    "subscription.recovered",
    "subscription.canceled",
)
EXPONENTS = {"JPY": 0}


def tables(months: list[Month]) -> list[Table]:
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


def reconcile(company: Company, stripe: str, console: Console) -> int:
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
        books["currency"]: books["balances"].get("cash", 0) for books in resting(company.api, "/v1/ledger")
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


def _money(amount: int, currency: str) -> str:
    places = EXPONENTS.get(currency, 2)
    whole, rest = divmod(amount, 10**places)
    return f"{whole:,}{f'.{rest:0{places}d}' if places else ''} {currency}"


def _whole(amount: int, currency: str) -> str:
    """Major units for a table; the reconciliation below it is exact."""
    return f"{amount // 10 ** EXPONENTS.get(currency, 2):,}"
