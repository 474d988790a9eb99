"""How a customer's invoices are taxed under a catalog."""

from __future__ import annotations

from chalicelib.domain.catalog import Catalog
from chalicelib.domain.customer import Customer, TaxExempt
from chalicelib.domain.tax import NO_TAX, TaxTerms, tax_terms
from chalicelib.domain.tax_rates import TaxProvider


def terms_of(customer: Customer, catalog: Catalog) -> TaxTerms:
    """By the catalog in force and where the customer says to be; not at all where that is unknown."""
    return terms_at(
        customer.address.country,
        customer.address.state,
        catalog,
        tax_ids=customer.tax_ids,
        exempt=customer.tax_exempt,
    )


def has_regions(country: str, catalog: Catalog) -> bool:
    """Whether it matters in which state of the country somebody is."""
    return any(rule.region and rule.country == country for rule in catalog.tax.rates)


def terms_at(
    country: str,
    state: str,
    catalog: Catalog,
    *,
    tax_ids: tuple[str, ...] = (),
    exempt: TaxExempt = TaxExempt.NONE,
) -> TaxTerms:
    """What anybody in that place pays."""
    if catalog.tax.provider is TaxProvider.NONE or not country:
        return NO_TAX
    return tax_terms(
        catalog.tax.rates,
        country=country,
        region=state,
        tax_ids=tax_ids,
        seller_country=catalog.seller.country,
        exempt=exempt is TaxExempt.EXEMPT,
        reverse=exempt is TaxExempt.REVERSE,
    )
