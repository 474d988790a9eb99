"""Usage of one subscription on one meter: windows of time, each with its reading, and what of it was billed.

A window is a billing period of the subscription (of a free plan: a month), or a part of one where the plan changed
within it. An event belongs to the window that holds its instant, whenever it arrives: until the window is billed it
counts there; after that the difference is billed with the next invoice, under the old window's dates and price.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval, Period, period_at
from chalicelib.domain.catalog import Price
from chalicelib.domain.journal import Fact
from chalicelib.domain.meter import Aggregation, Meter, Reading, UsageEvent
from chalicelib.domain.subscription import RUNNING, Subscription

LATEST = timedelta(days=35)
"""How old an event may be when it is reported."""
EARLIEST = timedelta(minutes=5)
"""How far ahead of our clock an event may lie: clocks differ."""
QUOTA_ALERTS = (80, 100)
"""Per cent of a quota whose passing is told."""
_KEPT = LATEST + timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """`billed`: the quantity that was billed, None while it is open; then `price` is the one it was billed at. `part`:
    what invoices billed of it while it was open.
    """

    start: datetime
    end: datetime
    reading: Reading = Reading()
    billed: int | None = None
    price: Price | None = None
    part: int | None = None

    @property
    def units(self) -> int:
        """What there is to bill: corrections may have taken more back than was reported."""
        return max(0, self.reading.quantity)

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """How far one lane of the stream of events has been folded in: what is not beyond it was counted before."""

    number: int
    position: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """One subscription's usage on one meter, `priced` where invoices bill it. `alerted` are the alerts told in the
    period that began at `alerted_since`, so that each is told once per period however the quantity moves.
    `settle_at`: when an invoice of its own bills what was used; `settled`: how many have.
    """

    id: str
    customer_id: str
    subscription_id: str
    meter: str
    priced: bool = False
    windows: tuple[Window, ...] = ()
    lanes: tuple[Lane, ...] = ()
    alerted: tuple[str, ...] = ()
    alerted_since: datetime | None = None
    settle_at: datetime | None = None
    settled: int = 0
    version: int = 0

    def window_at(self, instant: datetime) -> Window | None:
        return next((window for window in self.windows if window.holds(instant)), None)

    def quantity(self, period: Period, aggregation: Aggregation) -> int:
        """What was used in the period, over all of its windows."""
        within = [w for w in self.windows if period.start <= w.start and w.end <= period.end]
        quantities = [window.reading.quantity for window in within if window.reading.events]
        match aggregation:
            case Aggregation.MAX:
                return max(quantities, default=0)
            case Aggregation.LAST:
                return quantities[-1] if quantities else 0
        return sum(quantities)


def usage_period(subscription: Subscription, instant: datetime) -> Period:
    """The time over which a quota counts at this instant: the trial, the billing period, or a month from the anchor
    where there is none.
    """
    trial = subscription.trial
    if trial is not None and instant < trial.ends_at:
        return Period(trial.started_at, trial.ends_at)
    interval = subscription.interval or Interval.of("month")
    period = period_at(subscription.anchor, subscription.zone, interval, instant)[1]
    started = subscription.started_at
    if started is not None and period.start < started < period.end:
        return Period(started, period.end)
    return period


def covers(subscription: Subscription, instant: datetime) -> bool:
    """Whether the subscription was in force then."""
    started, ended = subscription.started_at, subscription.ended_at
    if started is None or instant < started:
        return False
    return subscription.status in RUNNING if ended is None else instant < ended


def counted(
    usage: Usage, subscription: Subscription, meter: Meter, event: UsageEvent, *, is_new: bool = True
) -> Usage:
    """The usage with one more event in the window that holds its instant. Windows that nobody can report to any
    more are forgotten once they are billed in full.
    """
    window = usage.window_at(event.at) or _new_window(usage, subscription, event.at)
    after = replace(window, reading=window.reading.after(meter, event, is_new=is_new))
    others = [each for each in usage.windows if each.start != window.start]
    horizon = event.recorded_at - _KEPT
    kept = [each for each in (*others, after) if each.end > horizon or (usage.priced and _unbilled(each))]
    return replace(usage, windows=tuple(sorted(kept, key=lambda each: each.start)))


def with_lane(usage: Usage, lane: Lane) -> Usage:
    lanes = {each.number: each for each in usage.lanes} | {lane.number: lane}
    return replace(usage, lanes=tuple(lanes[number] for number in sorted(lanes)))


def position(usage: Usage, lane: int) -> str:
    """How far the lane was folded in; the empty string: not at all."""
    return next((each.position for each in usage.lanes if each.number == lane), "")


def alerts(usage: Usage, meter: Meter, period: Period, quota: int | None) -> tuple[Usage, tuple[Fact, ...]]:
    """The usage with the alerts of the period that are due now, each told once: a fact for every share of the quota
    and every quantity of the meter that has been reached.
    """
    told = usage.alerted if usage.alerted_since == period.start else ()
    quantity = usage.quantity(period, meter.aggregation)
    data = {
        "subscription": usage.subscription_id,
        "meter": meter.id,
        "quantity": quantity,
        "period_start": period.start.isoformat(),
        "period_end": period.end.isoformat(),
    }
    due = [(name, type_, more) for name, type_, more, at in _marks(meter, quota) if quantity >= at]
    fresh = [(name, type_, more) for name, type_, more in due if name not in told]
    if not fresh:
        return usage, ()
    noted = replace(usage, alerted=(*told, *(name for name, _, _ in fresh)), alerted_since=period.start)
    return noted, tuple(Fact(type_, usage.subscription_id, {**data, **more}) for _, type_, more in fresh)


def billable(usage: Usage, until: datetime) -> Iterator[Window]:
    """The windows that an invoice drawn up for the time up to `until` has to bill: those that have ended, and those
    billed before whose reading has changed since.
    """
    return (window for window in usage.windows if window.end <= until and _unbilled(window))


def billed(usage: Usage, windows: Iterable[Window], price: Price | None) -> Usage:
    """The usage with these windows billed as they stand, at `price` (or the one that each was billed at before)."""
    done = {window.start for window in windows}
    return replace(
        usage,
        windows=tuple(
            replace(window, billed=window.units, price=window.price or price)
            if window.start in done
            else window
            for window in usage.windows
        ),
    )


def reopened(usage: Usage, starts: Collection[datetime]) -> Usage:
    """The usage with the windows that begin so not billed after all."""
    windows = (
        replace(window, billed=None, price=None) if window.start in starts else window
        for window in usage.windows
    )
    return replace(usage, windows=tuple(windows))


def usage_id(subscription_id: str, meter: str) -> str:
    return ids.child_id("use", ids.customer_of(subscription_id), subscription_id, meter)


def new_usage(subscription: Subscription, meter: str) -> Usage:
    """Nothing used yet."""
    return Usage(
        id=usage_id(subscription.id, meter),
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        meter=meter,
    )


def ended(usage: Usage, subscription: Subscription, at: datetime) -> Usage:
    """The usage with a window that ends at `at`, used or not: the period is over, or what comes is another plan's."""
    before = at - timedelta.resolution
    window = usage.window_at(before) or _new_window(usage, subscription, before)
    others = [each for each in usage.windows if each.start != window.start]
    parts = (*others, replace(window, end=at))
    return replace(usage, windows=tuple(sorted(parts, key=lambda each: each.start)))


def _new_window(usage: Usage, subscription: Subscription, instant: datetime) -> Window:
    """The period that holds the instant, without what other windows hold of it."""
    period = usage_period(subscription, instant)
    start = max((w.end for w in usage.windows if period.start < w.end <= instant), default=period.start)
    end = min((w.start for w in usage.windows if instant < w.start < period.end), default=period.end)
    return Window(start=start, end=end)


def _unbilled(window: Window) -> bool:
    return window.billed != window.units


def _marks(meter: Meter, quota: int | None) -> Iterator[tuple[str, str, dict[str, int], int]]:
    """(name, type of fact, its data, quantity) of every alert."""
    if quota:
        for percent in QUOTA_ALERTS:
            least = ceil(Fraction(quota * percent, 100))
            yield f"quota_{percent}", "usage.quota_reached", {"percent": percent, "quota": quota}, least
    for units in meter.alerts:
        yield f"units_{units}", "usage.threshold_reached", {"threshold": units}, units
