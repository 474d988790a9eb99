from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chalicelib.domain.money import Money, allocate, parse_unit_amount, round_half_away, sum_money

amounts = st.integers(-(10**15), 10**15)
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any)
exact = st.fractions(max_denominator=10**6)


@settings(max_examples=200, deadline=None)
@given(amount=amounts, weights=weights)
def test_the_parts_are_the_whole_and_each_within_one_of_its_exact_share(amount, weights):
    parts = allocate(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1
        assert weight or part == 0


@settings(max_examples=100, deadline=None)
@given(amount=amounts, weights=weights)
def test_a_credit_is_split_as_the_charge_was(amount, weights):
    assert allocate(-amount, weights) == tuple(-part for part in allocate(amount, weights))


@settings(max_examples=100, deadline=None)
@given(amount=st.integers(0, 10**9), lines=st.integers(1, 40))
def test_over_equal_lines_the_first_ones_carry_the_odd_units(amount, lines):
    parts = allocate(amount, [1] * lines)
    assert list(parts) == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


@settings(max_examples=300, deadline=None)
@given(value=exact)
def test_rounding_is_symmetric_and_nearest(value):
    rounded = round_half_away(value)
    assert round_half_away(-value) == -rounded
    assert abs(rounded - value) <= Fraction(1, 2)


@settings(max_examples=100, deadline=None)
@given(whole=st.integers(0, 10**12))
def test_halves_go_away_from_zero(whole):
    assert round_half_away(whole + Fraction(1, 2)) == whole + 1
    assert round_half_away(-whole - Fraction(1, 2)) == -whole - 1


@settings(max_examples=100, deadline=None)
@given(first=exact, second=exact)
def test_rounding_keeps_the_order(first, second):
    assume(first <= second)
    assert round_half_away(first) <= round_half_away(second)


@settings(max_examples=200, deadline=None)
@given(digits=st.integers(0, 10**15 - 1), places=st.integers(0, 12), data=st.data())
def test_a_decimal_string_is_read_exactly(digits, places, data):
    fraction = data.draw(st.integers(0, 10**places - 1))
    text = f"{digits}.{fraction:0{places}d}" if places else str(digits)
    assert parse_unit_amount(text) == digits + Fraction(fraction, 10**places)


@settings(max_examples=100, deadline=None)
@given(items=st.lists(amounts, max_size=20))
def test_a_sum_and_its_reversal_cancel(items):
    total = sum_money((Money(item, "USD") for item in items), "USD")
    assert total == Money(sum(items), "USD")
    assert not total - total
