"""Coupons, then tax, then what is given back: the worked cases, and the rules around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.adjustments import adjusted, credit_line, unused_part
from chalicelib.domain.calendar import Interval
from chalicelib.domain.discount import (
    Coupon,
    Duration,
    Redemption,
    discounted,
    kept_on_change,
    require_redeemable,
)
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.invoice import Line
from chalicelib.domain.money import allocate
from chalicelib.domain.pricing import RatedStep
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import NO_TAX, TaxNote, TaxTerms, tax_on, tax_terms, taxed
from chalicelib.domain.tax_ids import is_tax_id_of
from chalicelib.domain.tax_rates import TaxRule
from tests.cases import expected, given

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


def line(amount, product="pro", **changes):
    made = Line(
        id=product,
        kind="recurring",
        description=product,
        product=product,
        price_id=f"{product}_month_usd",
        model="flat",
        quantity=1,
        steps=(RatedStep(1, str(amount)),),
        amount=amount,
    )
    return replace(made, **changes)


def redeemed(**terms):
    return Redemption(coupon=Coupon(id=terms.pop("id", "offer"), **terms), at=MARCH)


def fixed(amount, **terms):
    return redeemed(amount=amount, currency="USD", **terms)


def percent(text, **terms):
    return redeemed(percent=text, **terms)


def less(lines, *redemptions, start=MARCH, currency="USD"):
    return discounted(lines, redemptions, currency=currency, period_start=start)


def shares(lines):
    return [line.discount for line in lines]


class TestCases:
    def test_cpn_06_a_fixed_amount_is_spread_and_a_period_used(self):
        case, wanted = given("CPN-06"), expected("CPN-06")
        coupon = fixed(
            case["coupon"]["fixed"], duration=Duration.REPEATING, periods=case["coupon"]["periods"]
        )
        after = less([line(amount) for amount in case["lines"]], coupon)
        assert shares(after.lines) == wanted["per_line"]
        assert sum(shares(after.lines)) == wanted["discount"]
        (redemption,) = after.redemptions
        assert redemption.coupon.periods - redemption.uses == wanted["periods_left"]

    def test_cpn_07_three_periods_and_then_the_full_price(self):
        case, wanted = given("CPN-07")["discount"], expected("CPN-07")
        redemptions = (fixed(case["fixed"], duration=Duration(case["duration"]), periods=case["months"]),)
        months = []
        for month in range(1, 5):
            after = less([line(2900)], *redemptions, start=datetime(2026, month, 1, tzinfo=UTC))
            redemptions = after.redemptions
            months += [month] * bool(sum(shares(after.lines)))
        assert months == wanted["discounted_months"]
        assert after.lines == (line(2900),)

    def test_cpn_09_a_coupon_before_taxes_of_several_rates(self):
        case, wanted = given("CPN-09"), expected("CPN-09")
        lines = tuple(line(each["amount"], f"p{index}") for index, each in enumerate(case["lines"]))
        rules = tuple(
            TaxRule(country="FR", rate=str(each["tax_pct"]), products=(f"p{index}",))
            for index, each in enumerate(case["lines"])
        )
        coupon = fixed(case["coupon"]["fixed"])
        found = adjusted(
            lines, (coupon,), currency="USD", period_start=MARCH, tax=tax_terms(rules, country="FR")
        ).lines
        assert shares(found) == wanted["coupon_per_line"]
        assert [line.tax for line in found] == wanted["tax_per_line"]
        totals = [
            sum(values) for values in zip(*((each.net, each.tax, each.total) for each in found), strict=True)
        ]
        assert totals == [wanted["net"], wanted["tax"], wanted["total"]]

    @pytest.mark.parametrize(
        ("amount", "over", "parts"),
        [
            (amount, over, parts)
            for (amount, over), parts in zip(
                [(100, (100, 200)), (1500, (1000, 1000)), (750, (300, 1200)), (2500, (1000, 1000))],
                expected("CPN-11")["splits"],
                strict=True,
            )
        ],
    )
    def test_cpn_11_splits(self, amount, over, parts):
        assert shares(less([line(each) for each in over], fixed(amount)).lines) == parts

    def test_tax_03_added_and_contained(self):
        price, rates = given("TAX-03")["price"], given("TAX-03")["rates"]
        for name, wanted in expected("TAX-03").items():
            inclusive = name == "inclusive"
            rule = TaxRule(country="DE", rate=str(rates[f"{name}_pct"]), inclusive=inclusive)
            (found,) = taxed([line(price)], tax_terms([rule], country="DE"))
            assert {"net": found.net, "tax": found.tax, "total": found.total} == wanted

    def test_tax_05_splits_by_largest_remainder(self):
        case, wanted = given("TAX-05"), expected("TAX-05")
        assert list(allocate(case["amount"], [1] * case["parts"])) == wanted["split"]
        three = less([line(case["amount"])] * case["parts"], fixed(case["amount"])).lines
        assert shares(three) == wanted["split"]

    def test_pro_27_a_credit_is_made_from_what_was_billed(self):
        case, wanted = given("PRO-27"), expected("PRO-27")
        full = line(-2 * case["credit_before_discount"])
        discounted_ = less([full], percent(str(case["discount_pct"]))).lines[0]
        half = Parts(1, 2)
        assert back(discounted_, half).amount == wanted["a_credit"]
        added_later = less([back(full, half)], percent(str(case["discount_pct"]))).lines[0]
        assert added_later.left == wanted["b_credit"]

    @pytest.mark.parametrize("case", ["PRO-02", "PRO-03"])
    def test_pro_02_and_03_credits_carry_the_tax_of_what_they_reverse(self, case):
        rules = (TaxRule(country="FR", rate=str(given(case)["tax_rate_pct"])),)
        charges = expected(case)["charges_excl_tax"]
        first, second = taxed([line(charges[0])], TaxTerms(rules=rules)) + taxed(
            [line(charges[1])], TaxTerms(rules=rules)
        )
        unused = Parts(20, 27) if case == "PRO-02" else Parts(24, 31)
        credits = [back(first, unused), back(second, Parts(1, 1))]
        assert [-credit.total for credit in credits] == expected(case)["credits_incl_tax"]

    def test_pro_13_never_more_than_is_left_of_the_line(self):
        case = given("PRO-13")
        credit = back(line(case["paid_line"]), Parts(30, 31), credited=-case["adjusted_by"])
        assert -credit.amount == expected("PRO-13")["credit"]


def back(billed, part, **given_before):
    return credit_line(billed, part, id_="c", invoice_id="inv_1", description="back", **given_before)


class TestCoupons:
    def test_each_takes_from_what_the_one_before_left_and_says_its_place(self):
        found = less(
            [line(1000), line(500)], percent("20", id="a"), fixed(200, id="b"), percent("50", id="c")
        )
        assert [(share.coupon, share.order, share.amount) for share in found.lines[0].discounts] == [
            ("a", 1, 200),
            ("b", 2, 133),
            ("c", 3, 334),
        ]
        assert shares(found.lines) == [667, 333]

    def test_a_coupon_for_which_nothing_is_left_is_kept(self):
        found = less([line(1000)], percent("100"), fixed(200))
        assert [each.uses for each in found.redemptions] == [1, 0]
        assert [share.order for share in found.lines[0].discounts] == [1]

    def test_the_rest_of_a_fixed_amount_is_lost(self):
        after = less([line(300)], fixed(1000))
        assert after.lines[0].left == 0
        assert less([line(300)], *after.redemptions, start=APRIL).lines[0].left == 300

    def test_lines_that_give_back_are_not_touched(self):
        found = less([line(-500), line(1000)], percent("10"))
        assert shares(found.lines) == [0, 100]
        assert less([line(-500)], percent("10")).redemptions[0].uses == 0

    def test_for_some_plans_only_their_lines_count(self):
        found = less([line(1000), line(1000, "storage")], percent("10", plans=("pro",)))
        assert shares(found.lines) == [100, 0]
        assert found.lines[1].discounts == ()

    def test_another_currency_is_another_invoice(self):
        assert less([line(1000)], fixed(100), currency="EUR").lines == (line(1000),)

    def test_a_second_invoice_in_the_period(self):
        """A fixed amount is spent; a percentage holds for the seats that come later, the last period's too."""
        after = less([line(1000)], fixed(200, duration=Duration.FOREVER), percent("10"))
        seats = less([line(500)], *after.redemptions)
        assert shares(seats.lines) == [50]
        assert seats.redemptions == after.redemptions
        assert shares(less([line(500)], *seats.redemptions, start=APRIL).lines) == [200]

    def test_a_repeating_one_ends_when_the_interval_becomes_longer(self):
        month, year = Interval.of("month"), Interval.of("year")
        forever = percent("10", duration=Duration.FOREVER)
        repeating = percent("10", duration=Duration.REPEATING, periods=3)
        assert kept_on_change((forever, repeating), month, year) == (forever,)
        assert kept_on_change((forever, repeating), year, month) == (forever, repeating)

    @pytest.mark.parametrize(
        ("terms", "says"),
        [
            ({"valid_from": APRIL}, "yet"),
            ({"valid_until": MARCH}, "any more"),
            ({"max_redemptions": 5}, "used up"),
            ({"plans": ("team",)}, "not for the plan pro"),
            ({"first_time": True}, "new customers"),
        ],
    )
    def test_who_may_redeem(self, terms, says):
        asked = {"plan": "pro", "currency": "USD", "now": MARCH, "redeemed": 5, "has_paid": True}
        with pytest.raises(InvalidStateError, match=says) as refused:
            require_redeemable(Coupon(id="x", percent="10", **terms), **asked)
        assert refused.value.field == "coupon"
        ours = {"valid_from": MARCH, "valid_until": MARCH + timedelta(seconds=1), "max_redemptions": 6}
        require_redeemable(Coupon(id="x", percent="10", plans=("pro",), **ours), **asked)
        with pytest.raises(InvalidStateError, match="EUR"):
            require_redeemable(Coupon(id="x", amount=1, currency="EUR"), **asked)

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({}, "percent"),
            ({"percent": "10", "amount": 5, "currency": "USD"}, "percent"),
            ({"percent": "0"}, "percent"),
            ({"percent": "100.1"}, "percent"),
            ({"percent": "-5"}, "percent"),
            ({"percent": "5", "currency": "USD"}, "currency"),
            ({"amount": 0, "currency": "USD"}, "amount"),
            ({"amount": 5}, "currency"),
            ({"percent": "5", "periods": 3}, "periods"),
            ({"percent": "5", "duration": Duration.REPEATING}, "periods"),
            ({"percent": "5", "duration": Duration.REPEATING, "periods": 0}, "periods"),
            ({"percent": "5", "max_redemptions": 0}, "max_redemptions"),
            ({"percent": "5", "valid_from": MARCH, "valid_until": MARCH}, "valid_until"),
        ],
    )
    def test_terms_that_make_no_sense(self, terms, field):
        with pytest.raises(ValidationError) as wrong:
            Coupon(id="x", **terms)
        assert wrong.value.field == field


class TestTax:
    RULES = (
        TaxRule(country="DE", rate="19", reverse_charge=True),
        TaxRule(country="DE", rate="7", reverse_charge=True, products=("books",)),
        TaxRule(country="CA", rate="5"),
        TaxRule(country="CA", region="QC", rate="14.975"),
        TaxRule(country="GR", rate="24", reverse_charge=True),
    )

    def terms(self, country, **more):
        return tax_terms(self.RULES, country=country, seller_country="IE", **more)

    def test_the_nearest_rule(self):
        found = taxed([line(1000), line(1000, "books")], self.terms("DE"))
        assert [(each.tax_rate, each.tax) for each in found] == [("19", 190), ("7", 70)]
        assert taxed([line(1000)], self.terms("CA", region="QC"))[0].tax == 150
        assert taxed([line(1000)], self.terms("CA", region="ON"))[0].tax == 50

    def test_no_rule_no_tax(self):
        assert self.terms("US") == NO_TAX
        assert taxed((line(1000),), NO_TAX) == (line(1000),)

    def test_it_is_rounded_once_per_rate_and_not_per_line(self):
        found = taxed([line(3, "a"), line(3, "b"), line(3, "c")], self.terms("DE"))
        assert [each.tax for each in found] == [1, 1, 0]

    @pytest.mark.parametrize(
        ("country", "tax_id", "seller", "note"),
        [
            ("DE", "DE 123 456 789", "IE", TaxNote.REVERSE_CHARGE),
            ("DE", "de123456789", "IE", TaxNote.REVERSE_CHARGE),
            ("GR", "EL123456789", "IE", TaxNote.REVERSE_CHARGE),
            ("GR", "GR123456789", "IE", TaxNote.NONE),
            ("DE", "FR40303265045", "IE", TaxNote.NONE),
            ("DE", "DE", "IE", TaxNote.NONE),
            ("DE", "DE123456789", "DE", TaxNote.NONE),
            ("CA", "CA123456789", "IE", TaxNote.NONE),
        ],
    )
    def test_a_reverse_charge_needs_a_vat_id_of_another_country(self, country, tax_id, seller, note):
        terms = tax_terms(self.RULES, country=country, tax_ids=(tax_id,), seller_country=seller)
        assert terms.note is note
        (found,) = taxed([line(1000)], terms)
        assert (found.tax_note, found.tax == 0, found.tax_rate == "0") == (note, bool(note), bool(note))

    def test_who_is_exempt_pays_none_and_the_line_says_so(self):
        (found,) = taxed([line(1000)], self.terms("DE", exempt=True))
        assert (found.tax, found.tax_note) == (0, "exempt")

    def test_a_line_that_gives_back_keeps_its_own_tax(self):
        (billed,) = taxed([line(1000)], self.terms("DE"))
        found = taxed([back(billed, Parts(1, 2)), line(2000)], self.terms("CA"))
        assert [(each.tax_rate, each.tax) for each in found] == [("19", -95), ("5", 100)]

    @pytest.mark.parametrize(("country", "rate"), [("DE", "101"), ("DE", "x"), ("de", "5"), ("DEU", "5")])
    def test_rules_that_make_no_sense(self, country, rate):
        with pytest.raises(ValidationError):
            TaxRule(country=country, rate=rate)

    def test_ids_and_rates(self):
        assert not is_tax_id_of("DE", "DE1")
        assert tax_on(10_000, "8.1", inclusive=True) == 749


def test_20_of_31_days_left_of_27_billed_are_20_of_27():
    assert unused_part(line(871, numerator=27, denominator=31), Parts(20, 31)) == Parts(20, 27)
    assert unused_part(line(1000), Parts(20, 31)) == Parts(20, 31)
    assert unused_part(line(500, numerator=1, denominator=2), Parts(10, 30)) == Parts(2, 3)
