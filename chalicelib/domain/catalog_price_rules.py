"""What the prices of a catalog document must keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog_document import CatalogDocument, PriceDocument, price_id
from chalicelib.domain.catalog_problems import checked, currency_problems, name_problems, repeated
from chalicelib.domain.currencies import is_currency
from chalicelib.domain.errors import Problem
from chalicelib.domain.money import parse_unit_amount
from chalicelib.domain.pricing import PricingModel

SOLD_MODELS: Final = frozenset({PricingModel.FLAT, PricingModel.PER_UNIT})


def price_problems(prices: Sequence[PriceDocument], path: str, default: str) -> Iterator[Problem]:
    for index, price in enumerate(prices):
        yield from _price(price, f"{path}.prices[{index}]")
    if prices and is_currency(default) and not any(price["currency"] == default for price in prices):
        yield Problem(
            f"{path}.prices",
            f"there is no price in {default}, to which price lists fall back",
            f"add a price in {default}",
        )
    offers = (
        (
            f"{path}.prices[{index}]",
            f"{price.get('interval_count', 1)} {price['interval']} in {price['currency']}",
        )
        for index, price in enumerate(prices)
    )
    yield from repeated(offers, "the price per {} is already given at {}")


def _price(price: PriceDocument, path: str) -> Iterator[Problem]:
    yield from currency_problems(price["currency"], f"{path}.currency")
    yield from checked(
        lambda: Interval.of(price["interval"], price.get("interval_count", 1)),
        f"{path}.interval_count",
        "use 1, or 3 with month for a quarter",
    )
    own_id = price.get("id")
    if own_id:
        yield from name_problems(own_id, f"{path}.id")
    if price["model"] in SOLD_MODELS:
        yield from _amount(price, path)
    else:
        yield _not_sold(f"{path}.model", f"the model {price['model']}", "use flat or per_unit")
    unsold = {
        "tiers": bool(price.get("tiers")),
        "package_size": price.get("package_size", 1) != 1,
        "billing_unit": price.get("billing_unit", 1) != 1,
        "included": price.get("included", 0) != 0,
        "meter": bool(price.get("meter")),
    }
    for name, is_used in unsold.items():
        if is_used:
            yield _not_sold(f"{path}.{name}", f"{name}", f"leave {name} out")


def _amount(price: PriceDocument, path: str) -> Iterator[Problem]:
    text = price.get("unit_amount")
    if text is None:
        yield Problem(
            f"{path}.unit_amount", "a price needs its unit_amount", 'send minor units, such as "1900"'
        )
        return
    problems = tuple(checked(lambda: parse_unit_amount(text), f"{path}.unit_amount"))
    yield from problems
    if not problems and parse_unit_amount(text) == 0:
        yield Problem(
            f"{path}.unit_amount", "a price is above zero", "leave the prices out to make a plan free"
        )


def price_id_problems(document: CatalogDocument) -> Iterator[Problem]:
    """Ids made from product, interval and currency meet only where those do, which is reported as such."""
    first: dict[str, str] = {}
    given: list[tuple[str, str]] = []
    for kind, products in (("plans", document["plans"]), ("add_ons", document.get("add_ons", ()))):
        for index, product in enumerate(products):
            for place, price in enumerate(product.get("prices", ())):
                path = f"{kind}[{index}].prices[{place}].id"
                name = price_id(product["id"], price)
                if price.get("id"):
                    given.append((path, name))
                else:
                    first.setdefault(name, path)
    yield from repeated(given, "the price id {} is used by {}", known=first)


def _not_sold(path: str, what: str, fix: str) -> Problem:
    return Problem(path, f"not sold yet: {what}", fix)
