"""What a line says of itself: its own inputs, to be computed again by whoever reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chalicelib.domain.adjustments import credit_line
from chalicelib.domain.calendar import Period
from chalicelib.domain.invoice import Line
from chalicelib.domain.pricing import PricingModel, Rate, Tier, rate
from chalicelib.domain.proration import Granularity, Parts
from chalicelib.entrypoints.explaining import Writer

AUGUST = Period(datetime(2023, 7, 31, 22, tzinfo=UTC), datetime(2023, 8, 31, 22, tzinfo=UTC))
STUB = Period(datetime(2023, 8, 20, 22, tzinfo=UTC), datetime(2023, 8, 31, 22, tzinfo=UTC))
BRITISH = Writer("EUR", "Europe/Berlin", "en-GB")


def line(amounts, quantity=1, description="Pro", **changes):
    steps = rate(amounts, quantity).steps
    made = Line(
        id="l",
        kind="recurring",
        description=description,
        product="pro",
        price_id="p",
        model=amounts.model,
        quantity=quantity,
        steps=steps,
        package_size=amounts.package_size,
        period=AUGUST,
    )
    return replace(made, **changes)


def unit(amount, model=PricingModel.PER_UNIT, **more):
    return Rate(model, amount, **more)


def tiers(model, *found):
    return Rate(model, tiers=tuple(Tier(*each) for each in found))


STAIRS = ((10, "1000", "200"), (None, "500", "300"))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            line(unit("2900"), description="Pro, 11 of 31 days", numerator=11, denominator=31, period=STUB),
            "Pro, 11 of 31 days, 21–31 Aug: 11 ÷ 31 × €29.00",
        ),
        (line(unit("2900", PricingModel.FLAT)), "Pro, 1–31 Aug: €29.00"),
        (line(unit("2900"), 4, "Pro × 4"), "Pro × 4, 1–31 Aug: 4 × €29.00"),
        (
            line(unit("0.25"), 1500, numerator=1, denominator=2),
            "Pro, 1–31 Aug: 1 ÷ 2 × 1,500 × €0.0025",
        ),
        (
            line(unit("500", PricingModel.PACKAGE, package_size=1000), 1500),
            "Pro, 1–31 Aug: 2 packages of 1,000 × €5.00",
        ),
        (
            line(unit("500", PricingModel.PACKAGE, package_size=10), 9),
            "Pro, 1–31 Aug: 1 package of 10 × €5.00",
        ),
        (line(unit("2.5", PricingModel.PERCENTAGE), 123_400), "Pro, 1–31 Aug: 2.5 % × €1,234.00"),
        (
            line(tiers(PricingModel.GRADUATED, *STAIRS), 12),
            "Pro, 1–31 Aug: 10 × €10.00 + €2.00 + 2 × €5.00 + €3.00",
        ),
        (
            line(tiers(PricingModel.GRADUATED, *STAIRS), 12, numerator=11, denominator=31),
            "Pro, 1–31 Aug: 11 ÷ 31 × (10 × €10.00 + €2.00 + 2 × €5.00 + €3.00)",
        ),
        (line(tiers(PricingModel.VOLUME, (10, "1000"), (None, "800")), 15), "Pro, 1–31 Aug: 15 × €8.00"),
        (
            line(unit("100000"), description="Pro, minimum", minimum="1000000", numerator=25, denominator=28),
            "Pro, minimum, 1–31 Aug: 25 ÷ 28 × €10,000.00 − 25 ÷ 28 × €1,000.00",
        ),
        (line(unit("2900"), period=None), "Pro: €29.00"),
    ],
)
def test_each_model_is_written_as_the_sum_that_it_is(found, sentence):
    assert BRITISH.sentence(found) == sentence


def test_what_is_given_back():
    billed = line(unit("871"), amount=871)
    part = {"id_": "c", "invoice_id": "inv", "description": "Unused Pro", "period": STUB}
    assert (
        BRITISH.sentence(credit_line(billed, Parts(20, 27), **part))
        == "Unused Pro, 21–31 Aug: −20 ÷ 27 × €8.71"
    )
    capped = credit_line(billed, Parts(20, 27), credited=500, **part)
    assert BRITISH.sentence(capped).endswith("−20 ÷ 27 × €8.71, of which €3.71 were left")


@pytest.mark.parametrize(
    ("language", "currency", "says"),
    [
        ("en", "USD", "Pro, Aug 1 – 31: 1,200 × $29.00"),
        ("de", "EUR", "Pro, 1.–31. Aug.: 1.200 × 29,00 €"),
        ("fr", "EUR", "Pro, 1–31 août: 1 200 × 29,00 €"),
        ("ja", "JPY", "Pro, 8月1日～31日: 1,200 × ￥2,900"),
        ("en-GB", "KWD", "Pro, 1–31 Aug: 1,200 × KWD 2.900"),
        ("tlh", "USD", "Pro, Aug 1 – 31: 1,200 × $29.00"),
    ],
)
def test_money_numbers_and_days_are_the_languages(language, currency, says):
    found = Writer(currency, "Europe/Berlin", language).sentence(line(unit("2900"), 1200))
    assert " ".join(found.split()) == says


def test_a_year_says_its_years_and_a_day_is_one_day():
    year = Period(AUGUST.start, datetime(2024, 7, 31, 22, tzinfo=UTC))
    assert " ".join(BRITISH.days(year).split()) == "1 Aug 2023 – 31 Jul 2024"
    assert BRITISH.days(Period(AUGUST.start, datetime(2023, 8, 1, 22, tzinfo=UTC))) == "1 Aug"
    assert BRITISH.days(Period(AUGUST.start, AUGUST.start)) == "1 Aug"


def test_seconds_are_counted_in_the_sum():
    found = line(unit("2900"), numerator=86_400, denominator=2_678_400, unit=Granularity.SECOND)
    assert BRITISH.sentence(found) == "Pro, 1–31 Aug: 86,400 ÷ 2,678,400 × €29.00"
