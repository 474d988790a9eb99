"""What Stripe counts in, where that differs from ISO 4217, and the least that it charges.

Sources: Stripe's documentation, "Supported currencies" (zero-decimal and three-decimal currencies, special
cases, minimum charge amounts), for the API version that the gateway pins.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.currencies import exponent

STRIPE_DECIMALS: Final = {
    **dict.fromkeys("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD JOD KWD OMR TND".split(), 3),
}
"""Decimals of the amounts in Stripe's API; every other currency has two, ISK and UGX among them."""

STEP: Final = dict.fromkeys("BHD JOD KWD OMR TND".split(), 10)
"""Stripe's amount must be a multiple of this. (Of 100 for ISK and UGX, which whole crowns and shillings are.)"""

MINIMUM: Final = {
    "USD": 50, "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250,
    "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300,
    "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000,
}  # fmt: skip
"""Smallest charge in our minor units, as documented by currency."""


def to_stripe(amount: int, currency: str) -> int:
    """Our minor units as the integer that Stripe expects, to the nearest amount that it can move.

    Half rounds away from zero. `from_stripe` of the result is what the customer really pays.
    """
    numerator, denominator = _ratio(currency)
    step = STEP.get(currency, 1)
    return _rounded(amount * numerator, denominator * step) * step


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's integer as our minor units; exact for every amount that `to_stripe` gives."""
    numerator, denominator = _ratio(currency)
    return _rounded(amount * denominator, numerator)


def minimum(currency: str) -> int:
    """The smallest amount, in our minor units, that may be charged.

    A currency without a documented minimum gets 50 cents' worth of digits: 50 of the minor unit with two
    decimals or none, 500 with three. Stripe itself then judges by the settlement currency.
    """
    return MINIMUM.get(currency, 500 if exponent(currency) == 3 else 50)


def _ratio(currency: str) -> tuple[int, int]:
    shift = STRIPE_DECIMALS.get(currency, 2) - exponent(currency)
    return 10 ** max(shift, 0), 10 ** max(-shift, 0)


def _rounded(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(abs(numerator), denominator)
    quotient += 2 * rest >= denominator
    return quotient if numerator >= 0 else -quotient
