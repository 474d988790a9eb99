"""The ledger and the MRR of an environment: sums over its journal, per currency and business month (UTC).

The journal lives with each customer, so the sums are folded in as entries pass (see `feed`): reading them is one
Query of one small document per month. `recount` adds the journal up from the beginning, to hold them against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.application.ops import Ops
from chalicelib.application.ports import Store
from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.customer import Customer
from chalicelib.domain.journal import JournalEntry

PAGE = 100
Sums = dict[str, dict[str, int]]
"""Currency → ledger account, or kind of MRR movement → minor units."""


@dataclass(frozen=True, slots=True)
class Month:
    """What one business month (`2026-11`) booked: postings (debit positive) and MRR movements."""

    name: str
    ledger: Sums = field(default_factory=dict)
    mrr: Sums = field(default_factory=dict)

    def folded(self, entries: Iterable[JournalEntry]) -> Month:
        """The month with these entries' postings and movements added."""
        month = Month(self.name, _copied(self.ledger), _copied(self.mrr))
        for entry in entries:
            for posting in entry.postings:
                _add(month.ledger, posting.currency, posting.account, posting.amount)
            for movement in entry.movements:
                _add(month.mrr, movement.currency, movement.kind, movement.amount)
        return month

    def written(self) -> dict[str, Any]:
        return {"ledger": self.ledger, "mrr": self.mrr}


def month_of(entry: JournalEntry) -> str:
    return entry.at.strftime("%Y-%m")


def books_key(env: str) -> str:
    return f"books#{env}"


def by_month(entries: Iterable[JournalEntry]) -> dict[str, list[JournalEntry]]:
    """The entries that book anything, by month."""
    months: dict[str, list[JournalEntry]] = defaultdict(list)
    for entry in entries:
        if entry.postings or entry.movements:
            months[month_of(entry)].append(entry)
    return dict(sorted(months.items()))


def read_month(name: str, data: Mapping[str, Any] | None) -> Month:
    return Month(name, data["ledger"], data["mrr"]) if data else Month(name)


def read_books(ops: Ops, env: str) -> list[Month]:
    """Every month that booked anything, oldest first. One Query."""
    return [read_month(each.sk, each.data) for each in ops.query(books_key(env), limit=2400)]


def recount(store: Store, env: str) -> list[Month]:
    """The same from the customers' journals: one Query per customer."""
    months: dict[str, Month] = {}
    for _, entries in journals(store, env):
        for name, booked in by_month(entries).items():
            months[name] = months.get(name, Month(name)).folded(booked)
    return [months[name] for name in sorted(months)]


def journals(store: Store, env: str) -> Iterator[tuple[str, list[JournalEntry]]]:
    """Each customer of the environment with the whole of its journal, oldest entry first; then whoever began to
    sign up and is no customer.
    """
    seen: set[str] = set()
    for type_, id_of in ((Customer, "id"), (SignupSession, "customer_id")):
        for record in listed(store, type_, env):
            customer: str = getattr(record, id_of)
            if customer not in seen:
                seen.add(customer)
                yield customer, store.children(JournalEntry, env, customer)


def listed(store: Store, type_: type[Any], env: str) -> Iterator[Any]:
    """Every record of a type that keeps a list, newest first."""
    cursor = None
    while True:
        page = store.listing(type_, env, limit=PAGE, cursor=cursor)
        yield from page.records
        cursor = page.cursor
        if cursor is None:
            return


def _add(sums: Sums, currency: str, name: str, amount: int) -> None:
    of = sums.setdefault(currency, {})
    of[str(name)] = of.get(str(name), 0) + amount


def _copied(sums: Sums) -> Sums:
    return {currency: dict(of) for currency, of in sums.items()}
