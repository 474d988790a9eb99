"""What part of a period costs: shares as exact fractions of the FULL period, never of a stub.

By default the unit is the whole day in the customer's zone. The day of a plan or quantity change belongs to
the new state; cancelling at once consumes the day. With `none`, a part of a period is neither charged nor
credited: only whole periods cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final

from chalicelib.domain.calendar import Period, days_in, days_left, next_day_start, require_utc
from chalicelib.domain.money import round_half_away

_SECOND: Final = timedelta(seconds=1)


class Granularity(StrEnum):
    DAY = "day"
    SECOND = "second"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Parts:
    """A share before it is reduced, as a line shows it: 20 of 30 days (or seconds, or whole periods)."""

    numerator: int
    denominator: int

    @property
    def share(self) -> Fraction:
        return Fraction(self.numerator, self.denominator) if self.denominator else Fraction(0)


def share_left(full: Period, at: datetime, zone: str, granularity: Granularity) -> Fraction:
    """The unused share of `full` from `at` on, between 0 and 1; the day of `at` counts as unused.

    For changes, whose day belongs to the new state. `none` knows only 1 (at or before the start) and 0.
    """
    return parts_left(full, at, zone, granularity).share


def share_left_on_cancel(full: Period, at: datetime, zone: str, granularity: Granularity) -> Fraction:
    """The unused share when `at` ends the service: by days, the day of `at` is consumed."""
    return parts_left_on_cancel(full, at, zone, granularity).share


def share_of(full: Period, part: Period, zone: str, granularity: Granularity) -> Fraction:
    """The share of `full` that `part` covers, between 0 and 1; what lies outside `full` does not count.

    For stubs and stretches. By days the part's first day counts and its last does not, so neighbouring
    stretches add up; a stretch that consumes its last day ends at `calendar.next_day_start`.
    """
    return parts_of(full, part, zone, granularity).share


def parts_left(full: Period, at: datetime, zone: str, granularity: Granularity) -> Parts:
    """`share_left` unreduced, for the line that explains itself."""
    at = require_utc(at)
    match granularity:
        case Granularity.DAY:
            return Parts(days_left(full, at, zone), days_in(full, zone))
        case Granularity.SECOND:
            return parts_of(full, _from(full, at), zone, granularity)
        case Granularity.NONE:
            return Parts(int(at <= full.start), 1)


def parts_left_on_cancel(full: Period, at: datetime, zone: str, granularity: Granularity) -> Parts:
    """`share_left_on_cancel` unreduced. Before the start nothing is consumed."""
    at = require_utc(at)
    if granularity is Granularity.DAY and at >= full.start:
        at = next_day_start(at, zone)
    return parts_left(full, at, zone, granularity)


def parts_of(full: Period, part: Period, zone: str, granularity: Granularity) -> Parts:
    """`share_of` unreduced: days, whole seconds or periods of `part` and of `full`."""
    part = _overlap(full, part)
    match granularity:
        case Granularity.DAY:
            return Parts(days_in(part, zone), days_in(full, zone))
        case Granularity.SECOND:
            return Parts(_seconds(part), _seconds(full))
        case Granularity.NONE:
            return Parts(int(part == full), 1)


def unused_credit(
    billed_net: int, billed_share: Fraction, left_share: Fraction, already_credited: int = 0
) -> int:
    """The credit, as a positive number of minor units, for the unused part of a billed line.

    `billed_net` is what the line was billed after its discount, before tax; `billed_share` the share of the
    full period that it paid for; `left_share` the share of the full period that is unused now. Rounded once,
    and never more than is left of the line after `already_credited` (also a positive number). Pure: the
    caller records the credit with the line, so a second run sees it as already credited.
    """
    if billed_net < 0 or already_credited < 0 or billed_share < 0 or left_share < 0:
        raise ValueError("amounts and shares of a billed line are not negative")
    if billed_share == 0:
        return 0
    credit = round_half_away(billed_net * left_share / billed_share)
    return max(0, min(credit, billed_net - already_credited))


def remaining_charge(amount: Fraction | int, left_share: Fraction) -> int:
    """The charge in minor units for the share of a full period's exact `amount`, rounded once."""
    return round_half_away(amount * left_share)


def _overlap(full: Period, part: Period) -> Period:
    start = min(max(part.start, full.start), full.end)
    return Period(start, max(start, min(part.end, full.end)))


def _from(full: Period, at: datetime) -> Period:
    return Period(min(at, full.end), full.end)


def _seconds(period: Period) -> int:
    start, end = period.start.replace(microsecond=0), period.end.replace(microsecond=0)
    return (end - start) // _SECOND
