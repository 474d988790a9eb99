from fractions import Fraction

import pytest

from chalicelib.domain.errors import CurrencyMismatchError, ValidationError
from chalicelib.domain.money import (
    Money,
    allocate,
    from_major,
    parse_unit_amount,
    round_half_away,
    sum_money,
)


def test_money_adds_subtracts_negates_and_compares():
    assert Money(1000, "USD") + Money(-250, "USD") == Money(750, "USD")
    assert Money(1000, "USD") - Money(250, "USD") == Money(750, "USD")
    assert -Money(5, "JPY") == Money(-5, "JPY")
    assert Money(1, "KWD") < Money(2, "KWD") <= Money(2, "KWD")
    assert Money(3, "KWD") > Money(2, "KWD") >= Money(2, "KWD")
    assert not Money(2, "KWD") < Money(2, "KWD")


def test_money_is_true_when_it_is_not_zero():
    assert Money(-1, "USD")
    assert not Money.zero("USD")


@pytest.mark.parametrize(
    "meet",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
        lambda a, b: sum_money([a, b], "USD"),
        lambda a, b: sum_money([b], "USD"),
    ],
)
def test_two_currencies_never_meet(meet):
    with pytest.raises(CurrencyMismatchError) as caught:
        meet(Money(1, "USD"), Money(1, "EUR"))
    assert caught.value.ids == {"expected": "USD", "found": "EUR"}


def test_equal_amounts_of_two_currencies_are_not_equal():
    assert Money(1, "USD") != Money(1, "EUR")


@pytest.mark.parametrize("amount", [1.0, True, "1", Fraction(1)])
def test_an_amount_is_nothing_but_an_int(amount):
    with pytest.raises(TypeError):
        Money(amount, "USD")


@pytest.mark.parametrize("other", [1, 0, None])
def test_money_does_not_mix_with_bare_numbers(other):
    with pytest.raises(TypeError):
        Money(1, "USD") + other


@pytest.mark.parametrize("currency", ["usd", "XYZ", "", "XAU"])
def test_a_currency_is_an_upper_case_iso_code(currency):
    with pytest.raises(ValidationError) as caught:
        Money(1, currency)
    assert caught.value.field == "currency"


def test_sum_money_of_nothing_is_zero_in_its_currency():
    assert sum_money([], "JPY") == Money.zero("JPY")
    assert sum_money([Money(1, "JPY"), Money(2, "JPY")], "JPY") == Money(3, "JPY")


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (Fraction(465, 2), 233),
        (Fraction(-465, 2), -233),
        (Fraction(1, 2), 1),
        (Fraction(-1, 2), -1),
        (Fraction(5, 2), 3),
        (Fraction(49999, 100000), 0),
        (Fraction(-49999, 100000), 0),
        (Fraction(2, 3), 1),
        (Fraction(10**30 + 1, 2), (10**30 + 2) // 2),
        (7, 7),
        (-7, -7),
        (0, 0),
    ],
)
def test_rounding_is_half_away_from_zero(value, rounded):
    assert round_half_away(value) == rounded
    assert type(round_half_away(value)) is int


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (10000, (1, 1, 1), (3334, 3333, 3333)),
        (-10000, (1, 1, 1), (-3334, -3333, -3333)),
        (12, (200, 100), (8, 4)),
        (100, (100, 200), (33, 67)),
        (1500, (1000, 1000), (750, 750)),
        (750, (300, 1200), (150, 600)),
        (2500, (1000, 1000), (1250, 1250)),
        (1000, (10000, 5000, 3000, 2000), (500, 250, 150, 100)),
        (2, (1, 1, 1, 1), (1, 1, 0, 0)),
        (7, (0, 5, 0), (0, 7, 0)),
        (5, (0, 1, 1), (0, 3, 2)),
        (0, (1, 2), (0, 0)),
        (0, (0, 0), (0, 0)),
        (0, (), ()),
    ],
)
def test_allocation_is_by_largest_remainder_and_ties_go_first(amount, weights, parts):
    assert allocate(amount, weights) == parts


@pytest.mark.parametrize(("amount", "weights"), [(1, (0, 0)), (1, ()), (5, (2, -1)), (0, (-1,))])
def test_allocation_refuses_what_it_cannot_split(amount, weights):
    with pytest.raises(ValueError, match=r"weights"):
        allocate(amount, weights)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("1900", Fraction(1900)),
        ("0", Fraction(0)),
        ("0.25", Fraction(1, 4)),
        ("0.000000000001", Fraction(1, 10**12)),
        ("999999999999999", Fraction(999999999999999)),
        ("1.50", Fraction(3, 2)),
    ],
)
def test_unit_amounts_are_exact_minor_units(text, exact):
    assert parse_unit_amount(text) == exact


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 ", " 1", "1\n", "+1", "-1", "-0", "1e3", "1E3", ".5", "1.", "01", "00", "1,000", "1_000",
        "1/2", "0x1", "NaN", "Infinity", "1.0000000000001", "1000000000000000", "١", "½", "1.2.3",
        5, 1.5, None,
    ],
)  # fmt: skip
def test_unit_amounts_in_any_other_notation_are_refused(text):
    with pytest.raises(ValidationError) as caught:
        parse_unit_amount(text)
    assert caught.value.field == "unit_amount"
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("100.50", "KWD", 100500),
        ("100.50", "EUR", 10050),
        ("100", "JPY", 100),
        ("0.001", "KWD", 1),
        ("0.0001", "CLF", 1),
    ],
)
def test_major_units_become_minor_units_by_the_currency(text, currency, amount):
    assert from_major(text, currency) == Money(amount, currency)


@pytest.mark.parametrize(("text", "currency"), [("100.5", "JPY"), ("1.001", "USD"), ("-1", "USD")])
def test_major_units_finer_than_the_minor_unit_are_refused(text, currency):
    with pytest.raises(ValidationError) as caught:
        from_major(text, currency)
    assert caught.value.field == "amount"
