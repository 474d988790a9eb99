"""Amounts: integers in the currency's minor unit, the one rounding, and splitting without loss."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from chalicelib.domain.currencies import exponent, is_currency
from chalicelib.domain.errors import CurrencyMismatchError, ValidationError


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` minor units (cents, yen, fils) of an ISO 4217 `currency`; negative is allowed.

    Sums and order comparisons across currencies raise CurrencyMismatchError; equality is just False.
    A `bool()` is whether the amount differs from zero.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise TypeError(f"an amount is an int of minor units, not {type(self.amount).__name__}")
        if not is_currency(self.currency):
            exponent(self.currency)  # raises the explanation

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def _same(self, other: Money) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"Money meets only Money, not {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatchError(
                f"{self.currency} and {other.currency} cannot meet in one sum",
                expected=self.currency,
                found=other.currency,
            )
        return other.amount


def sum_money(items: Iterable[Money], currency: str) -> Money:
    """The sum in `currency`, zero when there are no items; another currency raises CurrencyMismatchError."""
    total = Money.zero(currency)
    for item in items:
        total += item
    return total


def round_half_away(value: Fraction | int) -> int:
    """The only rounding in the code base: to the nearest integer, halves away from zero.

    232.5 → 233, −232.5 → −233. Call it once per line, on the exact amount.
    """
    size, whole = abs(value.numerator), value.denominator
    nearest = (2 * size + whole) // (2 * whole)
    return nearest if value >= 0 else -nearest


def allocate(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `amount` (minor units, any sign) in proportion to `weights`; the parts always add up to it.

    Largest remainder; of equal remainders the first gets the unit. A zero weight gets nothing. Raises
    ValueError for a negative weight, and when there is something to split but no weight to carry it.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("weights are not negative")
    total = sum(weights)
    if total == 0:
        if amount:
            raise ValueError("nothing carries the amount: all weights are zero")
        return (0,) * len(weights)
    shares = [divmod(abs(amount) * weight, total) for weight in weights]
    parts = [whole for whole, _ in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: -shares[index][1])
    for index in by_remainder[: abs(amount) - sum(parts)]:
        parts[index] += 1
    return tuple(parts) if amount >= 0 else tuple(-part for part in parts)


_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]+))?")
_UNIT_PLACES: Final = 12
_PERCENT_PLACES: Final = 6
_WHOLE: Final = 100


def parse_unit_amount(text: str) -> Fraction:
    """A unit price as an exact number of MINOR units: "1900" is 19.00 USD, "0.25" a quarter of a cent.

    Plain decimal notation of up to 15 digits and 12 decimal places, not negative. Signs, exponents, spaces,
    leading zeros and thousands separators raise ValidationError.
    """
    return _parse_decimal(text, places=_UNIT_PLACES, field="unit_amount")


def parse_percent(text: str, *, field: str = "percent") -> Fraction:
    """A percentage from "0" to "100" with up to 6 decimal places, as an exact share: "12.5" is an eighth.

    Another notation, or more than 100, raises ValidationError.
    """
    percent = _parse_decimal(text, places=_PERCENT_PLACES, field=field)
    if percent > _WHOLE:
        raise ValidationError(f"{text} is more than 100 per cent", field=field, fix="send 0 to 100")
    return percent / _WHOLE


def from_major(text: str, currency: str) -> Money:
    """Money written in major units, exactly: "100.50" is 10050 in EUR and 100500 in KWD.

    Raises ValidationError when the text is finer than the currency's minor unit, or not a plain decimal.
    """
    places = exponent(currency)
    exact = _parse_decimal(text, places=places, field="amount") * 10**places
    return Money(exact.numerator, currency)


def _parse_decimal(text: str, *, places: int, field: str) -> Fraction:
    match = _DECIMAL.fullmatch(text) if isinstance(text, str) else None
    if match is None or len(match[2] or "") > places:
        raise ValidationError(
            f"{text!r} is not a plain decimal number of at most {places} decimal places",
            field=field,
            fix='Send a string such as "1900" or "0.25": no sign, exponent, space or leading zero.',
        )
    return Fraction(text)
