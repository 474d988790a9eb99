"""The tax terms of a catalog as its document has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from chalicelib.domain.tax_rates import TaxProvider, TaxRule, TaxTable


class TaxRateDocument(TypedDict, total=False):
    country: str
    region: str
    rate: str
    inclusive: bool
    reverse_charge: bool
    products: Sequence[str]


class TaxDocument(TypedDict, total=False):
    provider: str
    rates: Sequence[TaxRateDocument]


def build_tax(document: TaxDocument) -> TaxTable:
    return TaxTable(
        provider=TaxProvider(document.get("provider", TaxProvider.NONE)),
        rates=tuple(
            TaxRule(
                country=rate["country"],
                region=rate.get("region", ""),
                rate=rate["rate"],
                inclusive=rate.get("inclusive", False),
                reverse_charge=rate.get("reverse_charge", False),
                products=tuple(rate.get("products", ())),
            )
            for rate in document.get("rates", ())
        ),
    )


def write_tax(table: TaxTable) -> TaxDocument:
    return {
        "provider": str(table.provider),
        "rates": [
            {
                "country": rule.country,
                "region": rule.region,
                "rate": rule.rate,
                "inclusive": rule.inclusive,
                "reverse_charge": rule.reverse_charge,
                "products": list(rule.products),
            }
            for rule in table.rates
        ],
    }
