"""How many decimals each ISO 4217 currency has.

The table is ISO 4217 list one (SIX, published 2026-01-01), without the codes that have no minor unit
(metals, funds, testing). A unit test compares it with a maintained library. What a payment processor
counts in is another table, kept beside that processor.
"""

from typing import Final

from chalicelib.domain.errors import ValidationError


def exponent(currency: str) -> int:
    """Decimals between the major and the minor unit: JPY 0, USD 2, KWD 3.

    Raises ValidationError for a code that is not a current ISO 4217 currency; codes are upper case.
    """
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise ValidationError(
            f"{currency!r} is not an ISO 4217 currency code",
            field="currency",
            fix="Use an upper-case ISO 4217 code such as USD.",
        ) from None


def is_currency(code: str) -> bool:
    """Whether the code is a current ISO 4217 currency with a minor unit."""
    return code in _EXPONENTS


_CODES_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
        "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
        "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
        "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
        "PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP "
        "TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

_EXPONENTS: Final = {code: digits for digits, codes in _CODES_BY_EXPONENT.items() for code in codes.split()}
