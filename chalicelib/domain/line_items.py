"""The lines of one priced item for a period: what its quantity costs, and what its commitment adds."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import Price
from chalicelib.domain.invoice import Line
from chalicelib.domain.money import round_half_away
from chalicelib.domain.pricing import rate
from chalicelib.domain.proration import Granularity, Parts
from chalicelib.domain.subscription import Item

WHOLE = Parts(1, 1)


def lines_of(item: Item, period: Period, parts: Parts, unit: Granularity) -> Iterator[Line]:
    """The item's line for `period`, which is `parts` (counted in `unit`) of a full one; none for a free item."""
    if item.price is not None:
        yield _charge(item, item.price, period, parts, unit)


def _charge(item: Item, price: Price, period: Period, parts: Parts, unit: Granularity) -> Line:
    rated = rate(price.rate, item.quantity)
    return Line(
        id=f"{item.id}:{period.start.date().isoformat()}",
        kind="recurring",
        description=_named(
            item.name if item.quantity == 1 else f"{item.name} × {item.quantity}", parts, unit
        ),
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
    )


def _named(text: str, parts: Parts, unit: Granularity) -> str:
    """With the days that it is for, where that is a part; seconds would tell nobody anything."""
    if parts == WHOLE or unit is not Granularity.DAY:
        return text
    return f"{text}, {parts.numerator} of {parts.denominator} days"
