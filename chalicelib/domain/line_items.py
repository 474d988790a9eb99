"""The lines of one priced item for a period: what its quantity costs, and what its commitment adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import Price, Timing
from chalicelib.domain.invoice import Line
from chalicelib.domain.money import parse_unit_amount, round_half_away
from chalicelib.domain.pricing import rate, true_up
from chalicelib.domain.proration import Granularity, Parts
from chalicelib.domain.subscription import Item

WHOLE = Parts(1, 1)


def lines_of(item: Item, period: Period, parts: Parts, unit: Granularity) -> Iterator[Line]:
    """The item's lines as `period` begins, which is `parts` (counted in `unit`) of a full one; none for a free item,
    and none for one that is billed in arrears.

    Where its price has a commitment that it falls short of, a second line makes up for it.
    """
    if item.price is not None and item.price.timing is Timing.IN_ADVANCE:
        yield from _lines(item, item.price, period, parts, unit)


def served_lines(item: Item, period: Period, parts: Parts, unit: Granularity) -> Iterator[Line]:
    """The lines of an item billed in arrears for a `period` that is over; none for any other."""
    if item.price is not None and item.price.timing is Timing.IN_ARREARS:
        yield from _lines(item, item.price, period, parts, unit)


def _lines(item: Item, price: Price, period: Period, parts: Parts, unit: Granularity) -> Iterator[Line]:
    charge = _charge(item, price, period, parts, unit)
    yield charge
    if price.minimum is not None:
        missing = true_up(parse_unit_amount(price.minimum) * parts.share, charge.amount)
        if missing:
            yield _true_up(item, charge, price.minimum, missing, unit)


def _charge(item: Item, price: Price, period: Period, parts: Parts, unit: Granularity) -> Line:
    rated = rate(price.rate, item.quantity)
    return Line(
        id=f"{item.id}:{period.start.date().isoformat()}",
        kind="recurring",
        description=_named(_counted(item, price), parts, unit),
        product=item.product,
        price_id=price.id,
        model=price.rate.model,
        quantity=item.quantity,
        steps=rated.steps,
        numerator=parts.numerator,
        denominator=parts.denominator,
        unit=unit if parts != WHOLE else Granularity.DAY,
        period=period,
        amount=round_half_away(rated.amount * parts.share),
        included=price.rate.included,
        billing_unit=price.rate.billing_unit,
        package_size=price.rate.package_size,
    )


def _true_up(item: Item, charge: Line, minimum: str, missing: int, unit: Granularity) -> Line:
    parts = Parts(charge.numerator, charge.denominator)
    return replace(
        charge,
        id=f"{item.id}-minimum:{charge.id.rpartition(':')[2]}",
        kind="true_up",
        description=_named(f"{item.name}, minimum", parts, unit),
        minimum=minimum,
        amount=missing,
    )


def _counted(item: Item, price: Price) -> str:
    text = item.name if item.quantity == 1 else f"{item.name} × {item.quantity}"
    return f"{text}, {price.rate.included} included" if price.rate.included else text


def _named(text: str, parts: Parts, unit: Granularity) -> str:
    """With the days that it is for, where that is a part; seconds would tell nobody anything."""
    if parts == WHOLE or unit is not Granularity.DAY:
        return text
    return f"{text}, {parts.numerator} of {parts.denominator} days"
