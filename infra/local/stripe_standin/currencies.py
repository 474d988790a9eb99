"""What Stripe counts in, and the least that it charges, per currency (amounts in Stripe's minor units)."""

from __future__ import annotations

from .errors import ApiError, invalid

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
WHOLE_UNITS_ONLY = frozenset("isk ugx".split())
"""Sent with two decimals for old times' sake although the currency has none: must end in 00."""
TWO_DECIMAL = frozenset(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf "
    "cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr "
    "isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn "
    "nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb "
    "tjs top try ttd twd tzs uah ugx uyu uzs wst xcd xcg yer zar zmw".split()
)
SUPPORTED = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL
MINIMUM = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
MAXIMUM = 99_999_999
MAXIMUM_ZERO_DECIMAL = 9_999_999_999


def exponent(currency: str) -> int:
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def minimum(currency: str) -> int:
    """The least chargeable amount. Where Stripe states none it converts half a dollar; here a round stand-in."""
    return MINIMUM.get(currency, {0: 50, 2: 50, 3: 150}[exponent(currency)])


def known(currency: str, *, param: str = "currency") -> str:
    """The code in lower case, or the refusal of a currency that Stripe does not support."""
    code = currency.lower()
    if code not in SUPPORTED:
        raise invalid(f"Invalid currency: {currency}. Stripe does not support this currency.", param=param)
    return code


def check_amount(amount: int, currency: str, *, param: str = "amount") -> None:
    """Refuse what Stripe would refuse: too small, too large, or finer than the currency can be paid."""
    if amount < 1:
        raise invalid(f"Invalid positive integer: {param} must be at least 1.", param=param,
                      code="parameter_invalid_integer")  # fmt: skip
    if amount < minimum(currency):
        raise too_small(currency, param)
    if amount > (MAXIMUM_ZERO_DECIMAL if exponent(currency) == 0 else MAXIMUM):
        raise invalid(
            f"Amount must be no more than {MAXIMUM} {currency}.", param=param, code="amount_too_large"
        )
    check_grain(amount, currency, param=param)


def check_grain(amount: int, currency: str, *, param: str = "amount") -> None:
    """Refuse an amount that the card networks cannot carry in this currency."""
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS_ONLY else 1
    if amount % step:
        raise invalid(f"Invalid amount: {currency} amounts must be divisible by {step}.", param=param)


def too_small(currency: str, param: str) -> ApiError:
    least = display(minimum(currency), currency)
    return invalid(f"Amount must be at least {least} {currency}", param=param, code="amount_too_small")


def display(amount: int, currency: str) -> str:
    """Digits with the currency's decimals, for messages: 50 usd -> 0.50."""
    places = exponent(currency)
    if places == 0:
        return str(amount)
    whole, rest = divmod(amount, 10**places)
    return f"{whole}.{rest:0{places}d}"
