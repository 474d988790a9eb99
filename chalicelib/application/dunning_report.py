"""What dunning brings in: sums over the journal, per day on which an invoice fell behind, and the invoices.

An invoice is a case of the day (UTC, business time) on which it was first declined, under its policy and that decline's
code, for good: all that is said of it later is added there. So a span of days shows a cohort, and what
is not decided yet stands apart from its rate. The sums are folded in as entries pass (see `feed`), each
once; `recount` adds them up from the journals, to hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from chalicelib.application.books import journals
from chalicelib.application.ops import Document, Ops, Write
from chalicelib.application.ports import Store
from chalicelib.domain.journal import Fact, JournalEntry

LONGEST = timedelta(days=366)
WHOLE = 10_000
"""In basis points."""
_SCANNED = 500
"""Cases that one page looks through for those that were asked for."""
_COUNT_OF = {"invoice.paid": "recovered", "invoice.uncollectible": "lost", "invoice.voided": "voided"}
Cell = tuple[str, str, str]
"""Currency, policy, decline code."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Cases and what became of them; amounts in minor units. `attempts` are those that came to an end."""

    opened: int = 0
    opened_amount: int = 0
    attempts: int = 0
    declines: int = 0
    recovered: int = 0
    recovered_amount: int = 0
    lost: int = 0
    lost_amount: int = 0
    voided: int = 0
    decided_amount: int = 0
    """What was open at first of the cases that are decided."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in _NAMES))

    @property
    def undecided(self) -> int:
        return self.opened - self.recovered - self.lost - self.voided

    @property
    def undecided_amount(self) -> int:
        return self.opened_amount - self.decided_amount

    @property
    def recovery_rate(self) -> int | None:
        """Recovered ÷ (recovered + lost) amount in basis points, rounded down; None where nothing is decided."""
        decided = self.recovered_amount + self.lost_amount
        return self.recovered_amount * WHOLE // decided if decided else None


_NAMES = tuple(Tally.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Day:
    """The cases of one day."""

    name: str
    cells: Mapping[Cell, Tally] = field(default_factory=dict)

    def folded(self, tallies: Iterable[tuple[Cell, Tally]]) -> Day:
        cells = dict(self.cells)
        for cell, tally in tallies:
            cells[cell] = cells.get(cell, Tally()) + tally
        return Day(self.name, dict(sorted(cells.items())))

    def written(self) -> dict[str, Any]:
        rows = []
        for cell, tally in self.cells.items():
            counts = {name: count for name in _NAMES if (count := getattr(tally, name))}
            rows.append([*cell, counts])
        return {"rows": rows}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One invoice that fell behind on `day`."""

    invoice_id: str
    day: str
    currency: str
    policy: str
    code: str
    amount: int


def read_days(ops: Ops, env: str, start: date, end: date) -> list[Day]:
    """The days from `start` up to, not including, `end` that had cases, oldest first. One Query of a document each."""
    before = (start - timedelta(days=1)).isoformat()
    documents = ops.query(report_key(env), after=before, limit=LONGEST.days + 1)
    return [read_day(each.sk, each.data) for each in documents if each.sk < end.isoformat()]


def read_cases(
    ops: Ops,
    env: str,
    start: date,
    end: date,
    *,
    policy: str | None = None,
    code: str | None = None,
    limit: int = 20,
    after: str | None = None,
) -> tuple[list[Case], str | None]:
    """Up to `limit` cases of the span, oldest day first, and the cursor to go on from; None at the end.

    A search for something rare may answer fewer, or none, with a cursor.
    """
    found: list[Case] = []
    position = after or start.isoformat()
    documents = ops.query(_cases_key(env), after=position, limit=_SCANNED)
    for document in documents:
        if document.sk >= end.isoformat():
            return found, None
        if len(found) == limit:
            return found, position
        position = document.sk
        case = _case(document)
        if policy in (None, case.policy) and code in (None, case.code):
            found.append(case)
    return found, position if len(documents) == _SCANNED else None


def recount(store: Store, env: str) -> list[Day]:
    """The same from the customers' journals: one Query per customer."""
    days: dict[str, Day] = {}
    for _, entries in journals(store, env):
        for name, tallies in by_day(entries).items():
            days[name] = days.get(name, Day(name)).folded(tallies)
    return [days[name] for name in sorted(days)]


def by_day(entries: Iterable[JournalEntry]) -> dict[str, list[tuple[Cell, Tally]]]:
    """What the entries add to each day."""
    days: dict[str, list[tuple[Cell, Tally]]] = {}
    for entry in entries:
        charged = any(fact.type == "payment.succeeded" for fact in entry.facts)
        for fact, about in _about_cases(entry):
            cell = (fact.data["currency"], about["policy"], about["decline_code"])
            days.setdefault(_day(about), []).append((cell, _tally(fact.type, about, charged=charged)))
    return days


def rows(env: str, entries: Iterable[JournalEntry]) -> Iterator[Write]:
    """The cases that begin in these entries, to be listed."""
    for entry in entries:
        for fact, about in _about_cases(entry):
            if about.get("opened"):
                data = {
                    "currency": fact.data["currency"],
                    "policy": about["policy"],
                    "code": about["decline_code"],
                    "amount": about["amount"],
                }
                yield Write(_cases_key(env), f"{_day(about)}#{fact.data['invoice']}", data)


def weight(entry: JournalEntry) -> int:
    """At most so many writes follow from the entry: its days and its new cases."""
    about = [each for _, each in _about_cases(entry)]
    return len({_day(each) for each in about}) + sum(1 for each in about if each.get("opened"))


def report_key(env: str) -> str:
    return f"dunning#{env}"


def read_day(name: str, data: Mapping[str, Any] | None) -> Day:
    found = data["rows"] if data else []
    return Day(name, {(currency, policy, code): Tally(**counts) for currency, policy, code, counts in found})


def _about_cases(entry: JournalEntry) -> Iterator[tuple[Fact, Mapping[str, Any]]]:
    for fact in entry.facts:
        about = fact.data.get("dunning")
        if about is not None:
            yield fact, about


def _day(about: Mapping[str, Any]) -> str:
    return datetime.fromisoformat(about["since"]).strftime("%Y-%m-%d")


def _tally(type_: str, about: Mapping[str, Any], *, charged: bool) -> Tally:
    opened, amount = about.get("opened", 0), about["amount"]
    begun = Tally(opened=opened, opened_amount=opened * amount)
    if type_ == "payment.failed":
        return begun + Tally(attempts=1, declines=1)
    if type_ not in _COUNT_OF:
        return begun
    ended = Tally(
        recovered_amount=about.get("recovered", 0),
        lost_amount=about.get("lost", 0),
        decided_amount=amount,
        attempts=int(type_ == "invoice.paid" and charged),
    )
    return begun + ended + Tally(**{_COUNT_OF[type_]: 1})


def _case(document: Document) -> Case:
    day, _, invoice_id = document.sk.partition("#")
    return Case(invoice_id=invoice_id, day=day, **document.data)


def _cases_key(env: str) -> str:
    return f"dunning_case#{env}"
