"""Renewals as the clock brings them: for any start, zone and interval the periods meet and each is billed once."""

from __future__ import annotations

from calendar import monthrange
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.application.catalog import default_document, publish_catalog
from chalicelib.application.subscriptions import create_subscription
from chalicelib.domain.calendar import Interval, IntervalUnit, zone_info
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.ordering import Order
from chalicelib.domain.subscription import Subscription
from tests.scenario.world import World

ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "America/Havana",  # changes at midnight
    "Africa/Cairo",  # changes at midnight, again since 2023
    "Asia/Beirut",  # changes at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Auckland",
    "Africa/Casablanca",  # the other way round in Ramadan
)
MONTH, QUARTER, YEAR = (
    Interval(IntervalUnit.MONTH),
    Interval(IntervalUnit.MONTH, 3),
    Interval(IntervalUnit.YEAR),
)
WEEK, DAY = Interval(IntervalUnit.WEEK), Interval(IntervalUnit.DAY)
FIVE_YEARS = 5


def world_at(start: datetime) -> World:
    world = World(start=start.isoformat())
    publish_catalog(world.ctx(), DOCUMENT, expected=1)
    return world


def document() -> Any:
    """The shipped catalog with Starter sold by every interval."""
    changed = deepcopy(default_document())
    starter: Any = next(plan for plan in changed["plans"] if plan["id"] == "starter")
    for interval, count in (("day", 1), ("week", 1), ("month", 3)):
        starter["prices"].append(
            {
                "interval": interval,
                "interval_count": count,
                "currency": "USD",
                "model": "flat",
                "unit_amount": "700",
            }
        )
    return changed


DOCUMENT = document()


def bill(start: datetime, zone: str, intervals: dict[Interval, datetime]) -> dict[Interval, list[Invoice]]:
    """The invoices of a customer who began all intervals at `start`, each up to the instant it names."""
    world = world_at(start)
    customer = world.customer("pm_card_visa", zone=zone)
    subs = {each: subscribe(world, customer, each) for each in intervals}
    for until in sorted(set(intervals.values())):
        world.advance(to=until.isoformat())
    return {
        each: [invoice for invoice in world.invoices(subs[each]) if invoice.issued_at <= intervals[each]]
        for each in intervals
    }


def subscribe(world: World, customer: str, interval: Interval) -> Subscription:
    order = Order(plan="starter", currency="USD", interval=interval, trial_days=0)
    return create_subscription(world.ctx(), customer, order)


def assert_meets(invoices: list[Invoice], start: datetime, until: datetime) -> list[datetime]:
    """Gapless and without overlap from `start` beyond `until`, one paid cycle invoice each; the starts."""
    periods = [invoice.period for invoice in invoices]
    assert all(period is not None and period.start < period.end for period in periods)
    known = [period for period in periods if period is not None]
    assert known[0].start == start
    assert all(one.end == other.start for one, other in pairwise(known))
    assert known[-1].contains(until)
    assert {invoice.cause.kind for invoice in invoices} == {CauseKind.CYCLE}
    assert {invoice.status for invoice in invoices} == {InvoiceStatus.PAID}
    assert len({invoice.id for invoice in invoices}) == len(invoices)
    assert [invoice.issued_at for invoice in invoices] == [period.start for period in known]
    return [period.start for period in known]


def expected_starts(start: datetime, zone: str, interval: Interval, until: datetime) -> list[datetime]:
    """The rule said once more, by the wall clock: anchor + k intervals, clamped, forward out of a gap."""
    wall = start.astimezone(zone_info(zone)).replace(tzinfo=None)
    if first_instant(wall.date(), zone) == start:
        wall = datetime.combine(wall.date(), time())
    found, k = [start], 1
    while True:
        at = instant(datetime.combine(moved(wall.date(), interval, k), wall.time()), zone)
        if at > until:
            return found
        found.append(at)
        k += 1


def moved(day: date, interval: Interval, k: int) -> date:
    if interval.unit is IntervalUnit.DAY:
        return day + timedelta(days=k * interval.count)
    if interval.unit is IntervalUnit.WEEK:
        return day + timedelta(weeks=k * interval.count)
    months = k * interval.count * (12 if interval.unit is IntervalUnit.YEAR else 1) + day.month - 1
    year, month = day.year + months // 12, months % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def instant(wall: datetime, zone: str) -> datetime:
    """The first instant that the zone's clocks show as `wall`, else that many minutes after the gap."""
    offsets = {wall.replace(tzinfo=zone_info(zone), fold=fold).utcoffset() for fold in (0, 1)}
    candidates = sorted(wall.replace(tzinfo=UTC) - offset for offset in offsets if offset is not None)
    real = [at for at in candidates if at.astimezone(zone_info(zone)).replace(tzinfo=None) == wall]
    return real[0] if real else candidates[-1]


def first_instant(day: date, zone: str) -> datetime:
    return instant(datetime.combine(day, time()), zone)


@pytest.mark.parametrize("year", [2023, 2024])  # before and in a leap year
@pytest.mark.parametrize("month", [1, 2])
def test_anchors_28_to_31_over_five_years(year: int, month: int) -> None:
    last = monthrange(year, month)[1]
    for day in {min(day, last) for day in (28, 29, 30, 31)}:
        start = datetime(year, month, day, 9, tzinfo=UTC)
        until = start.replace(year=year + FIVE_YEARS, day=28)
        billed = bill(start, "UTC", {MONTH: until, QUARTER: until, YEAR: until})
        for interval, invoices in billed.items():
            starts = assert_meets(invoices, start, until)
            assert [at.day for at in starts] == [
                min(day, monthrange(at.year, at.month)[1]) for at in starts
            ], "the anchor's day comes back whenever the month has it"
            assert starts == expected_starts(start, "UTC", interval, until)
        assert [at.period.start.month for at in billed[YEAR] if at.period] == [month] * len(billed[YEAR])


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=2, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_across_changes_of_the_clock_in_ten_zones(zone: str, data: st.DataObject) -> None:
    """From a start between midnight and three in the morning, mostly around the night of a change."""
    night = st.one_of(st.sampled_from(changes(zone)), st.dates(date(2023, 1, 1), date(2024, 12, 31)))
    minutes = st.sampled_from([0, 1, 30, 59, 60, 90, 119, 120, 150, 179])
    wall = datetime.combine(data.draw(night), time()) + timedelta(minutes=data.draw(minutes))
    start = wall.replace(tzinfo=zone_info(zone), fold=data.draw(st.integers(0, 1)))
    assert_all_intervals(start.astimezone(UTC), zone)


@pytest.mark.parametrize(
    ("start", "zone"),
    [
        ("2023-09-03T04:00:00+00:00", "America/Santiago"),  # the first instant of a day without midnight
        ("2023-10-29T01:30:00+00:00", "Europe/Berlin"),  # the second 02:30 of the night
        ("2024-01-31T01:30:00+00:00", "Europe/Berlin"),  # two months on there is no 02:30
        ("2024-02-29T14:45:00+00:00", "Australia/Lord_Howe"),
    ],
)
def test_starts_that_are_hard(start: str, zone: str) -> None:
    assert_all_intervals(datetime.fromisoformat(start), zone)


def assert_all_intervals(start: datetime, zone: str) -> None:
    horizons = {
        DAY: start + timedelta(days=45),
        WEEK: start + timedelta(weeks=30),
        MONTH: start + timedelta(days=FIVE_YEARS * 365 + 2),
        YEAR: start + timedelta(days=FIVE_YEARS * 365 + 2),
    }
    for interval, until in horizons.items():
        (invoices,) = bill(start, zone, {interval: until}).values()
        assert assert_meets(invoices, start, until) == expected_starts(start, zone, interval, until)


def changes(zone: str) -> list[date]:
    """The days of 2023 and 2024 on which the zone's clocks change, and those before them."""
    rules, days = zone_info(zone), [date(2023, 1, 1) + timedelta(days=n) for n in range(730)]

    def offset(day: date) -> timedelta | None:
        return datetime.combine(day, time(12), rules).utcoffset()

    found = [day for day in days if offset(day) != offset(day - timedelta(days=1))]
    return [each for day in found for each in (day - timedelta(days=1), day)]
