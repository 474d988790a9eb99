"""How a customer's invoices are taxed under a catalog."""

from __future__ import annotations

from chalicelib.domain.catalog import Catalog
from chalicelib.domain.customer import Customer, TaxExempt
from chalicelib.domain.tax import NO_TAX, TaxTerms, tax_terms
from chalicelib.domain.tax_rates import TaxProvider


def terms_of(customer: Customer, catalog: Catalog) -> TaxTerms:
    """By the catalog in force and where the customer says to be; not at all where that is unknown."""
    if catalog.tax.provider is TaxProvider.NONE or not customer.address.country:
        return NO_TAX
    return tax_terms(
        catalog.tax.rates,
        country=customer.address.country,
        region=customer.address.state,
        tax_ids=customer.tax_ids,
        seller_country=catalog.seller.country,
        exempt=customer.tax_exempt is TaxExempt.EXEMPT,
        reverse=customer.tax_exempt is TaxExempt.REVERSE,
    )
