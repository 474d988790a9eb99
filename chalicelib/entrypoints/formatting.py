"""Amounts as people write them, by Unicode's locale data."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chalicelib.domain.currencies import exponent

if TYPE_CHECKING:
    from babel import Locale

DEFAULT_LANGUAGE: Final = "en"


def format_amount(
    unit_amount: str, currency: str, language: str = DEFAULT_LANGUAGE, *, short: bool = False
) -> str:
    """`unit_amount` minor units (a decimal string, possibly finer than one) of `currency`: "€1,900.00".

    All of its digits are shown. `short` leaves out a fraction of nothing but zeros: "€1,900".
    """
    # the import costs a cold start that never formats
    from babel.numbers import format_currency, get_currency_symbol

    places = exponent(currency)
    amount = Decimal(unit_amount).scaleb(-places)
    is_whole = amount == amount.to_integral_value()
    digits = 0 if short and is_whole else max(places, -_exponent_of(amount))
    locale = _locale(language)
    pattern = locale.currency_formats["standard"].pattern
    if get_currency_symbol(currency, locale)[-1:].isalpha():
        pattern = pattern.replace("¤#", "¤\u00a0#")  # KWD 2.900 and $2.90
    return str(
        format_currency(
            amount,
            currency,
            format=_with_digits(pattern, digits),
            locale=locale,
            currency_digits=False,
        )
    )


def format_number(number: int, language: str = DEFAULT_LANGUAGE) -> str:
    """With the language's grouping: 50,000."""
    from babel.numbers import format_decimal

    return str(format_decimal(number, locale=_locale(language)))


def format_percent(percent: str, language: str = DEFAULT_LANGUAGE) -> str:
    """A decimal string in percent, all of its digits: "19%", "8,875 %"."""
    from babel.numbers import format_percent as written

    return str(written(Decimal(percent).scaleb(-2), locale=_locale(language), decimal_quantization=False))


def format_day(day: date, language: str = DEFAULT_LANGUAGE) -> str:
    """August 21, 2026."""
    from babel.dates import format_date

    return str(format_date(day, format="long", locale=_locale(language)))


def format_country(code: str, language: str = DEFAULT_LANGUAGE) -> str:
    """A country's name by its ISO 3166-1 alpha-2 code; the code where it has none."""
    return str(_locale(language).territories.get(code, code))


def format_days(first: date, last: date, language: str = DEFAULT_LANGUAGE, *, with_year: bool = False) -> str:
    """From one day to another, both in it: "Aug 21 – 31", with the years where there are two."""
    from babel.dates import format_interval

    skeleton = "MMMd" if first.year == last.year and not with_year else "yMMMd"
    return str(format_interval(first, last, skeleton, locale=_locale(language)))


def _exponent_of(amount: Decimal) -> int:
    exponent_of = amount.normalize().as_tuple().exponent
    assert isinstance(exponent_of, int)
    return min(0, exponent_of)


def _with_digits(pattern: str, digits: int) -> str:
    """A number pattern (`¤#,##0.00`) with another count of decimals, in each of its two halves."""
    return pattern.replace("0.00", "0." + "0" * digits if digits else "0")


@lru_cache(maxsize=256)
def _locale(language: str) -> Locale:
    """The nearest known locale: the package that ships carries only some."""
    from babel import Locale, UnknownLocaleError

    for tag in (language, language.partition("-")[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse(DEFAULT_LANGUAGE)
