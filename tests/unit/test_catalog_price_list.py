"""The price list: currencies, fall-backs, savings, and amounts written for people."""

from __future__ import annotations

import pytest

from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog import Catalog, Plan, Price
from chalicelib.domain.price_list import price_list, yearly_saving
from chalicelib.domain.pricing import PricingModel, Rate
from chalicelib.entrypoints.formatting import format_amount, format_number


def price(currency, unit, amount, count=1):
    rate = Rate(PricingModel.FLAT, amount)
    return Price(
        id=f"p_{count}{unit}_{currency}",
        plan="p",
        currency=currency,
        interval=Interval.of(unit, count),
        rate=rate,
    )


def listed(*prices, currency=None, **fields):
    plan = Plan(id="p", name="P", rank=1, prices=prices, **fields)
    return price_list(Catalog(version=1, plans=(plan,)), currency)


def test_prices_run_from_the_shortest_interval_to_the_longest():
    prices = (price("USD", "year", "1000"), price("USD", "month", "100"), price("USD", "month", "290", 3))
    offer = listed(*prices).plans[0]
    assert [str(each.interval) for each in offer.prices] == ["month", "3 months", "year"]


def test_a_missing_currency_falls_back_to_the_default_one():
    shown = listed(price("USD", "month", "100"), currency="EUR")
    assert (shown.currency, shown.plans[0].currency, shown.plans[0].is_fallback) == ("EUR", "USD", True)


def test_a_free_plan_needs_no_fall_back():
    offer = listed(currency="EUR").plans[0]
    assert (offer.currency, offer.is_fallback, offer.prices) == ("EUR", False, ())


def test_hidden_plans_are_left_out_and_the_rest_is_ordered_by_rank():
    plans = tuple(
        Plan(id=name, name=name, rank=rank, public=rank != 2) for name, rank in (("c", 3), ("a", 1), ("b", 2))
    )
    assert [offer.product.id for offer in price_list(Catalog(plans=plans)).plans] == ["a", "c"]


@pytest.mark.parametrize(
    ("monthly", "yearly", "saving"),
    [
        ("100", "1000", 16),
        ("100", "1200", None),
        ("100", "1300", None),
        ("1000", "11999", None),
        ("0.5", "3", 50),
    ],
)
def test_a_saving_is_never_overstated(monthly, yearly, saving):
    offer = listed(price("USD", "month", monthly), price("USD", "year", yearly)).plans[0]
    assert yearly_saving(offer) == saving


def test_without_both_intervals_there_is_no_saving_to_show():
    assert yearly_saving(listed(price("USD", "month", "100")).plans[0]) is None


@pytest.mark.parametrize(
    ("amount", "currency", "language", "full", "short"),
    [
        ("1900", "USD", "en", "$19.00", "$19"),
        ("1950", "USD", "en", "$19.50", "$19.50"),
        ("290000", "EUR", "de", "2.900,00 €", "2.900 €"),
        ("2900", "JPY", "en", "¥2,900", "¥2,900"),
        ("1900", "KWD", "en", "KWD 1.900", "KWD 1.900"),
        ("0.25", "USD", "en", "$0.0025", "$0.0025"),
        ("12345.5", "USD", "en", "$123.455", "$123.455"),
        ("123456700", "INR", "hi-IN", "₹12,34,567.00", "₹12,34,567"),
        ("1900", "EUR", "tlh", "€19.00", "€19"),
        ("1900", "EUR", "de-QQ", "19,00 €", "19 €"),
    ],
)
def test_amounts_are_written_with_all_their_digits(amount, currency, language, full, short):
    assert format_amount(amount, currency, language).replace("\xa0", " ") == full
    assert format_amount(amount, currency, language, short=True).replace("\xa0", " ") == short


def test_numbers_are_grouped():
    assert format_number(5000000) == "5,000,000"
