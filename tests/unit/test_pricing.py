from fractions import Fraction

import pytest

from chalicelib.domain.errors import ValidationError
from chalicelib.domain.money import round_half_away
from chalicelib.domain.pricing import PricingModel, Rate, RatedStep, Tier, rate, true_up

FLAT_AND_UNIT = Rate(
    PricingModel.GRADUATED,
    tiers=(Tier(10, "1000", "200"), Tier(20, "500", "300"), Tier(None, "500", "300")),
)
SEATS = Rate(
    PricingModel.GRADUATED,
    tiers=(Tier(50, "0"), Tier(100, "2000"), Tier(200, "1750"), Tier(None, "1500")),
)


def amounts(rated_by, quantities):
    return [rate(rated_by, quantity).amount for quantity in quantities]


def test_flat_costs_the_same_whatever_the_quantity():
    assert amounts(Rate(PricingModel.FLAT, "2900"), [0, 1, 7]) == [2900, 2900, 2900]


def test_per_unit_multiplies_and_stays_exact_below_the_minor_unit():
    assert amounts(Rate(PricingModel.PER_UNIT, "1200"), [0, 1, 5]) == [0, 1200, 6000]
    assert amounts(Rate(PricingModel.PER_UNIT, "0.000000000001"), [1]) == [Fraction(1, 10**12)]


def test_graduated_with_flat_fees():
    assert amounts(FLAT_AND_UNIT, [0, 1, 10, 11, 12, 21]) == [200, 1200, 10200, 11000, 11500, 16300]


def test_graduated_without_flat_fees():
    tiers = (Tier(100, "10"), Tier(500, "5"), Tier(None, "2"))
    by_use = Rate(PricingModel.GRADUATED, tiers=tiers)
    assert amounts(by_use, [0, 50, 100, 250, 500, 1000]) == [0, 500, 1000, 1750, 3000, 4000]


def test_graduated_seats_beside_a_base_price():
    assert [20000 + amount for amount in amounts(SEATS, [1, 50, 51])] == [20000, 20000, 22000]
    assert [99900 + amount for amount in amounts(SEATS, [100, 143])] == [199900, 275150]


def test_graduated_explains_itself_by_tier():
    assert rate(FLAT_AND_UNIT, 12).steps == (
        RatedStep(10, "1000", "200", up_to=10),
        RatedStep(2, "500", "300", up_to=20),
    )


def test_volume_prices_every_unit_by_the_tier_reached():
    seats = Rate(PricingModel.VOLUME, tiers=(Tier(10, "1000"), Tier(None, "800")))
    assert amounts(seats, [0, 5, 10, 11, 15]) == [0, 5000, 10000, 8800, 12000]


def test_volume_rounds_up_to_the_billing_unit_before_it_selects_the_tier():
    tokens = Rate(PricingModel.VOLUME, billing_unit=1000, tiers=(Tier(100_000, "0.1"), Tier(None, "0.05")))
    assert amounts(tokens, [1500, 50_000, 99_500, 150_000]) == [200, 5000, 10_000, 7500]
    assert amounts(tokens, [100_001]) == [5050]


def test_package_rounds_up_to_whole_packages():
    mails = Rate(PricingModel.PACKAGE, "500", package_size=100)
    assert amounts(mails, [0, 1, 100, 101, 250]) == [0, 500, 500, 1000, 1500]


def test_percentage_of_an_amount_in_minor_units():
    fee = Rate(PricingModel.PERCENTAGE, "2.9")
    assert amounts(fee, [0, 1000, 12345]) == [0, 29, Fraction(358005, 1000)]
    assert rate(fee, 1000).steps == (RatedStep(1000, "2.9", per=100),)


def test_the_included_allowance_comes_off_before_rounding_up():
    calls = Rate(PricingModel.PER_UNIT, "1", included=500, billing_unit=1000)
    assert amounts(calls, [400, 500, 501, 1500, 1501]) == [0, 0, 1000, 1000, 2000]


def test_the_amount_is_the_sum_that_its_steps_recompute():
    for quantity in range(60):
        rated = rate(FLAT_AND_UNIT, quantity)
        by_hand = sum(
            step.quantity * Fraction(step.unit_amount) / step.per + Fraction(step.flat_amount)
            for step in rated.steps
        )
        assert rated.amount == by_hand
        assert sum(step.quantity for step in rated.steps) == quantity


def test_a_committed_minimum_is_trued_up_from_two_rounded_sides():
    share = Fraction(25, 28)
    assert true_up(1_000_000 * share, 100_000 * share) == 803_571
    assert true_up(1_000_000, 100_000) == 900_000
    assert true_up(233_700, 1625) + 1625 == 233_700
    assert true_up(100, 101) == 0
    assert true_up(Fraction(21, 2), Fraction(2, 5)) == 11


@pytest.mark.parametrize("quantity", [-1, 1.5, True, "2", None])
def test_a_quantity_is_a_whole_number(quantity):
    with pytest.raises(ValidationError) as caught:
        rate(Rate(PricingModel.PER_UNIT, "1"), quantity)
    assert caught.value.field == "quantity"


@pytest.mark.parametrize(
    ("made_of", "field"),
    [
        ({"model": PricingModel.FLAT}, "unit_amount"),
        ({"model": PricingModel.PER_UNIT, "unit_amount": "-1"}, "unit_amount"),
        ({"model": PricingModel.FLAT, "unit_amount": "1", "tiers": (Tier(None, "1"),)}, "tiers"),
        ({"model": PricingModel.VOLUME}, "tiers"),
        ({"model": PricingModel.VOLUME, "unit_amount": "1", "tiers": (Tier(None, "1"),)}, "unit_amount"),
        ({"model": PricingModel.GRADUATED, "tiers": (Tier(10, "1"),)}, "tiers[0].up_to"),
        ({"model": PricingModel.GRADUATED, "tiers": (Tier(None, "1"), Tier(None, "1"))}, "tiers[0].up_to"),
        ({"model": PricingModel.VOLUME, "tiers": (Tier(5, "1"), Tier(5, "1"), Tier(None, "1"))},
         "tiers[1].up_to"),
        ({"model": PricingModel.GRADUATED, "tiers": (Tier(0, "1"), Tier(None, "1"))}, "tiers[0].up_to"),
        ({"model": PricingModel.GRADUATED, "tiers": (Tier(5, "1"), Tier(None, "x"))}, "tiers[1].unit_amount"),
        ({"model": PricingModel.GRADUATED, "tiers": (Tier(None, "1", "1e2"),)}, "tiers[0].flat_amount"),
        ({"model": PricingModel.PACKAGE, "unit_amount": "1", "package_size": 0}, "package_size"),
        ({"model": PricingModel.PER_UNIT, "unit_amount": "1", "billing_unit": 0}, "billing_unit"),
        ({"model": PricingModel.PER_UNIT, "unit_amount": "1", "included": -1}, "included"),
    ],
)  # fmt: skip
def test_a_rate_that_cannot_be_priced_is_refused_by_its_path(made_of, field):
    with pytest.raises(ValidationError) as caught:
        Rate(**made_of)
    assert caught.value.field == field


def test_rounding_is_left_to_the_line():
    assert round_half_away(rate(Rate(PricingModel.PER_UNIT, "0.5"), 465).amount) == 233
