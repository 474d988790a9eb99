"""An invoice computed again from its lines: it comes to the same, and what does not is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chalicelib.domain.adjustments import credit_line
from chalicelib.domain.billing import Occasion, open_invoice, opening_postings, void
from chalicelib.domain.customer import Credit
from chalicelib.domain.discount import Coupon, Redemption
from chalicelib.domain.explanation import amount_of, check, explain
from chalicelib.domain.invoice import Cause, CauseKind, Line
from chalicelib.domain.pricing import RatedStep
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import TaxTerms
from chalicelib.domain.tax_rates import TaxRule
from tests import samples
from tests.cases import expected, given

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CAUSE = Cause(kind=CauseKind.CHANGE, reference="1")
VAT = TaxTerms(rules=(TaxRule(country="FR", rate="20"),))


def line(amount="2900", quantity=1, **changes):
    made = Line(
        id=f"pro {amount}",
        kind="recurring",
        description="Pro",
        product="pro",
        price_id="pro_month_usd",
        model="per_unit",
        quantity=quantity,
        steps=(RatedStep(quantity, amount),),
    )
    made = replace(made, **changes)
    return replace(made, amount=amount_of(made))


def opened(*lines, account=None, minimum=0, redemptions=(), tax=VAT):
    occasion = Occasion(
        now=NOW,
        customer=samples.customer(),
        seller=samples.invoice().seller,
        minimum=minimum,
        tax=tax,
    )
    return open_invoice(
        samples.subscription(redemptions=redemptions),
        account or samples.account(),
        lines,
        cause=CAUSE,
        period=samples.subscription().period,
        occasion=occasion,
    )


def coupons():
    terms = ({"percent": "12.5"}, {"amount": 1000, "currency": "USD"})
    return tuple(
        Redemption(coupon=Coupon(id=f"c{index}", **each), at=NOW) for index, each in enumerate(terms)
    )


def rich():
    """Two coupons, tax, a stub, a credit line, account credit."""
    billed = line("4900", 3, tax_rate="20", tax=2940)
    credit = credit_line(billed, Parts(11, 31), id_="back", invoice_id="inv_1", description="Unused Pro")
    account = samples.account(credits=(Credit(500, "USD", NOW, "gift"),))
    return opened(
        credit, line("5900", 7, numerator=11, denominator=31), line("0.37", 333), account=account,
        redemptions=coupons(),
    )  # fmt: skip


def test_an_invoice_of_everything_is_what_its_lines_say():
    invoice = rich().invoice
    again = explain(invoice)
    assert again.differences == ()
    assert again.lines == invoice.lines
    assert [(use.share.coupon, use.share.order) for use in again.coupons] == [("c0", 1), ("c1", 2)]
    assert sum(use.amount for use in again.coupons) == sum(line.discount for line in invoice.lines)
    (tax,) = again.taxes
    assert (tax.rate, tax.tax) == ("20", invoice.tax)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1}, {"tax": 1}, {"discount": 1}, {"numerator": 12}, {"tax_rate": "19"}, {"discounts": ()},
        {"steps": (RatedStep(8, "5900"),)}, {"tax_inclusive": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_that_does_not_follow_is_named(change):
    invoice = rich().invoice
    lines = (invoice.lines[0], replace(invoice.lines[1], **change), invoice.lines[2])
    assert any("pro 5900" in text for text in check(replace(invoice, lines=lines)))


@pytest.mark.parametrize("field", ["total", "tax", "credit_applied", "carried_out", "credit_granted"])
def test_a_sum_that_does_not_follow_is_named(field):
    invoice = rich().invoice
    other = (
        invoice.total + 10_000 if field in ("credit_applied", "carried_out") else getattr(invoice, field) + 1
    )
    assert check(replace(invoice, **{field: other}))


def test_cpn_09_at_once():
    case, wanted = given("CPN-09"), expected("CPN-09")
    rules = tuple(
        TaxRule(country="FR", rate=str(each["tax_pct"]), products=(f"p{index}",))
        for index, each in enumerate(case["lines"])
    )
    lines = [line(str(each["amount"]), product=f"p{index}") for index, each in enumerate(case["lines"])]
    redemption = Redemption(coupon=Coupon(id="c", amount=case["coupon"]["fixed"], currency="USD"), at=NOW)
    done = opened(*lines, redemptions=(redemption,), tax=TaxTerms(rules=rules))
    assert (done.invoice.total, done.invoice.tax) == (wanted["total"], wanted["tax"])
    assert done.redemptions[0].uses == 1
    assert check(done.invoice) == []


def test_crd_01_credit_pays_and_the_rest_stays():
    case, wanted = given("CRD-01"), expected("CRD-01")
    account = samples.account(credits=(Credit(case["balance"], "USD", NOW, "gift"),))
    done = opened(line(str(case["invoice"])), account=account, tax=TaxTerms())
    assert (-done.invoice.credit_applied, done.invoice.amount_due) == (wanted["applied"], wanted["due"])
    assert done.invoice.status == wanted["status"]
    assert [credit.amount for credit in done.account.credits] == [wanted["balance"]]


class TestGivingBackMoreThanIsCharged:
    """PRO-13: the rest is the customer's."""

    def done(self, **more):
        case = given("PRO-13")
        billed = line(str(case["paid_line"]))
        credit = credit_line(
            billed,
            Parts(30, 31),
            id_="back",
            invoice_id="inv_1",
            description="",
            credited=-case["adjusted_by"],
        )
        charge = line(str(case["new"]["amount"]), numerator=30, denominator=31)
        return opened(credit, charge, tax=TaxTerms(), **more)

    def test_pro_13_is_account_credit_and_the_invoice_is_nothing(self):
        done, wanted = self.done(), expected("PRO-13")
        assert [each.amount for each in done.invoice.lines] == [-wanted["credit"], wanted["new_charge"]]
        assert (done.invoice.total, done.invoice.amount_due, done.invoice.status) == (0, 0, "paid")
        assert done.invoice.credit_granted == wanted["account_credit"]
        assert [credit.amount for credit in done.account.credits] == [wanted["account_credit"]]
        assert check(done.invoice) == []

    def test_its_bookings_balance_and_move_as_much_as_the_account(self):
        done = self.done()
        booked = {posting.account: posting.amount for posting in done.postings}
        assert sum(booked.values()) == 0
        assert booked["customer_credit"] == -expected("PRO-13")["account_credit"]
        assert booked["revenue"] == expected("PRO-13")["account_credit"]

    def test_voided_it_is_taken_back(self):
        debt = samples.account(credits=(Credit(-700, "USD", NOW, "carried"),))
        done = self.done(account=debt)
        assert (done.invoice.carried_in, done.invoice.status) == (700, "open")
        back = void(done.invoice, done.account, NOW)
        assert sum(credit.amount for credit in back.account.credits) == -700
        both = [*opening_postings(done.invoice), *back.postings]
        assert {posting.account: 0 for posting in both} == {
            account: sum(posting.amount for posting in both if posting.account == account)
            for account in {posting.account for posting in both}
        }


def test_what_is_too_small_is_carried_and_explained():
    done = opened(line("10"), minimum=50)
    assert (done.invoice.carried_out, done.invoice.amount_due) == (12, 0)
    assert check(done.invoice) == []


def test_a_commitment_lifts_what_was_billed():
    case, wanted = given("MIN-01"), expected("MIN-01")
    short = line(str(case["subscription"]), minimum=str(case["commitment"]), numerator=25, denominator=28)
    assert short.amount == wanted["true_up"]
    whole = replace(short, numerator=1, denominator=1)
    assert amount_of(whole) == wanted["anniversary_billing_instead"]
