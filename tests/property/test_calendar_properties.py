"""Boundaries over years and clock changes, held against the zones' offsets rather than our own functions."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.calendar import (
    Interval,
    Period,
    add_days,
    boundary,
    calendar_anchor,
    day_start,
    days_in,
    days_left,
    local_day,
    next_day_start,
    period_at,
    zone_info,
    zone_names,
)

# Northern, southern, half-hour and midnight changes; Casablanca changes around Ramadan.
ZONES = [
    "America/New_York",
    "Europe/Paris",
    "Europe/London",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "America/Havana",
    "America/Santiago",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
]
MONTH = Interval.of("month")
INTERVALS = [Interval.of("day"), Interval.of("week"), MONTH, Interval.of("month", 3), Interval.of("year")]

intervals = st.builds(Interval.of, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 14))
# From 2012 on no zone has skipped a whole calendar day.
instants = st.datetimes(datetime(2012, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(sorted(zone_names()))


@pytest.mark.parametrize("zone", [*ZONES, "UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("day", [28, 29, 30, 31])
@pytest.mark.parametrize("first_month", [(2023, 1), (2024, 1), (2027, 12)])
def test_month_end_anchors_over_five_years(zone, day, first_month):
    wall = datetime(first_month[0], first_month[1], day, 9, 30)  # noqa: DTZ001
    anchor = to_utc(wall, zone)
    found = [boundary(anchor, zone, MONTH, k).astimezone(zone_info(zone)) for k in range(61)]
    for k, local in enumerate(found):
        year, month = divmod(first_month[0] * 12 + first_month[1] - 1 + k, 12)
        last = monthrange(year, month + 1)[1]
        assert local.replace(tzinfo=None) == datetime(year, month + 1, min(day, last), 9, 30)  # noqa: DTZ001
    assert_strictly_increasing(found)


@pytest.mark.parametrize("day", [28, 29])
def test_february_anchors_by_the_year(day):
    anchor = datetime(2024, 2, day, tzinfo=UTC)
    found = [boundary(anchor, "UTC", Interval.of("year"), k) for k in range(-4, 9)]
    assert [item.day for item in found] == [day if item.year % 4 == 0 else 28 for item in found]
    assert_strictly_increasing(found)


@pytest.mark.parametrize("zone", ZONES)
def test_starts_from_midnight_to_three_on_every_change_of_clocks(zone):
    changes = clock_changes(zone)
    assert len(changes) >= 6, "the zone no longer changes its clocks: choose another"
    for day in changes:
        for minute in range(0, 181, 15):
            # The start lies on the day of the change itself, or reaches it after one interval.
            for start in (day, day - timedelta(days=1), day - timedelta(days=7), day - timedelta(days=31)):
                assert_periods_are_sound(start, minute, zone)


def assert_periods_are_sound(start, minute, zone):
    wall = datetime.combine(start, time(minute // 60, minute % 60))
    anchor = to_utc(wall, zone)
    # A start inside a gap happened at the shifted time, which is what recurs; unless midnight was skipped.
    happened = anchor.astimezone(zone_info(zone)).replace(tzinfo=None)
    midnight = datetime.combine(happened, time())
    recurring = midnight if to_utc(midnight, zone) == anchor else happened
    for interval in INTERVALS:
        found = [boundary(anchor, zone, interval, k) for k in range(-1, 4)]
        assert_strictly_increasing(found)
        for k, instant in enumerate(found, start=-1):
            if k:
                assert instant == to_utc(moved(recurring, interval, k), zone), (wall, zone, str(interval), k)
            period = period_at(anchor, zone, interval, instant)
            assert period[0] == k
            assert period[1].start == instant


@pytest.mark.parametrize("zone", ZONES)
def test_calendar_days_are_gapless_and_start_at_midnight_unless_there_is_none(zone):
    anchor = calendar_anchor(datetime(2023, 1, 15, tzinfo=UTC), zone, Interval.of("day"))
    for k in range(5 * 365):
        start = boundary(anchor, zone, Interval.of("day"), k)
        local = start.astimezone(zone_info(zone))
        assert start == day_start(local.date(), zone)
        before = (start - timedelta(microseconds=1)).astimezone(zone_info(zone)).date()
        assert before == local.date() - timedelta(days=1)
        assert next_day_start(start, zone) == boundary(anchor, zone, Interval.of("day"), k + 1)


@settings(max_examples=300, deadline=None)
@given(anchor=instants, zone=zones, interval=intervals, instant=instants)
def test_every_instant_is_in_exactly_one_period(anchor, zone, interval, instant):
    k, period = period_at(anchor, zone, interval, instant)
    assert period.contains(instant)
    assert period == Period(boundary(anchor, zone, interval, k), boundary(anchor, zone, interval, k + 1))
    assert period_at(anchor, zone, interval, period.start)[0] == k
    assert period_at(anchor, zone, interval, period.end)[0] == k + 1
    assert period_at(anchor, zone, interval, period.end - timedelta(microseconds=1))[0] == k


@settings(max_examples=200, deadline=None)
@given(anchor=instants, zone=zones, interval=intervals, first=st.integers(-20, 20))
def test_boundaries_increase_in_every_zone(anchor, zone, interval, first):
    found = [boundary(anchor, zone, interval, k) for k in range(first, first + 12)]
    assert_strictly_increasing(found)
    assert boundary(anchor, zone, interval, 0) == anchor


@settings(max_examples=200, deadline=None)
@given(start=instants, zone=zones, interval=intervals)
def test_the_calendar_anchor_begins_the_period_of_the_start(start, zone, interval):
    anchor = calendar_anchor(start, zone, interval)
    assert anchor <= start
    assert anchor == day_start(local_day(anchor, zone), zone)
    if interval.unit in ("day", "week"):
        assert (start - anchor) < timedelta(days=8)
    assert calendar_anchor(anchor, zone, interval) == anchor


@settings(max_examples=200, deadline=None)
@given(anchor=instants, zone=zones, interval=intervals, second=st.integers(0, 10**9))
def test_days_left_of_a_period_never_exceed_its_days(anchor, zone, interval, second):
    period = Period(anchor, boundary(anchor, zone, interval, 1))
    at = anchor + timedelta(seconds=second)
    later = at + timedelta(days=1)
    assert 0 <= days_left(period, later, zone) <= days_left(period, at, zone) <= days_in(period, zone)


@settings(max_examples=200, deadline=None)
@given(instant=instants, zone=zones, days=st.integers(-400, 400))
def test_adding_days_lands_on_that_day(instant, zone, days):
    assert local_day(add_days(instant, days, zone), zone) == local_day(instant, zone) + timedelta(days=days)


def assert_strictly_increasing(found):
    assert all(earlier < later for earlier, later in pairwise(found)), found


def to_utc(wall: datetime, zone: str) -> datetime:
    """The first UTC instant that shows this wall time; in a gap, the wall time shifted by the gap."""
    utc = wall.replace(tzinfo=UTC)
    near = [(utc + timedelta(hours=hours)).astimezone(zone_info(zone)) for hours in (-26, 26)]
    offsets = {local.replace(tzinfo=UTC) - local for local in near}
    candidates = sorted(utc - offset for offset in offsets)
    showing = [item for item in candidates if item.astimezone(zone_info(zone)).replace(tzinfo=None) == wall]
    # No candidate shows it: the smaller offset was in force before the clock jumped forward.
    return showing[0] if showing else candidates[-1]


def moved(wall: datetime, interval: Interval, k: int) -> datetime:
    """`wall` plus k intervals, counted day by day or month by month."""
    match interval.unit:
        case "day":
            return wall + timedelta(days=interval.count * k)
        case "week":
            return wall + timedelta(weeks=interval.count * k)
    year, month = wall.year, wall.month
    for _ in range(abs(k) * interval.count * (12 if interval.unit == "year" else 1)):
        month += 1 if k > 0 else -1
        if month in (0, 13):
            year, month = (year - 1, 12) if month == 0 else (year + 1, 1)
    return wall.replace(year=year, month=month, day=min(wall.day, monthrange(year, month)[1]))


@cache
def clock_changes(zone: str) -> list[date]:
    """The local days from 2023 to 2027 on which the zone's offset changes."""
    start = datetime(2023, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=hour) for hour in range(5 * 365 * 24)]
    offsets = [hour.astimezone(zone_info(zone)).utcoffset() for hour in hours]
    return [
        hours[index].astimezone(zone_info(zone)).date()
        for index in range(1, len(hours))
        if offsets[index] != offsets[index - 1]
    ]
