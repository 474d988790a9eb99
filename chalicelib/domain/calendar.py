"""Billing time: boundaries counted from one anchor in the customer's wall clock, kept as UTC instants.

Boundary k is always the original anchor plus k intervals, never a step from boundary k − 1, so a 31st that
was clamped to 28 February is the 31st again in March. Instants are aware UTC datetimes, periods half-open.
In the gap of a clock change the wall time shifts forward by the gap; in a fold the first one counts.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cache, partial
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from chalicelib.domain.errors import ValidationError

_MONTHS_IN_YEAR: Final = 12
_DAYS_IN_WEEK: Final = 7
_LONGEST_COUNT: Final = 1000
_MOST_CORRECTIONS: Final = 6
_MIDNIGHT: Final = time()


class IntervalUnit(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


_PER_YEAR: Final = {
    IntervalUnit.DAY: 365,
    IntervalUnit.WEEK: 52,
    IntervalUnit.MONTH: 12,
    IntervalUnit.YEAR: 1,
}


@dataclass(frozen=True, slots=True)
class Interval:
    """How often something recurs: `count` (1–1000) units. A quarter is three months."""

    unit: IntervalUnit
    count: int = 1

    def __post_init__(self) -> None:
        if type(self.count) is not int or not 1 <= self.count <= _LONGEST_COUNT:
            raise ValidationError(
                f"an interval counts 1 to {_LONGEST_COUNT} units, not {self.count!r}", field="interval.count"
            )

    @classmethod
    def of(cls, unit: str, count: int = 1) -> Interval:
        """From plain values; an unknown unit raises ValidationError."""
        try:
            return cls(IntervalUnit(unit), count)
        except ValueError:
            known = ", ".join(IntervalUnit)
            raise ValidationError(
                f"{unit!r} is not an interval", field="interval.unit", fix=f"Use one of: {known}."
            ) from None

    def annual_factor(self) -> Fraction:
        """Periods per year for metrics: day 365, week 52, month 12, quarter 4, year 1."""
        return Fraction(_PER_YEAR[self.unit], self.count)

    def is_longer_than(self, other: Interval) -> bool:
        """By periods per year, so twelve months and one year are equally long."""
        return self.annual_factor() < other.annual_factor()

    @property
    def months(self) -> int | None:
        """Months per interval, or None for days and weeks."""
        match self.unit:
            case IntervalUnit.MONTH:
                return self.count
            case IntervalUnit.YEAR:
                return self.count * _MONTHS_IN_YEAR
            case _:
                return None

    @property
    def days(self) -> int | None:
        """Days per interval, or None for months and years."""
        match self.unit:
            case IntervalUnit.DAY:
                return self.count
            case IntervalUnit.WEEK:
                return self.count * _DAYS_IN_WEEK
            case _:
                return None

    def __str__(self) -> str:
        return str(self.unit) if self.count == 1 else f"{self.count} {self.unit}s"


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open [start, end) between two UTC instants; may be empty, never backwards (ValueError)."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", require_utc(self.start))
        object.__setattr__(self, "end", require_utc(self.end))
        if self.end < self.start:
            raise ValueError(f"a period cannot end ({self.end}) before it starts ({self.start})")

    def contains(self, instant: datetime) -> bool:
        return self.start <= require_utc(instant) < self.end


def boundary(anchor: datetime, zone: str, interval: Interval, k: int) -> datetime:
    """The UTC instant `anchor` + k intervals in the zone's wall clock, clamped to the month's end.

    k may be zero (the anchor itself, even inside a fold) or negative. An anchor on the first instant of its
    local day stands for midnight: where the clock skips midnight on that one day, the others keep 00:00.
    Increases with k, except that a daily period is empty when a zone skips a whole calendar day.
    """
    if k == 0:
        return require_utc(anchor)
    wall = _wall_anchor(anchor, zone)
    if interval.months is not None:
        moved = _add_months(wall.date(), k * interval.months)
    else:
        moved = wall.date() + timedelta(days=k * _days(interval))
    return _from_wall(datetime.combine(moved, wall.time()), zone)


def period_at(anchor: datetime, zone: str, interval: Interval, instant: datetime) -> tuple[int, Period]:
    """k and the period [boundary k, boundary k + 1) that contains `instant`, also before the anchor.

    Estimates k from the local dates, then corrects it by at most a few steps.
    """
    instant = require_utc(instant)
    at = partial(boundary, anchor, zone, interval)
    k = _estimate(local_day(anchor, zone), local_day(instant, zone), interval)
    for _ in range(_MOST_CORRECTIONS):
        if at(k) > instant:
            k -= 1
        elif at(k + 1) <= instant:
            k += 1
        else:
            return k, Period(at(k), at(k + 1))
    raise AssertionError(f"no period of {interval} from {anchor} in {zone} contains {instant}")


def calendar_anchor(start: datetime, zone: str, interval: Interval) -> datetime:
    """The calendar boundary at or before `start`, as a UTC instant at 00:00 in the zone.

    Day: the same day. Week: Monday. Month: the 1st, several months counted from January of that year.
    Year: 1 January. The first period runs from `start` to the next boundary after this one: a stub.
    """
    day = local_day(start, zone)
    match interval.unit:
        case IntervalUnit.DAY:
            first = day
        case IntervalUnit.WEEK:
            first = day - timedelta(days=day.weekday())
        case IntervalUnit.MONTH:
            first = date(day.year, 1 + (day.month - 1) // interval.count * interval.count, 1)
        case IntervalUnit.YEAR:
            first = date(day.year, 1, 1)
    return day_start(first, zone)


def anchor_on(day_of_month: int, near: datetime, zone: str) -> datetime:
    """The last midnight on such a day of a month at or before `near`, where months that are too short are passed
    over: an anchor keeps its day.
    """
    day = local_day(near, zone)
    while day.day != day_of_month:
        day -= timedelta(days=1)
    return day_start(day, zone)


def local_day(instant: datetime, zone: str) -> date:
    """The calendar day of the instant in the zone."""
    return require_utc(instant).astimezone(zone_info(zone)).date()


def day_start(day: date, zone: str) -> datetime:
    """The UTC instant at which the local day begins (after the gap where midnight does not exist)."""
    return _from_wall(datetime.combine(day, _MIDNIGHT), zone)


def local_hour(instant: datetime, zone: str) -> int:
    """The hour (0–23) that clocks in the zone show."""
    return require_utc(instant).astimezone(zone_info(zone)).hour


def at_hour(day: date, hour: int, zone: str) -> datetime:
    """The UTC instant of a full hour of a local day, by the rule for gaps and folds."""
    return _from_wall(datetime.combine(day, time(hour)), zone)


def next_day_start(instant: datetime, zone: str) -> datetime:
    """The start of the local day after the instant's: where paid time begins once this day is consumed."""
    return day_start(local_day(instant, zone) + timedelta(days=1), zone)


def add_days(instant: datetime, days: int, zone: str) -> datetime:
    """The same wall time `days` local days later (or earlier), as UTC; zero days is the instant itself."""
    if days == 0:
        return require_utc(instant)
    wall = require_utc(instant).astimezone(zone_info(zone)).replace(tzinfo=None)
    return _from_wall(wall + timedelta(days=days), zone)


def days_in(period: Period, zone: str) -> int:
    """Calendar days between the local dates of start and end: the start's day counts, the end's does not."""
    return (local_day(period.end, zone) - local_day(period.start, zone)).days


def days_left(period: Period, at: datetime, zone: str) -> int:
    """Days of the period from the day of `at` on; that day counts as left (it belongs to the new state).

    All days when `at` is before the period, none from the day of the period's end on.
    """
    left = (local_day(period.end, zone) - local_day(at, zone)).days
    return max(0, min(left, days_in(period, zone)))


def is_zone(name: str) -> bool:
    """Whether the name is a key of the IANA time zone database, in its exact spelling."""
    return name in zone_names()


@cache
def zone_names() -> frozenset[str]:
    """Every key of the IANA time zone database, from the pinned tzdata package."""
    names = (files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {"Factory"}


@cache
def zone_info(name: str) -> ZoneInfo:
    """The zone's rules from the pinned tzdata package; an unknown name raises ValidationError.

    Not from the machine, whose database may be older: a boundary is the same instant everywhere.
    """
    if not is_zone(name):
        raise ValidationError(
            f"{name!r} is not a time zone", field="time_zone", fix="Use an IANA key such as Europe/Paris."
        )
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def require_utc(instant: datetime) -> datetime:
    """The same instant with UTC as its zone; a naive datetime raises ValidationError."""
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise ValidationError(
            f"{instant.isoformat()} has no time zone",
            fix="Send an instant with an offset, such as 2024-01-31T01:00:00Z.",
        )
    return instant.astimezone(UTC)


def _wall_anchor(anchor: datetime, zone: str) -> datetime:
    local = require_utc(anchor).astimezone(zone_info(zone)).replace(tzinfo=None)
    if anchor == day_start(local.date(), zone):
        return datetime.combine(local.date(), _MIDNIGHT)
    return local


def _from_wall(wall: datetime, zone: str) -> datetime:
    # fold=0 is the first of two equal wall times; inside a gap it takes the offset from before the change,
    # which moves the instant forward by the gap.
    return wall.replace(tzinfo=zone_info(zone), fold=0).astimezone(UTC)


def _add_months(day: date, months: int) -> date:
    year, month_index = divmod(day.year * _MONTHS_IN_YEAR + day.month - 1 + months, _MONTHS_IN_YEAR)
    month = month_index + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _estimate(anchor: date, day: date, interval: Interval) -> int:
    if interval.months is not None:
        months = (day.year - anchor.year) * _MONTHS_IN_YEAR + day.month - anchor.month
        return months // interval.months
    return (day - anchor).days // _days(interval)


def _days(interval: Interval) -> int:
    assert interval.days is not None
    return interval.days
