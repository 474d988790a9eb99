"""The tax terms of a catalog, as asked and as answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chalicelib.domain.tax_rates import TaxProvider
from chalicelib.entrypoints.http.kit import Schema

Percent = Annotated[
    str, Field(max_length=12, description="Decimal string in per cent, up to 6 places.", examples=["19"])
]


class TaxRateSchema(Schema):
    """The rate for buyers of a country, or of one of its regions, which goes before the country's."""

    country: str = Field(min_length=2, max_length=2, description="ISO 3166-1 alpha-2.", examples=["DE"])
    region: str = Field(
        default="",
        max_length=3,
        description="What follows the country in its ISO 3166-2 code.",
        examples=["CA"],
    )
    rate: Percent
    inclusive: bool = Field(default=False, description="Whether prices contain it; else it is added.")
    reverse_charge: bool = Field(
        default=False,
        description="No tax for a buyer with a tax id of the country, who accounts for it, where the seller is of"
        " another country.",
    )
    products: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[],
        max_length=100,
        description="Plans and add-ons that it is for, before one for all; empty for all.",
    )


class TaxSchema(Schema):
    """Of all versions the current one applies: a rate is that of the day of the invoice, whatever was bought."""

    provider: TaxProvider = Field(default=TaxProvider.NONE, description="Who says what tax is due.")
    rates: list[TaxRateSchema] = Field(
        default=[], max_length=500, description="With `rates`: buyers elsewhere pay no tax."
    )
