"""Looks an environment over: every check over every customer, and once more before it calls anything wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chalicelib.application.environments import list_sandboxes, load_environment
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Store
from chalicelib.application.records import environment_key
from chalicelib.domain.environment import LIVE, Environment
from infra.ops.chart import Chart, Finding, Patient, charts
from infra.ops.claims import Claims
from infra.ops.metrics import Metrics
from infra.ops.money import Invoices, Ledger, Receipts
from infra.ops.published import Published
from infra.ops.repairs import NotProvenError
from infra.ops.schedule import Schedule, Stuck
from infra.ops.usage import Totals


class Check(Protocol):
    """Sees every customer's chart, then ends; `said` is what held, where nothing was found."""

    name: str

    def see(self, chart: Chart) -> Iterator[Finding]: ...

    def end(self) -> Iterator[Finding]: ...

    def said(self) -> str: ...


CHECKS: tuple[Callable[[Patient], Check], ...] = (
    Published, Ledger, Metrics, Invoices, Receipts, Schedule, Stuck, Claims, Totals,
)  # fmt: skip
"""In the order in which repairs build on one another: the books are counted once everything is published."""


@dataclass(frozen=True, slots=True)
class Report:
    """One check's result. `said` is what held."""

    name: str
    said: str
    findings: tuple[Finding, ...]


def environments(store: Store, ops: Ops) -> Iterator[Environment]:
    """Live, if it was made, and every sandbox."""
    live = store.get(environment_key(LIVE))
    if live is not None:
        yield live
    after = None
    while True:
        sandboxes, after = list_sandboxes(store, ops, after=after)
        yield from sandboxes
        if after is None:
            return


def examine(look: Callable[[], Patient], pause: Callable[[], None]) -> list[Report]:
    """Every check, and what it found twice, `pause` lying in between: an installation at work is never quite
    still, and what passes by itself is no finding. `look` gives the patient as of now.
    """
    first = _examined(look())
    if not any(report.findings for report in first):
        return first
    pause()
    before = {(report.name, finding.text) for report in first for finding in report.findings}
    return [
        Report(
            report.name,
            report.said,
            tuple(each for each in report.findings if (report.name, each.text) in before),
        )
        for report in _examined(look())
    ]


def repair(reports: list[Report]) -> Iterator[tuple[Finding, str, bool]]:
    """Do what is proven; per finding with a repair: what was done (or why not), and whether it was."""
    for report in reports:
        for finding in report.findings:
            if finding.repair is not None:
                try:
                    yield finding, finding.repair(), True
                except NotProvenError as refusal:
                    yield finding, str(refusal), False


def business_now(store: Store, env: str, machine_now: datetime) -> datetime:
    return load_environment(store, env).business_now(machine_now)


def _examined(patient: Patient) -> list[Report]:
    checks = [make(patient) for make in CHECKS]
    findings: dict[str, list[Finding]] = {check.name: [] for check in checks}
    unreadable: list[Finding] = []

    def cannot_read(customer: str, error: Exception) -> None:
        text = f"{customer} cannot be read: {type(error).__name__}"
        what = "its items were written by hand or by newer code: deploy that, or restore the item as it was"
        unreadable.append(Finding(text=text, what_to_do=what))

    count = 0
    for chart in charts(patient, cannot_read):
        count += 1
        for check in checks:
            findings[check.name] += check.see(chart)
    for check in checks:
        findings[check.name] += check.end()
    records = Report("records", f"{count} customers and sign-ups can be read", tuple(unreadable))
    return [records, *(Report(each.name, each.said(), tuple(findings[each.name])) for each in checks)]
