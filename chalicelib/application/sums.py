"""What journal entries add to as the feed takes them in: books, metrics, reports. Each entry once, in its transaction.

Most of it is folded into documents that entries share (a month's, a day's); some entries list rows of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chalicelib.application import dunning_report, metrics_report, metrics_rows
from chalicelib.application.books import books_key, by_month, read_month
from chalicelib.application.ops import Write
from chalicelib.domain.journal import JournalEntry

Key = tuple[str, str]
Fold = Callable[[Mapping[str, Any] | None], dict[str, Any]]


def folds(env: str, entries: Sequence[JournalEntry]) -> dict[Key, Fold]:
    """What the entries add to, and how: by key, from what is stored to what is to be."""

    def month(name: str, booked: list[JournalEntry]) -> Fold:
        return lambda data: read_month(name, data).folded(booked).written()

    def day(name: str, tallies: list[tuple[dunning_report.Cell, dunning_report.Tally]]) -> Fold:
        return lambda data: dunning_report.read_day(name, data).folded(tallies).written()

    def metrics(name: str, parts: list[tuple[metrics_report.Cell, metrics_report.Sum]]) -> Fold:
        return lambda data: metrics_report.read_month(name, data).folded(parts).written()

    months = {(books_key(env), name): month(name, booked) for name, booked in by_month(entries).items()}
    key = dunning_report.report_key(env)
    days = {(key, name): day(name, tallies) for name, tallies in dunning_report.by_day(entries).items()}
    key = metrics_report.metrics_key(env)
    counted = {(key, name): metrics(name, parts) for name, parts in metrics_report.by_month(entries).items()}
    return months | days | counted


def rows(env: str, entries: Sequence[JournalEntry], *, number: int) -> Iterator[Write]:
    """What the entries list. `number` goes up from batch to batch."""
    yield from dunning_report.rows(env, entries)
    yield from metrics_rows.rows(env, entries, number=number)


def weight(entry: JournalEntry) -> int:
    """At most so many writes follow from the entry alone."""
    return dunning_report.weight(entry) + metrics_rows.weight(entry)


def shared(entry: JournalEntry) -> set[Key]:
    """The documents that it writes together with other entries; its days of the dunning report weigh apart."""
    months = {("books", name) for name in by_month([entry])}
    metrics = {("metrics", name) for name in metrics_report.by_month([entry])}
    listed = {("rows", name) for name in by_month([entry])} if entry.movements else set()
    return months | metrics | listed
