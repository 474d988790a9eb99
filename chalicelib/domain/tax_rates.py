"""Who says what tax is due, and the seller's own table of rates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.errors import ValidationError
from chalicelib.domain.money import parse_percent


class TaxProvider(StrEnum):
    """NONE: invoices carry no tax. RATES: the table of the catalog."""

    NONE = "none"
    RATES = "rates"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaxRule:
    """The rate, in percent, for buyers in `country` (and `region`), of `products` or of all where that is empty.

    `inclusive`: prices contain it. `reverse_charge`: a buyer with a tax id of the country accounts for the tax
    itself, unless the seller is of the same country.
    """

    country: str
    rate: str
    region: str = ""
    inclusive: bool = False
    reverse_charge: bool = False
    products: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parse_percent(self.rate, field="rate")
        if len(self.country) != len("IE") or self.country != self.country.upper():
            raise ValidationError(
                "a country is two capital letters of ISO 3166", field="country", fix="send one such as IE"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TaxTable:
    """The tax terms of a catalog version. Of all versions the current one applies, whatever somebody bought: a rate
    is the law's on the day of the invoice.
    """

    provider: TaxProvider = TaxProvider.NONE
    rates: tuple[TaxRule, ...] = ()
