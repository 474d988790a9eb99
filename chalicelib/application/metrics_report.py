"""The metrics' sums, per business month (UTC): MRR movements by kind and reason, trials, and free plans.

One small document per month, per currency and motion, folded in as journal entries pass (see `feed`), each once. A
plain renewal moves nothing and costs nothing here. `recount` adds the journals up, to hold the two against each
other. What one month counts of trials that ended in it may still be decided later: paid, or lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.application.books import journals, month_of
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Store
from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.journal import FunnelKind, JournalEntry

Cell = tuple[str, str, str, str]
"""Currency, motion, kind of movement or step, reason or outcome."""
Sum = tuple[int, int]
"""Minor units per month, signed, and how many subscriptions that is."""
NOTHING: Sum = (0, 0)
MOST_MONTHS = 2400


@dataclass(frozen=True, slots=True)
class MetricsMonth:
    """What one month (`2026-11`) counts."""

    name: str
    cells: Mapping[Cell, Sum] = field(default_factory=dict)

    def folded(self, parts: Iterable[tuple[Cell, Sum]]) -> MetricsMonth:
        """The month with these added; what comes to nothing is left out."""
        cells = dict(self.cells)
        for cell, (amount, count) in parts:
            before = cells.get(cell, NOTHING)
            cells[cell] = (before[0] + amount, before[1] + count)
        kept = {cell: cells[cell] for cell in sorted(cells) if cells[cell] != NOTHING}
        return MetricsMonth(self.name, kept)

    def written(self) -> dict[str, Any]:
        return {"rows": [[*cell, *sums] for cell, sums in self.cells.items()]}


def by_month(entries: Iterable[JournalEntry]) -> dict[str, list[tuple[Cell, Sum]]]:
    """What the entries add to each month."""
    months: dict[str, list[tuple[Cell, Sum]]] = {}
    for entry in entries:
        for name, cell, sums in _parts(entry):
            months.setdefault(name, []).append((cell, sums))
    return dict(sorted(months.items()))


def read_month(name: str, data: Mapping[str, Any] | None) -> MetricsMonth:
    rows = data["rows"] if data else []
    return MetricsMonth(name, {tuple(cell): (amount, count) for *cell, amount, count in rows})


def read_months(ops: Ops, env: str, *, until: str) -> list[MetricsMonth]:
    """Every month that counted anything, up to and including `until`, oldest first. One Query."""
    documents = ops.query(metrics_key(env), limit=MOST_MONTHS)
    return [read_month(each.sk, each.data) for each in documents if each.sk <= until]


def recount(store: Store, env: str) -> list[MetricsMonth]:
    """The same from the customers' journals: one Query per customer."""
    months: dict[str, MetricsMonth] = {}
    for _, entries in journals(store, env):
        for name, parts in by_month(entries).items():
            months[name] = months.get(name, MetricsMonth(name)).folded(parts)
    return [months[name] for name in sorted(months)]


def metrics_key(env: str) -> str:
    return f"metrics#{env}"


def _parts(entry: JournalEntry) -> Iterator[tuple[str, Cell, Sum]]:
    month = month_of(entry)
    for movement in entry.movements:
        cell = (movement.currency, movement.motion, str(movement.kind), movement.reason)
        yield month, cell, (movement.amount, 1)
    for step in entry.funnel:
        of, kind = month, step.kind
        if step.trial_ended_at is not None:
            of, kind = step.trial_ended_at.strftime("%Y-%m"), FunnelKind.TRIAL_ENDED
        if step.kind is FunnelKind.TRIAL_DECIDED:
            yield of, (step.currency, step.motion, str(kind), str(TrialOutcome.UNDECIDED)), (0, -1)
        yield of, (step.currency, step.motion, str(kind), step.outcome), (step.amount, step.count)
