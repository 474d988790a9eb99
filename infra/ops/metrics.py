"""Check of the metrics: the MRR report's sums and rows are what the journals say."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.application.metrics_repair import listed, rewrite
from chalicelib.application.metrics_report import MetricsMonth, by_month, read_months
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.journal import JournalEntry
from infra.ops.chart import Chart, Finding, Patient
from infra.ops.repairs import NotProvenError

EVER = "9999-12"


class Metrics:
    """Every month's metrics are the sum of the journal, and every movement is listed."""

    name = "metrics"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._months: dict[str, MetricsMonth] = {}
        self._moved: set[str] = set()

    def see(self, chart: Chart) -> Iterator[Finding]:
        entries = chart.of(JournalEntry)
        for name, parts in by_month(entries).items():
            self._months[name] = self._months.get(name, MetricsMonth(name)).folded(parts)
        self._moved |= {entry.id for entry in entries if entry.movements}
        yield from ()

    def end(self) -> Iterator[Finding]:
        ops, env = self._patient.ops, self._patient.env
        stored = {month.name: month for month in read_months(ops, env, until=EVER) if month.cells}
        if stored != {name: month for name, month in self._months.items() if month.cells}:
            yield self._finding("the metrics are not the sum of the journal")
        elif missing := self._moved - listed(ops, env):
            yield self._finding(f"the movements of {', '.join(sorted(missing))} are not listed")

    def said(self) -> str:
        return f"the metrics of {len(self._months)} months are what the journal says"

    def _finding(self, text: str) -> Finding:
        what = "make doctor REPAIR=1 makes them anew once the feed is complete"
        return Finding(text=text, what_to_do=what, repair=self._rewrite)

    def _rewrite(self) -> str:
        try:
            months = rewrite(self._patient.store, self._patient.ops, self._patient.env)
        except ConflictError:
            raise NotProvenError("the metrics are being written: run make doctor REPAIR=1 again") from None
        return f"made the metrics anew: {', '.join(months) or 'rows'}"
