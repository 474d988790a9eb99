"""The public price list: what a visitor is offered in the currency that they want."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Generic, TypeVar

from chalicelib.domain.calendar import Interval, IntervalUnit
from chalicelib.domain.catalog import AddOn, Catalog, Plan, Price

MONTH = Interval(IntervalUnit.MONTH)
YEAR = Interval(IntervalUnit.YEAR)


P = TypeVar("P", Plan, AddOn)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer(Generic[P]):
    """A plan or add-on in one currency, its prices from the shortest interval to the longest. `is_fallback`: not
    the wanted currency, in which it has no price, but the catalog's default.
    """

    product: P
    currency: str
    is_fallback: bool
    prices: tuple[Price, ...]

    def price_per(self, interval: Interval) -> Price | None:
        return next((price for price in self.prices if price.interval == interval), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceList:
    """Public plans by rank and the add-ons, in `currency` where they have it; `currencies` is the choice."""

    version: int
    currency: str
    currencies: tuple[str, ...]
    plans: tuple[Offer[Plan], ...]
    add_ons: tuple[Offer[AddOn], ...]


def price_list(catalog: Catalog, currency: str | None = None) -> PriceList:
    """In `currency` (None: the default one). A currency that nothing is sold in falls back everywhere."""
    wanted = currency or catalog.default_currency
    plans = sorted((plan for plan in catalog.plans if plan.public), key=lambda plan: plan.rank)
    return PriceList(
        version=catalog.version,
        currency=wanted,
        currencies=_currencies(catalog, plans),
        plans=tuple(_offer(plan, wanted, catalog.default_currency) for plan in plans),
        add_ons=tuple(_offer(add_on, wanted, catalog.default_currency) for add_on in catalog.add_ons),
    )


def yearly_saving(offer: Offer[P]) -> int | None:
    """Whole per cent that a year of one unit costs less than twelve months, rounded down; None without a saving."""
    monthly, yearly = offer.price_per(MONTH), offer.price_per(YEAR)
    if monthly is None or yearly is None:
        return None
    twelve = 12 * monthly.amount_for(1)
    if not twelve:
        return None
    saving = floor((twelve - yearly.amount_for(1)) * 100 / twelve)
    return saving if saving > 0 else None


def _offer(product: P, wanted: str, default: str) -> Offer[P]:
    offered = {price.currency for price in product.prices}
    is_fallback = bool(offered) and wanted not in offered
    currency = default if is_fallback else wanted
    prices = (price for price in product.prices if price.currency == currency)
    by_length = sorted(prices, key=lambda price: price.interval.annual_factor(), reverse=True)
    return Offer(product=product, currency=currency, is_fallback=is_fallback, prices=tuple(by_length))


def _currencies(catalog: Catalog, plans: Iterable[Plan]) -> tuple[str, ...]:
    sold = {price.currency: None for plan in plans for price in plan.prices}
    sold.pop(catalog.default_currency, None)
    return (catalog.default_currency, *sold)
