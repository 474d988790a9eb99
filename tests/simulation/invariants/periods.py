"""Time: periods without gaps, on the calendar's days."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime
from itertools import count, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.domain.calendar import Interval, Period
from chalicelib.domain.invoice import CauseKind, Invoice
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.subscription import Billing, Subscription
from tests.simulation.world import World


def periods(world: World) -> Iterator[str]:
    """Within one run of a subscription: gapless, and each boundary where the calendar has it."""
    runs: list[tuple[Subscription, list[Period]]] = []
    current: dict[str, list[Period]] = {}
    latest: dict[str, Subscription] = {}
    cycles = {invoice.id: invoice.cause.kind for invoice in world.records(Invoice)}
    for record in (record for _, record in world.store.committed):
        if isinstance(record, Subscription):
            known = latest.get(record.id)
            latest[record.id] = record
            if known and (known.anchor, known.interval) != (record.anchor, record.interval):
                current.pop(record.id, None)  # changed to another interval: from then on, by that
            if record.cycle < 0:  # paid after it had been unpaid: its time goes on from then
                current.pop(record.id, None)
        facts = {fact.type: fact for fact in record.facts} if isinstance(record, JournalEntry) else {}
        opened = facts.get("invoice.opened")
        if opened is None or cycles.get(opened.subject) is not CauseKind.CYCLE:
            continue
        id_ = str(opened.data["subscription"])
        start, end = (datetime.fromisoformat(str(opened.data[key])) for key in ("period_start", "period_end"))
        if "subscription.renewed" not in facts or id_ not in current:
            current[id_] = []
            runs.append((latest[id_], current[id_]))
        current[id_].append(Period(start, end))
    for subscription, periods in runs:
        for before, after in pairwise(periods):
            if before.end != after.start:
                yield f"{subscription.id}: a period ends {before.end}, the next begins {after.start}"
        yield from _on_the_calendar(subscription, periods)


def _on_the_calendar(subscription: Subscription, periods: list[Period]) -> Iterator[str]:
    """Each period ends where the anchor has its next boundary."""
    zone = ZoneInfo(subscription.zone)
    start, anchor = (each.astimezone(zone).date() for each in (periods[0].start, subscription.anchor))
    if subscription.billing is Billing.CALENDAR:
        if subscription.interval != Interval.of("month"):
            return
        anchor = anchor.replace(day=1)
    coming = (
        later
        for k in count(1)
        if (later := _later(anchor, subscription.interval, k)) is None or later > start
    )
    for wanted, period in zip(coming, periods, strict=False):
        found = period.end.astimezone(zone).date()
        if wanted is not None and found != wanted:
            yield f"{subscription.id}: a boundary of {anchor} is {found}, not {wanted}"


def _later(first: date, interval: Any, k: int) -> date | None:
    """`first` + k intervals of months, on the same day or the month's last; None for days and weeks."""
    if interval.months is None:
        return None
    year, month = divmod(first.month - 1 + k * interval.months, 12)
    year, month = first.year + year, month + 1
    return date(year, month, min(first.day, monthrange(year, month)[1]))
