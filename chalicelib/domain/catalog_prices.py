"""The prices of a catalog document: read into `Price`s and written back from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from chalicelib.domain.calendar import Interval, IntervalUnit
from chalicelib.domain.catalog import Price, Timing
from chalicelib.domain.pricing import PricingModel, Rate, Tier


class TierDocument(TypedDict, total=False):
    up_to: int | None
    unit_amount: str
    flat_amount: str


class PriceDocument(TypedDict, total=False):
    """Amounts are decimal strings of minor units. With a `meter` it is what usage costs, beside the product's price."""

    id: str | None
    interval: str
    interval_count: int
    currency: str
    model: str
    unit_amount: str | None
    tiers: Sequence[TierDocument]
    package_size: int
    billing_unit: int
    included: int
    minimum: str | None
    timing: str
    meter: str | None
    grace_minutes: int
    bill_at: int | None


def price_id(product: str, price: PriceDocument) -> str:
    """The price's own id, or the one it gets without: `pro_month_usd`, a quarter `pro_3month_usd`, of usage
    `pro_api_calls_month_usd`.
    """
    count = price.get("interval_count", 1)
    interval = price["interval"] if count == 1 else f"{count}{price['interval']}"
    name = f"{product}_{price['meter']}" if price.get("meter") else product
    return price.get("id") or f"{name}_{interval}_{price['currency'].lower()}"


def build_price(product: str, price: PriceDocument) -> Price:
    """What is metered is known, and billed, once its period is over."""
    timing = Timing.IN_ARREARS if price.get("meter") else Timing(price.get("timing", Timing.IN_ADVANCE))
    return Price(
        id=price_id(product, price),
        plan=product,
        currency=price["currency"],
        interval=Interval(IntervalUnit(price["interval"]), price.get("interval_count", 1)),
        rate=build_rate(price),
        meter=price.get("meter"),
        minimum=price.get("minimum"),
        timing=timing,
        grace_minutes=price.get("grace_minutes", 0),
        bill_at=price.get("bill_at"),
    )


def build_rate(price: PriceDocument) -> Rate:
    """ValidationError names what is wrong by its path inside the price."""
    return Rate(
        PricingModel(price["model"]),
        price.get("unit_amount"),
        tiers=tuple(
            Tier(tier.get("up_to"), tier["unit_amount"], tier.get("flat_amount", "0"))
            for tier in price.get("tiers") or ()
        ),
        package_size=price.get("package_size", 1),
        billing_unit=price.get("billing_unit", 1),
        included=price.get("included", 0),
    )


def written_price(price: Price) -> dict[str, Any]:
    rate = price.rate
    return {
        "id": price.id,
        "interval": str(price.interval.unit),
        "interval_count": price.interval.count,
        "currency": price.currency,
        "model": str(rate.model),
        "unit_amount": rate.unit_amount,
        "tiers": [
            {"up_to": tier.up_to, "unit_amount": tier.unit_amount, "flat_amount": tier.flat_amount}
            for tier in rate.tiers
        ],
        "package_size": rate.package_size,
        "billing_unit": rate.billing_unit,
        "included": rate.included,
        "minimum": price.minimum,
        "timing": str(price.timing),
        "meter": price.meter,
        "grace_minutes": price.grace_minutes,
        "bill_at": price.bill_at,
    }
