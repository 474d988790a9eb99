"""Any invoice that opens is what its lines say, to the last unit, and never comes to less than nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.codec import decode, encode
from chalicelib.domain.adjustments import credit_line
from chalicelib.domain.billing import Occasion, open_invoice
from chalicelib.domain.calendar import Interval, Period
from chalicelib.domain.catalog import Price, Timing
from chalicelib.domain.customer import Credit
from chalicelib.domain.discount import Coupon, Duration, Redemption
from chalicelib.domain.explanation import check, explain
from chalicelib.domain.invoice import Cause, CauseKind, Invoice, Line
from chalicelib.domain.line_items import lines_of
from chalicelib.domain.pricing import PricingModel, Rate, Tier
from chalicelib.domain.proration import Granularity, Parts
from chalicelib.domain.subscription import Item, ItemKind
from chalicelib.domain.tax import TaxTerms
from chalicelib.domain.tax_rates import TaxRule
from tests import samples

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PERIOD = Period(NOW, datetime(2026, 4, 1, tzinfo=UTC))
CAUSE = Cause(kind=CauseKind.CHANGE, reference="1")
AMOUNTS = st.builds(
    lambda whole, fine: f"{whole}.{fine:04}" if fine else str(whole),
    st.integers(0, 10**6),
    st.integers(0, 9999),
)


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    model = draw(st.sampled_from(PricingModel))
    units = {"billing_unit": draw(st.sampled_from((1, 10))), "included": draw(st.integers(0, 20))}
    if model in (PricingModel.GRADUATED, PricingModel.VOLUME):
        ends = sorted(draw(st.sets(st.integers(1, 500), max_size=3)))
        tiers = tuple(Tier(end, draw(AMOUNTS), draw(AMOUNTS)) for end in [*ends, None])
        return Rate(model, tiers=tiers, **units)
    if model is PricingModel.FLAT:
        return Rate(model, draw(AMOUNTS))
    return Rate(model, draw(AMOUNTS), package_size=draw(st.sampled_from((1, 7))), **units)


@st.composite
def lines(draw: st.DrawFn, number: int) -> tuple[Line, ...]:
    price = Price(
        id=f"price{number}",
        plan=f"product{number}",
        currency="USD",
        interval=Interval.of("month"),
        rate=draw(rates()),
        minimum=draw(st.none() | AMOUNTS),
        timing=Timing.IN_ADVANCE,
    )
    item = Item(
        id=f"item{number}",
        kind=ItemKind.ADD_ON,
        product=price.plan,
        name="Thing",
        quantity=draw(st.integers(1, 1000)),
        price=price,
    )
    parts = draw(st.sampled_from((Parts(1, 1), Parts(11, 31), Parts(0, 1), Parts(1, 2_678_400))))
    return tuple(lines_of(item, PERIOD, parts, draw(st.sampled_from((Granularity.DAY, Granularity.SECOND)))))


@st.composite
def redemptions(draw: st.DrawFn) -> tuple[Redemption, ...]:
    coupons = draw(
        st.lists(
            st.builds(Coupon, id=st.just("c"), percent=st.sampled_from(("10", "33.333333", "100")))
            | st.builds(
                Coupon,
                id=st.just("f"),
                amount=st.integers(1, 10**7),
                currency=st.just("USD"),
                duration=st.just(Duration.FOREVER),
                plans=st.sampled_from(((), ("product0",))),
            ),
            max_size=3,
        )
    )
    return tuple(Redemption(coupon=coupon, at=NOW) for coupon in coupons)


def opened(found: tuple[Line, ...], coupons: tuple[Redemption, ...], tax: TaxTerms, credit: int) -> Invoice:
    account = samples.account(credits=(Credit(credit, "USD", NOW, "gift"),) if credit else ())
    occasion = Occasion(
        now=NOW,
        customer=samples.customer(),
        seller=samples.invoice().seller,
        minimum=50,
        tax=tax,
    )
    return open_invoice(
        samples.subscription(redemptions=coupons), account, found, cause=CAUSE, period=PERIOD, occasion=occasion
    ).invoice


TAXES = st.builds(
    lambda rate, inclusive, some: TaxTerms(
        rules=(TaxRule(country="FR", rate=rate, inclusive=inclusive, products=("product1",) if some else ()),)
    ),
    st.sampled_from(("0", "7.7", "20", "100")),
    st.booleans(),
    st.booleans(),
)
CREDITS = st.integers(-(10**5), 10**7)


@given(st.data(), st.integers(1, 4), redemptions(), TAXES, CREDITS)
def test_an_invoice_is_what_its_lines_say(data, number, coupons, tax, credit):
    """Also of a change: what an earlier invoice billed is given back beside what is charged anew."""
    first = opened(tuple(line for n in range(number) for line in data.draw(lines(n))), coupons, tax, credit)
    part = data.draw(st.sampled_from((Parts(1, 1), Parts(10, 31), Parts(999, 1000))))
    back = tuple(
        credit_line(line, part, id_=f"{line.id}-back", invoice_id=first.id, description="")
        for line in first.lines
    )
    anew = data.draw(lines(0))
    second = opened(back + anew, coupons, tax, credit)
    for invoice in (first, second):
        assert check(invoice) == []
        assert explain(invoice).lines == invoice.lines
        assert min(invoice.total, invoice.amount_due, invoice.credit_granted) >= 0
        assert decode(Invoice, encode(invoice)) == invoice
    if part == Parts(1, 1):
        assert sum(line.total for line in back) == -sum(line.total for line in first.lines)
        assert sum(line.tax for line in back) == -first.tax


@given(st.data(), redemptions(), TAXES)
def test_a_line_that_says_another_amount_is_found(data, coupons, tax):
    invoice = opened(data.draw(lines(0)), coupons, tax, 0)
    first = invoice.lines[0]
    forged = replace(invoice, lines=(replace(first, amount=first.amount + 1), *invoice.lines[1:]))
    assert check(forged)
