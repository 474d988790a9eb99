"""Billing usage: the windows that are over, at the price that was in force, what came late for windows before, and
what was used so far in one that is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import Price
from chalicelib.domain.invoice import Invoice, Line
from chalicelib.domain.lifecycle import full_period
from chalicelib.domain.line_items import WHOLE, served_lines
from chalicelib.domain.money import parse_unit_amount, round_half_away
from chalicelib.domain.pricing import RatedStep, rate
from chalicelib.domain.proration import Granularity, share_of
from chalicelib.domain.subscription import Item, Subscription
from chalicelib.domain.usage import Usage, Window, billable, billed, ended, new_usage, reopened

_PLACES = 12
_FINEST = 10**_PLACES


@dataclass(frozen=True, slots=True)
class Metered:
    """The lines of usage on an invoice, and the usages with those windows billed."""

    lines: tuple[Line, ...] = ()
    usages: tuple[Usage, ...] = ()


def meters_of(items: Iterable[Item]) -> tuple[str, ...]:
    """The meters that these items are billed for, each once."""
    return tuple(dict.fromkeys(item.price.meter for item in items if item.price and item.price.meter))


def metered(
    subscription: Subscription, usages: Iterable[Usage], until: datetime, *, late: bool = True
) -> Metered:
    """What was used up to `until`, an end of a period or of the service, and is not billed yet; without `late` not
    what was reported late for windows that were billed before.

    A window without any usage is billed too, for the flat amounts and commitments that its price has. Pure: the
    usages say what was billed, so the next invoice begins after it.
    """
    own = {usage.meter: usage for usage in usages if usage.subscription_id == subscription.id}
    lines: list[Line] = []
    after: list[Usage] = []
    for item in subscription.items:
        if item.price is None or item.price.meter is None:
            continue
        usage = own.get(item.price.meter) or new_usage(subscription, item.price.meter)
        usage = ended(replace(usage, priced=True), subscription, until)
        open_ = [window for window in billable(usage, until) if late or window.billed is None]
        due = [window for window in open_ if not _is_free(subscription, item, window)]
        free = [window for window in open_ if window not in due]
        lines += (line for window in due for line in _lines(item, window, _share(subscription, window)))
        after.append(billed(billed(usage, free, None), due, item.price))
    return Metered(tuple(lines), tuple(after))


def _is_free(subscription: Subscription, item: Item, window: Window) -> bool:
    """Whether it was used on a trial, or before its meter was billed for."""
    trial, begun = subscription.trial, item.starts_at
    if window.billed is not None:
        return window.price is None
    on_trial = trial is not None and window.start < trial.ends_at
    return on_trial or (begun is not None and window.start < begun)


def so_far(subscription: Subscription, usage: Usage, now: datetime) -> Metered:
    """What was used in the window that is open now and no invoice has billed, as that invoice bills it."""
    item = item_of(subscription, usage.meter)
    window = usage.window_at(now)
    if item is None or item.price is None or window is None or window.billed is not None:
        return Metered()
    if _is_free(subscription, item, window) or window.units == window.part:
        return Metered()
    period = Period(window.start, max(now, window.start + timedelta.resolution))
    lines = tuple(_beyond(item, item.price, period, window, kind="usage", before=window.part))
    after = replace(window, part=window.units)
    windows = tuple(after if each is window else each for each in usage.windows)
    return Metered(lines, (replace(usage, windows=windows),) if lines else ())


def item_of(subscription: Subscription, meter: str) -> Item | None:
    """The item by which the subscription is billed for the meter."""
    return next((item for item in subscription.items if item.price and item.price.meter == meter), None)


def given_back(usages: Iterable[Usage], invoice: Invoice) -> tuple[Usage, ...]:
    """The usages with the windows open again that an invoice of a change had billed, which is void now."""
    starts = {line.period.start for line in invoice.lines if line.kind == "usage" and line.period}
    return tuple(reopened(usage, starts) for usage in usages if starts)


def _share(subscription: Subscription, window: Window) -> Fraction:
    """What the window is of a full period, by days: a commitment counts for its share."""
    assert subscription.period is not None
    full = full_period(subscription, subscription.cycle)
    if window.start < full.start or subscription.interval is None:
        return Fraction(1)
    return share_of(full, Period(window.start, window.end), subscription.zone, Granularity.DAY)


def _lines(item: Item, window: Window, share: Fraction) -> Iterator[Line]:
    """A window billed for the first time; or, billed before, the difference that has come since."""
    assert item.price is not None
    period = Period(window.start, window.end)
    if window.billed is not None:
        price = window.price or item.price
        yield from _beyond(item, price, period, window, kind="late_usage", before=window.billed)
        return
    price = item.price
    if price.minimum is not None and share != 1:
        least = round_half_away(parse_unit_amount(price.minimum) * share)
        price = replace(price, minimum=str(least))
    used = replace(item, quantity=window.units, price=price)
    for line in served_lines(used, period, WHOLE, Granularity.DAY):
        if line.kind != "recurring":
            yield line
        elif window.part is None:
            yield replace(line, kind="usage")
        else:
            yield from _beyond(item, item.price, period, window, kind="usage", before=window.part)


def _beyond(
    item: Item, price: Price, period: Period, window: Window, *, kind: str, before: int | None
) -> Iterator[Line]:
    """What all of the window costs now, less what was billed for it `before` (None: nothing yet); none for nothing."""
    steps = rate(price.rate, window.units).steps + _taken_off(price, before)
    amount = round_half_away(sum((step.amount for step in steps), Fraction(0)))
    if not amount:
        return
    late = kind == "late_usage"
    yield Line(
        id=f"{item.id}-{'late' if late else 'used'}-{window.reading.events}:{period.start.date().isoformat()}",
        kind=kind,
        description=f"{item.name}, reported late" if late else item.name,
        product=item.product,
        price_id=price.id,
        model=price.rate.model,
        quantity=sum(step.units for step in steps),
        steps=steps,
        period=period,
        amount=amount,
    )


def _taken_off(price: Price, before: int | None) -> tuple[RatedStep, ...]:
    """What was billed before, with the rounding that it was billed with: in parts it comes to the same total."""
    if before is None:
        return ()
    rated = rate(price.rate, before)
    steps = tuple(replace(step, taken_off=True) for step in rated.steps)
    rounding = round_half_away(rated.amount) - rated.amount
    places = abs(rounding) * _FINEST
    if not rounding or places.denominator != 1:
        return steps
    flat = f"0.{places.numerator:0{_PLACES}d}".rstrip("0")
    return (*steps, RatedStep(0, "0", flat, taken_off=rounding > 0))
