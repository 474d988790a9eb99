"""A price in words: its headline, its tiers line by line, and what else belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.catalog import Price, Timing
from chalicelib.domain.money import parse_unit_amount
from chalicelib.domain.pricing import PricingModel, Tier
from chalicelib.entrypoints.formatting import format_amount, format_number


@dataclass(frozen=True, slots=True)
class TierWords:
    """Which units, and what each of them costs."""

    units: str
    costs: str


def headline(price: Price, language: str, *, short: bool = False) -> str:
    """The amount to read first: "€19.00", of tiers the least ("from €8.00"), of a percentage "2.5 %"."""
    rate = price.rate
    if rate.model is PricingModel.PERCENTAGE:
        return f"{rate.unit_amount} %"
    if rate.unit_amount is not None:
        return format_amount(rate.unit_amount, price.currency, language, short=short)
    priced = [amount for tier in rate.tiers for amount in _amounts(tier) if parse_unit_amount(amount)]
    least = min(priced, key=parse_unit_amount, default="0")
    return f"from {format_amount(least, price.currency, language, short=short)}"


def tiers(price: Price, language: str, *, short: bool = False) -> list[TierWords]:
    """One row per tier; none for a price without."""
    rows, first = [], 1
    for tier in price.rate.tiers:
        rows.append(TierWords(_units(first, tier.up_to, language), _costs(tier, price, language, short)))
        first = (tier.up_to or 0) + 1
    return rows


def notes(price: Price, language: str) -> list[str]:
    """What the headline does not say: packages, allowance, commitment."""
    rate = price.rate
    found = (
        (
            rate.model is PricingModel.PACKAGE,
            f"a begun {format_number(rate.package_size, language)} counts whole",
        ),
        (rate.model is PricingModel.VOLUME, "all at the price of the tier that you reach"),
        (rate.billing_unit != 1, f"counted in steps of {format_number(rate.billing_unit, language)}"),
        (rate.included != 0, f"the first {format_number(rate.included, language)} are included"),
    )
    said = [text for holds, text in found if holds]
    if price.minimum is not None:
        said.append(f"at least {format_amount(price.minimum, price.currency, language, short=True)}")
    if price.timing is Timing.IN_ARREARS:
        said.append(f"paid at the end of each {price.interval}")
    return said


def _amounts(tier: Tier) -> tuple[str, ...]:
    """What a tier asks for: its unit price, or the fee of one whose units cost nothing."""
    return (tier.unit_amount,) if parse_unit_amount(tier.unit_amount) else (tier.flat_amount,)


def _units(first: int, last: int | None, language: str) -> str:
    if last is None:
        return f"{format_number(first, language)} and more"
    if first == last:
        return format_number(first, language)
    return f"{format_number(first, language)} – {format_number(last, language)}"


def _costs(tier: Tier, price: Price, language: str, short: bool) -> str:
    each, fee = parse_unit_amount(tier.unit_amount), parse_unit_amount(tier.flat_amount)
    unit = format_amount(tier.unit_amount, price.currency, language, short=short)
    flat = format_amount(tier.flat_amount, price.currency, language, short=short)
    if not fee:
        return f"{unit} each" if each else "included"
    return f"{flat} and {unit} each" if each else flat
