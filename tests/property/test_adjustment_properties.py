"""Coupons, tax and credits for any invoice, in currencies of no, two and three decimals: nothing is lost or made."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.adjustments import adjusted, credit_line
from chalicelib.domain.discount import Coupon, Duration, Redemption
from chalicelib.domain.invoice import Line
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import TaxTerms, tax_on
from chalicelib.domain.tax_rates import TaxRule

START = datetime(2026, 3, 1, tzinfo=UTC)
PRODUCTS = ("pro", "storage", "support")
CURRENCIES = st.sampled_from(("JPY", "USD", "KWD"))


def _line(index: int, product: str, amount: int) -> Line:
    return Line(
        id=f"l{index}",
        kind="recurring",
        description=product,
        product=product,
        price_id=product,
        model="flat",
        quantity=1,
        steps=(),
        amount=amount,
    )


LINES = st.lists(st.tuples(st.sampled_from(PRODUCTS), st.integers(0, 10**9)), min_size=1, max_size=8).map(
    lambda found: tuple(_line(index, *each) for index, each in enumerate(found))
)
PERCENT = st.integers(1, 100_000_000).map(lambda millionths: f"{millionths // 10**6}.{millionths % 10**6:06}")
RATE = st.integers(0, 100_000).map(lambda thousandths: f"{thousandths // 1000}.{thousandths % 1000:03}")
PLANS = st.sampled_from(((), ("pro",), ("pro", "storage")))


@st.composite
def _coupons(draw: st.DrawFn, currency: str) -> tuple[Redemption, ...]:
    found = []
    for index in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            coupon = Coupon(id=f"c{index}", percent=draw(PERCENT), plans=draw(PLANS))
        else:
            amount = draw(st.integers(1, 10**9))
            coupon = Coupon(
                id=f"c{index}",
                amount=amount,
                currency=currency,
                plans=draw(PLANS),
                duration=Duration.FOREVER,
            )
        found.append(Redemption(coupon=coupon, at=START))
    return tuple(found)


@st.composite
def _invoices(draw: st.DrawFn) -> tuple[Line, ...]:
    currency = draw(CURRENCIES)
    rules = tuple(
        TaxRule(country="FR", rate=draw(RATE), inclusive=draw(st.booleans()), products=(product,))
        for product in PRODUCTS[: draw(st.integers(0, 3))]
    )
    return adjusted(
        draw(LINES),
        draw(_coupons(currency)),
        currency=currency,
        period_start=START,
        tax=TaxTerms(rules=rules),
    ).lines


@given(_invoices())
def test_no_line_falls_below_zero_and_shares_add_up(lines):
    for line in lines:
        assert 0 <= line.discount <= line.amount
        assert line.discount == sum(share.amount for share in line.discounts)
        assert min(line.net, line.tax, line.total) >= 0
    by_order = defaultdict(set)
    for line in lines:
        for share in line.discounts:
            by_order[share.order].add((share.coupon, share.percent, share.fixed))
    assert sorted(by_order) == list(range(1, len(by_order) + 1))
    assert all(len(terms) == 1 for terms in by_order.values())


@given(_invoices())
def test_the_tax_of_a_rate_is_that_of_the_sum_whatever_the_lines(lines):
    groups = defaultdict(list)
    for line in lines:
        groups[line.tax_rate, line.tax_inclusive].append(line)
    for (rate, inclusive), members in groups.items():
        base = sum(line.amount - line.discount for line in members)
        assert sum(line.tax for line in members) == tax_on(base, rate, inclusive=inclusive)


@given(_invoices(), st.lists(st.tuples(st.integers(0, 40), st.integers(1, 31)), max_size=6))
def test_giving_everything_back_comes_to_exactly_zero(lines, parts):
    """In any number of parts; none of them ever more than is left of the line."""
    for line in lines:
        net, tax = 0, 0
        for part in [*parts, (1, 1)]:
            credit = credit_line(
                line,
                Parts(*part),
                id_="c",
                invoice_id="inv",
                description="",
                credited=-net,
                credited_tax=-tax,
            )
            assert credit.amount <= 0
            assert credit.tax <= 0
            assert (credit.discount, credit.discounts) == (0, ())
            net, tax = net + credit.amount, tax + credit.tax
            assert -net <= line.left
            assert -tax <= line.tax
        assert (line.left + net, line.tax + tax) == (0, 0)
