"""What counts as a card number, and how rarely anything else does."""

from __future__ import annotations

import random

import pytest

from chalicelib.entrypoints.http.card_numbers import is_card_number, refuse_card_numbers
from chalicelib.entrypoints.http.problems import CardNumberError

CARDS = {
    "Visa": "4242424242424242",
    "Visa of 13": "4222222222222",
    "Visa of 19": "4000000000000000006",
    "Visa debit": "4000056655665556",
    "Mastercard": "5555555555554444",
    "Mastercard of the 2 series": "2223003122003222",
    "Mastercard prepaid": "5105105105105100",
    "American Express": "378282246310005",
    "American Express 34": "343434343434343",
    "Discover": "6011111111111117",
    "Discover 65": "6510000000000000",
    "Diners Club of 14": "36227206271667",
    "Diners Club": "3056930009020004",
    "JCB": "3566002020360505",
    "UnionPay": "6200000000000005",
    "UnionPay debit": "6200000000000047",
    "UnionPay of 19": "6205500000000000004",
    "Maestro": "6759649826438453",
    "Maestro 50": "5018000000000009",
    "Elo": "5067310000000010",
    "Hipercard": "6062826786276634",
    "RuPay": "6073840000000008",
    "Mir": "2201382000000013",
    "Troy": "9792000000000003",
}
"""Numbers that networks and processors publish for tests."""


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_every_networks_numbers_are_refused(number: str) -> None:
    assert is_card_number(number)
    spaced = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    for text in (number, spaced, f"card: {spaced}.", spaced.replace(" ", "-")):
        with pytest.raises(CardNumberError):
            refuse_card_numbers({"note": [text]})
    with pytest.raises(CardNumberError):
        refuse_card_numbers({"note": int(number)})


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_one_wrong_digit_is_no_card(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    refuse_card_numbers({"note": wrong})


@pytest.mark.parametrize(
    "text",
    [
        "0000000000000000",  # a right check digit, of no network
        "1741000000007",  # milliseconds
        "0012345678905",  # an article number
        "9780306406152",  # a book's
        "+4915123456782",  # a phone's
        "+44 7911 123 4562",
        "1234567890123452",
    ],
)
def test_other_numbers_with_a_right_check_digit_pass(text: str) -> None:
    refuse_card_numbers({"note": text})


def test_a_plus_hides_no_card() -> None:
    with pytest.raises(CardNumberError):
        refuse_card_numbers({"note": "+4242424242424242"})


@pytest.mark.parametrize(("length", "most"), [(13, 0.03), (14, 0.02), (15, 0.02), (16, 0.04), (17, 0.02)])
def test_numbers_at_random_are_rarely_taken_for_a_card(length: int, most: float) -> None:
    draw = random.Random(length)
    numbers = [str(draw.randrange(10 ** (length - 1), 10**length)) for _ in range(5000)]
    assert sum(map(is_card_number, numbers)) / len(numbers) < most
