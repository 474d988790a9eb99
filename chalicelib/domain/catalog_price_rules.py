"""What the prices of a catalog document must keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog_document import CatalogDocument
from chalicelib.domain.catalog_prices import PriceDocument, build_rate, price_id
from chalicelib.domain.catalog_problems import checked, currency_problems, name_problems, repeated
from chalicelib.domain.currencies import is_currency
from chalicelib.domain.errors import Problem, ValidationError
from chalicelib.domain.money import parse_percent, parse_unit_amount
from chalicelib.domain.pricing import PricingModel, Rate


def price_problems(prices: Sequence[PriceDocument], path: str, default: str) -> Iterator[Problem]:
    is_metered = any(price.get("meter") for price in prices)
    for index, price in enumerate(prices):
        yield from _price(price, f"{path}.prices[{index}]", may_be_zero=is_metered)
    if prices and all(price.get("meter") for price in prices):
        yield Problem(
            f"{path}.prices",
            "usage is billed beside a price of the product itself",
            'add one without a meter; its unit_amount may be "0"',
        )
    if prices and is_currency(default) and not any(price["currency"] == default for price in prices):
        yield Problem(
            f"{path}.prices",
            f"there is no price in {default}, to which price lists fall back",
            f"add a price in {default}",
        )
    offers = (
        (
            f"{path}.prices[{index}]",
            f"{price.get('interval_count', 1)} {price['interval']} in {price['currency']}"
            + (f" of {price['meter']}" if price.get("meter") else ""),
        )
        for index, price in enumerate(prices)
    )
    yield from repeated(offers, "the price per {} is already given at {}")


def _price(price: PriceDocument, path: str, *, may_be_zero: bool) -> Iterator[Problem]:
    yield from currency_problems(price["currency"], f"{path}.currency")
    yield from checked(
        lambda: Interval.of(price["interval"], price.get("interval_count", 1)),
        f"{path}.interval_count",
        "use 1, or 3 with month for a quarter",
    )
    own_id = price.get("id")
    if own_id:
        yield from name_problems(own_id, f"{path}.id")
    try:
        rate = build_rate(price)
    except ValidationError as error:
        field = error.field or ""
        yield Problem(f"{path}.{field}", error.message, error.fix or _FIXES.get(field.partition("[")[0]))
    else:
        yield from _rate(rate, path, may_be_zero=may_be_zero and not price.get("meter"))
    yield from _minimum(price.get("minimum"), f"{path}.minimum")
    if price.get("grace_minutes") and not price.get("meter"):
        yield Problem(f"{path}.grace_minutes", "only usage is waited for", "leave it out")
    least = price.get("bill_at")
    if least is not None and not price.get("meter"):
        yield Problem(f"{path}.bill_at", "only usage is billed within its period", "leave it out")
    elif least is not None and least < 1:
        yield Problem(
            f"{path}.bill_at", "an amount to bill at is above zero", "send minor units, such as 5000"
        )


_FIXES = {
    "unit_amount": 'send minor units, such as "1900", and with graduated and volume the tiers instead',
    "tiers": "send tiers with graduated and volume, ascending; the last one without up_to",
    "package_size": "send 1 or more",
    "billing_unit": "send 1 or more",
    "included": "send 0 or more",
}


def _rate(rate: Rate, path: str, *, may_be_zero: bool) -> Iterator[Problem]:
    """What is well-formed, but nobody can mean."""
    if rate.model is PricingModel.PERCENTAGE:
        yield from checked(lambda: parse_percent(rate.unit_amount or ""), f"{path}.unit_amount")
    amounts = [
        rate.unit_amount or "0",
        *(a for tier in rate.tiers for a in (tier.unit_amount, tier.flat_amount)),
    ]
    if not may_be_zero and not any(parse_unit_amount(amount) for amount in amounts):
        place = "tiers" if rate.tiers else "unit_amount"
        yield Problem(f"{path}.{place}", "a price is above zero", "leave the prices out to make a plan free")
    if rate.package_size != 1 and rate.model is not PricingModel.PACKAGE:
        yield Problem(
            f"{path}.package_size", f"a {rate.model} price has no packages", "use the model package"
        )
    if rate.model is PricingModel.FLAT:
        for name, is_used in (("billing_unit", rate.billing_unit != 1), ("included", rate.included != 0)):
            if is_used:
                yield Problem(f"{path}.{name}", "a flat price ignores the quantity", f"leave {name} out")


def _minimum(text: str | None, path: str) -> Iterator[Problem]:
    if text is None:
        return
    problems = tuple(checked(lambda: parse_unit_amount(text), path))
    yield from problems
    if not problems and not parse_unit_amount(text):
        yield Problem(path, "a commitment is above zero", "leave it out")


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
