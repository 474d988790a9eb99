"""Card numbers have no place here: a body that holds what could be one is refused, wherever it stands.

A number counts as a card's when its first digits belong to a card network, its length is one of that network's,
and its check digit is right. Order numbers, phone numbers and times in milliseconds rarely are all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from chalicelib.entrypoints.http.problems import CardNumberError

SHORTEST, LONGEST = 13, 19
_LONGEST_PHONE = 15
_DIGIT_GROUPS = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ \-.][0-9]+)*(?![0-9A-Za-z])")

_NETWORKS: tuple[tuple[tuple[str, ...], range | tuple[int, ...]], ...] = (
    (("4",), (13, 16, 19)),  # Visa
    (("51-55", "2221-2720"), (16,)),  # Mastercard
    (("34", "37"), (15,)),  # American Express
    (("6011", "644-649", "65"), range(16, 20)),  # Discover
    (("300-305", "3095", "36", "38-39"), range(14, 20)),  # Diners Club
    (("3528-3589",), range(16, 20)),  # JCB
    (("62", "81"), range(16, 20)),  # UnionPay
    (("50", "56-58", "60", "63", "67"), range(13, 20)),  # Maestro, Elo, RuPay, Verve, Hipercard, InstaPayment
    (("2200-2204",), range(16, 20)),  # Mir
    (("82", "508", "9792"), (16,)),  # RuPay, Troy
)
"""Issuer prefixes (ISO/IEC 7812) with the lengths in use; `51-55` is a range of prefixes of one length."""


def refuse_card_numbers(value: Any) -> None:
    """CardNumberError, naming the field, for JSON values that hold a card number in a value or a name, as text
    however spaced or as a number.
    """
    for path, text in _scalars(value, ""):
        if any(is_card_number(run) for run in _digit_runs(text)):
            raise CardNumberError(
                "this looks like a card number, and card numbers must never be sent here",
                field=path or None,
                fix="collect cards on the hosted checkout page",
            )


def is_card_number(digits: str) -> bool:
    """Whether these digits alone could be a card's number."""
    return _luhn(digits) and any(
        len(digits) in lengths and any(_begins(digits, prefix) for prefix in prefixes)
        for prefixes, lengths in _NETWORKS
    )


def _begins(digits: str, prefix: str) -> bool:
    first, _, last = prefix.partition("-")
    return first <= digits[: len(first)] <= (last or first)


def _scalars(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield path, name
            yield from _scalars(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _scalars(each, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value
    elif isinstance(value, int) and 10 ** (SHORTEST - 1) <= abs(value) < 10**LONGEST:
        yield path, str(abs(value))


def _digit_runs(text: str) -> Iterator[str]:
    """Every run of 13 to 19 digits made of whole groups: `4242 4242 4242 4242` is one number. A number that
    begins with `+` is a phone's as long as one may be.
    """
    if len(text) < SHORTEST:
        return
    for match in _DIGIT_GROUPS.finditer(text):
        groups = re.split(r"[ \-.]", match[0])
        dialled = text[max(match.start() - 1, 0) : match.start()] == "+"
        for first in range(len(groups)):
            run = ""
            for group in groups[first:]:
                run += group
                if len(run) > LONGEST:
                    break
                if len(run) >= SHORTEST and not (dialled and first == 0 and len(run) <= _LONGEST_PHONE):
                    yield run


def _luhn(digits: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + index % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0
