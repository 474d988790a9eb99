"""Billing in arrears: what a period served is billed once it is over, or when the service ends."""

from __future__ import annotations

from datetime import datetime

from chalicelib.domain.calendar import Period, next_day_start
from chalicelib.domain.catalog import Timing
from chalicelib.domain.invoice import Line
from chalicelib.domain.lifecycle import full_period
from chalicelib.domain.line_items import WHOLE, served_lines
from chalicelib.domain.proration import Granularity, parts_of
from chalicelib.domain.subscription import Item, Subscription


def is_in_arrears(item: Item) -> bool:
    return item.price is not None and item.price.timing is Timing.IN_ARREARS


def is_metered(item: Item) -> bool:
    return item.price is not None and item.price.meter is not None


def is_billed_in_advance(subscription: Subscription) -> bool:
    """Whether anything is due as a period begins."""
    return any(item.price is not None and not is_in_arrears(item) for item in subscription.items)


def served(
    subscription: Subscription, granularity: Granularity, until: datetime | None = None
) -> tuple[Line, ...]:
    """The lines of what the items billed in arrears served in the present period: all of it, or until an instant.
    What is metered is not among them: its quantity is not the item's.

    An item that began within the period is billed from then, by its share of the full period.
    """
    period = subscription.period
    arrears = [item for item in subscription.items if is_in_arrears(item) and not is_metered(item)]
    if period is None or not arrears:
        return ()
    end = period.end if until is None else min(max(until, period.start), period.end)
    full = full_period(subscription, subscription.cycle)
    lines: list[Line] = []
    for item in arrears:
        start = min(max(period.start, item.starts_at or period.start), end)
        stretch = Period(start, end)
        parts = WHOLE if stretch == full else parts_of(full, stretch, subscription.zone, granularity)
        if parts.numerator:
            lines += served_lines(item, stretch, parts, granularity)
    return tuple(lines)


def served_until(now: datetime, zone: str, granularity: Granularity) -> datetime:
    """Until when a service that ends now is billed: by days, the day of the end is consumed."""
    return next_day_start(now, zone) if granularity is Granularity.DAY else now
