"""What the tax terms of a catalog must keep to be published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from chalicelib.domain import contact
from chalicelib.domain.catalog_document import CatalogDocument
from chalicelib.domain.catalog_problems import checked, repeated
from chalicelib.domain.catalog_tax import TaxRateDocument
from chalicelib.domain.errors import Problem
from chalicelib.domain.money import parse_percent
from chalicelib.domain.tax_rates import TaxProvider

_REGION: Final = re.compile(r"[A-Z0-9]{1,3}")


def tax_problems(document: CatalogDocument) -> Iterator[Problem]:
    """Every breach in the catalog's tax terms."""
    tax = document.get("tax", {})
    provider, rates = tax.get("provider", TaxProvider.NONE), tax.get("rates", ())
    if provider == TaxProvider.RATES and not rates:
        yield Problem("tax.rates", "there is no rate to tax by", "list one, or use provider none")
    if provider != TaxProvider.RATES and rates:
        yield Problem("tax.provider", f"with {provider} the rates listed are not used", "use provider rates")
    known = {product["id"] for product in (*document["plans"], *document.get("add_ons", ()))}
    for index, rate in enumerate(rates):
        yield from _rate(rate, f"tax.rates[{index}]", known)
    for index, rate in enumerate(rates):
        if rate.get("reverse_charge") and not document.get("seller", {}).get("country"):
            path = f"tax.rates[{index}].reverse_charge"
            yield Problem(path, "a reverse charge depends on where the seller is", "set seller.country")
    places = (
        (f"tax.rates[{index}]", " ".join(filter(None, (rate["country"], rate.get("region", ""), product))))
        for index, rate in enumerate(rates)
        for product in dict.fromkeys(rate.get("products", ())) or ("",)
    )
    yield from repeated(places, "the rate of {} is at {} already", "keep one of them")


def _rate(rate: TaxRateDocument, path: str, known: set[str]) -> Iterator[Problem]:
    country, region = rate["country"], rate.get("region", "")
    yield from checked(lambda: contact.country_code(country, field="country"), f"{path}.country")
    if country != country.upper():
        yield Problem(f"{path}.country", "a country code is upper case", f"use {country.upper()}")
    yield from checked(lambda: parse_percent(rate["rate"], field="rate"), f"{path}.rate")
    if region and not _REGION.fullmatch(region):
        yield Problem(
            f"{path}.region",
            f"{region!r} is not a region",
            "use the part after the country of its ISO 3166-2 code, such as CA for US-CA",
        )
    for index, product in enumerate(rate.get("products", ())):
        if product not in known:
            yield Problem(
                f"{path}.products[{index}]",
                f"there is no plan or add-on {product!r}",
                f"use one of: {', '.join(sorted(known))}",
            )
