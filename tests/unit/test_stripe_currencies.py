"""What Stripe counts in, currency by currency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.stripe.currencies import MINIMUM, from_stripe, minimum, to_stripe
from chalicelib.domain.currencies import exponent, is_currency

SUPPORTED = """
    USD AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
    ISK JMD JPY KES KGS KHR KMF KRW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS
    SRD SZL THB TJS TOP TRY TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
    BHD JOD KWD OMR TND
""".split()
STEP = {"ISK": 100, "UGX": 100, "BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10}
AS_ISO = set(SUPPORTED) - {"ISK", "UGX", "MGA", "BHD", "JOD", "KWD", "OMR", "TND"}


@pytest.mark.parametrize("currency", sorted(AS_ISO))
def test_most_currencies_are_counted_as_we_do(currency: str) -> None:
    assert is_currency(currency)
    assert to_stripe(12_345, currency) == 12_345
    assert from_stripe(12_345, currency) == 12_345


@pytest.mark.parametrize(
    ("currency", "ours", "stripes", "charged"),
    [
        ("JPY", 500, 500, 500),
        ("ISK", 5, 500, 5),
        ("UGX", 5, 500, 5),
        ("MGA", 1_000, 10, 1_000),
        ("MGA", 1_049, 10, 1_000),
        ("MGA", 1_050, 11, 1_100),
        ("KWD", 5_124, 5_120, 5_120),
        ("KWD", 5_125, 5_130, 5_130),
        ("BHD", 10_000, 10_000, 10_000),
        ("TND", 4, 0, 0),
    ],
)
def test_the_others(currency: str, ours: int, stripes: int, charged: int) -> None:
    assert to_stripe(ours, currency) == stripes
    assert from_stripe(stripes, currency) == charged


@given(st.sampled_from(SUPPORTED), st.integers(min_value=-(10**9), max_value=10**9))
def test_every_amount_can_be_carried_and_is_nearest(currency: str, amount: int) -> None:
    sent = to_stripe(amount, currency)
    assert sent % STEP.get(currency, 1) == 0
    back = from_stripe(sent, currency)
    assert to_stripe(back, currency) == sent
    assert abs(back - amount) <= {"MGA": 50, "BHD": 5, "JOD": 5, "KWD": 5, "OMR": 5, "TND": 5}.get(
        currency, 0
    )
    assert to_stripe(-amount, currency) == -sent


@pytest.mark.parametrize(
    ("currency", "least"),
    [("USD", 50), ("EUR", 50), ("GBP", 30), ("JPY", 50), ("HUF", 17_500), ("MXN", 1_000), ("CZK", 1_500)],
)
def test_documented_minimums(currency: str, least: int) -> None:
    assert minimum(currency) == least


def test_a_currency_without_a_documented_minimum_has_a_stated_one() -> None:
    assert len(MINIMUM) == 24
    assert [minimum(code) for code in ("ZAR", "KRW", "KWD", "ISK")] == [50, 50, 500, 50]
    assert all(to_stripe(minimum(code), code) > 0 for code in SUPPORTED)
    assert {exponent(code) for code in SUPPORTED} == {0, 2, 3}
