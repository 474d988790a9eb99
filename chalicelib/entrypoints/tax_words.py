"""Tax in words: what it is called where the buyer is, and what a price says of it."""

from __future__ import annotations

from typing import Final

from chalicelib.domain.tax import TaxSum, TaxTerms

_NAMES: Final = {
    "US": "sales tax",
    "CA": "GST/HST",
    "JP": "consumption tax",
    **dict.fromkeys(("AU", "IN", "NZ", "SG"), "GST"),
}


def tax_name(country: str) -> str:
    return _NAMES.get(country, "VAT")


def tax_label(tax: TaxSum, country: str) -> str:
    """What stands before the amount: "19 % VAT", "of which 20 % VAT", "VAT, reverse charge"."""
    name = tax_name(country)
    if tax.note:
        return f"{name}, {tax.note.replace('_', ' ')}"
    return f"of which {tax.rate} % {name}" if tax.inclusive else f"{tax.rate} % {name}"


def price_note(terms: TaxTerms, country: str) -> str | None:
    """What prices say of tax to somebody there: "plus 19 % VAT", "incl. VAT"; None where none is due."""
    if not terms.rules or terms.note:
        return None
    name = tax_name(country)
    rates = {rule.rate for rule in terms.rules}
    rate = f"{rates.pop()} % " if len(rates) == 1 else ""
    kinds = {rule.inclusive for rule in terms.rules}
    if len(kinds) > 1:
        return f"{name} is added where a price does not include it"
    return f"{'incl.' if kinds.pop() else 'plus'} {rate}{name}"


def tax_shown(terms: TaxTerms, country: str) -> str:
    """What a form remembers of the tax in the sums that it showed."""
    return terms.note or price_note(terms, country) or ""
