"""Coupons through the API: the worked cases, and every way to redeem, spend, end and give one back."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.application.limits import Limits, Rate
from tests.cases import expected, given
from tests.infra.billing_api import Billing
from tests.infra.test_cases_http import case_on, explained, mrr_months, plan, price, publish

PAGES = {"success_url": "https://shop.example/a", "cancel_url": "https://shop.example/b"}


def offer(billing: Billing, code: str = "SPRING", **terms: Any) -> None:
    answer = billing("POST", "/v1/coupons", {"id": code, **terms})
    assert answer.status == 201, answer.text


def fixed(billing: Billing, amount: int, code: str = "SPRING", **terms: Any) -> None:
    offer(billing, code, amount=amount, currency="USD", **terms)


def add_on(id_: str, amount: int, **terms: Any) -> dict[str, Any]:
    return {"id": id_, "name": id_.title(), "prices": [price(amount=amount, **terms)]}


def redeemed(billing: Billing, code: str = "SPRING") -> int:
    count: int = billing.ok("GET", f"/v1/coupons/{code}")["redeemed"]
    return count


def applied(billing: Billing, subscription: str, code: str) -> Any:
    return billing("POST", f"/v1/subscriptions/{subscription}/coupons", {"coupon": code})


def shares(invoice: dict[str, Any]) -> list[int]:
    return [line["discount"] for line in invoice["lines"]]


def totals(billing: Billing, customer: str) -> list[int]:
    """Of the customer's invoices, oldest first."""
    return [invoice["total"] for invoice in reversed(billing.invoices(customer))]


def declining(billing: Billing) -> None:
    for method in list(billing.gateway.methods):
        billing.gateway.behave(method, "generic_decline")


def test_cpn_06_a_fixed_amount_is_spread_over_the_lines():
    case, wanted = given("CPN-06"), expected("CPN-06")
    with case_on() as billing:
        base, extra = case["lines"]
        publish(billing, plan(price(amount=base)), add_ons=[add_on("extra", extra)])
        fixed(billing, case["coupon"]["fixed"], duration="repeating", periods=case["coupon"]["periods"])
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro", add_ons=[{"id": "extra"}], coupon="SPRING")
        (invoice,) = billing.invoices(customer)
        assert invoice["total"] == case["subtotal"] - wanted["discount"]
        assert shares(invoice) == wanted["per_line"]
        assert sub["coupons"][0]["periods_left"] == wanted["periods_left"]
        explained(billing, customer)


def test_cpn_07_three_months_and_then_the_full_price():
    case, wanted = given("CPN-07")["discount"], expected("CPN-07")
    with case_on() as billing:
        publish(billing, plan(price(amount=2900)))
        fixed(billing, case["fixed"], duration=case["duration"], periods=case["months"])
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro", coupon="spring")
        for _ in range(3):
            billing.advance("P1M")
        found = totals(billing, customer)
        assert [month for month, total in enumerate(found, 1) if total == 1900] == wanted["discounted_months"]
        assert found[3] == 2900
        shown = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
        assert (shown["coupons"], shown["mrr"]) == ([], 2900)
        months = mrr_months(billing, **{"from": "2027-03", "to": "2027-06"})
        moved = [(each["movements"]["new"], each["movements"]["expansion"]) for each in months]
        assert moved == [(1900, 0), (0, 0), (0, 0), (0, 1000)]
        causes = [
            move.cause
            for entry in billing.api.store.journal(billing.api.sandbox.environment.id)
            for move in entry.movements
        ]
        assert causes[-1] == f"coupon:{sub['id']}:SPRING:used_up"


def test_cpn_09_before_taxes_of_several_rates():
    case, wanted = given("CPN-09"), expected("CPN-09")
    with case_on() as billing:
        base, plain, short, made_up = case["lines"]
        commitment = str(short["amount"] + made_up["amount"])
        products = [("pro", base), ("plain", plain), ("short", short)]
        rates = [{"country": "IE", "rate": str(of["tax_pct"]), "products": [name]} for name, of in products]
        publish(
            billing,
            plan(price(amount=base["amount"])),
            add_ons=[
                add_on("plain", plain["amount"]),
                add_on("short", short["amount"], model="per_unit", minimum=commitment),
            ],
            tax={"provider": "rates", "rates": rates},
        )
        fixed(billing, case["coupon"]["fixed"])
        customer = billing.customer("pm_card_visa", address={"country": "IE"})
        billing.subscribe(customer, "pro", add_ons=[{"id": "plain"}, {"id": "short"}], coupon="SPRING")
        (invoice,) = billing.invoices(customer)
        assert [line["kind"] for line in invoice["lines"]] == ["recurring"] * 3 + ["true_up"]
        assert shares(invoice) == wanted["coupon_per_line"]
        assert [line["tax"] for line in invoice["lines"]] == wanted["tax_per_line"]
        assert (invoice["tax"], invoice["total"]) == (wanted["tax"], wanted["total"])
        assert sum(line["net"] for line in invoice["lines"]) == wanted["net"]
        explained(billing, customer)


def test_cpn_11_splits_by_largest_remainder():
    asked = [(100, (100, 200)), (1500, (1000, 1000)), (750, (300, 1200)), (2500, (1000, 1000))]
    found = []
    for amount, (base, extra) in asked:
        with case_on() as billing:
            publish(billing, plan(price(amount=base)), add_ons=[add_on("extra", extra)])
            fixed(billing, amount)
            customer = billing.customer("pm_card_visa")
            billing.subscribe(customer, "pro", add_ons=[{"id": "extra"}], coupon="SPRING")
            found.append(shares(billing.invoices(customer)[0]))
    assert found == expected("CPN-11")["splits"]


@pytest.mark.parametrize(("before", "key"), [(True, "a_credit"), (False, "b_credit")])
def test_pro_27_a_credit_is_made_from_what_was_billed(before, key):
    case, wanted = given("PRO-27"), expected("PRO-27")
    with case_on() as billing:
        big = plan(price(amount=9000), id="big", name="Big", rank=2)
        publish(billing, plan(price(amount=-case["credit_before_discount"])), big)
        offer(billing, percent=str(case["discount_pct"]), duration="forever")
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro", **({"coupon": "SPRING"} if before else {}))
        if not before:
            assert applied(billing, sub["id"], "SPRING").status == 200
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "big"})
        credit, charge = billing.invoices(customer)[0]["lines"]
        assert credit["net"] == wanted[key]
        assert charge["discount"] == 1800
        explained(billing, customer)


def test_met_05_what_a_discount_takes_for_ever_is_no_recurring_revenue():
    case, wanted = given("MET-05"), expected("MET-05")
    with case_on() as billing:
        publish(billing, plan(price(amount=case["amount"])))
        terms = case["discount"]
        offer(billing, percent=str(terms["pct"]), duration=terms["duration"])
        customer = billing.customer("pm_card_visa")
        assert billing.subscribe(customer, "pro", coupon="SPRING")["mrr"] == wanted["mrr"]
        assert mrr_months(billing)[-1]["closing"] == wanted["mrr"]


class TestOffered:
    def test_a_code_is_one_in_any_case_and_is_archived_once(self):
        with case_on() as billing:
            offer(billing, "Spring-27", percent="12.5", name="Spring", max_redemptions=3)
            shown = billing.ok("GET", "/v1/coupons/sPRING-27")
            assert (shown["id"], shown["percent"], shown["redeemed"]) == ("Spring-27", "12.5", 0)
            assert [each["id"] for each in billing.ok("GET", "/v1/coupons")["data"]] == ["Spring-27"]
            assert billing("POST", "/v1/coupons", {"id": "SPRING-27", "percent": "5"}).status == 409
            archived = [billing.ok("POST", "/v1/coupons/spring-27/archive")["archived_at"] for _ in "12"]
            assert archived[0] is not None
            assert archived[0] == archived[1]
            sub = billing.subscribe(billing.customer("pm_card_visa"), "starter")
            refused = applied(billing, sub["id"], "spring-27")
            assert (refused.status, refused.json["field"]) == (409, "coupon")

    def test_without_a_code_one_is_made_up_and_the_same_request_makes_one(self):
        with case_on() as billing:
            made = [
                billing("POST", "/v1/coupons", {"percent": "5"}, headers={"Idempotency-Key": "one"}).json[
                    "id"
                ]
                for _ in "12"
            ]
            assert made[0] == made[1]
            assert len(billing.ok("GET", "/v1/coupons")["data"]) == 1

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({}, "percent"),
            ({"percent": "10", "amount": 5, "currency": "USD"}, "percent"),
            ({"percent": "101"}, "percent"),
            ({"amount": 5}, "currency"),
            ({"percent": "10", "currency": "USD"}, "currency"),
            ({"percent": "10", "duration": "repeating"}, "periods"),
            ({"percent": "10", "periods": 2}, "periods"),
            ({"percent": "10", "plans": ["starter", "nowhere"]}, "plans[1]"),
            ({"percent": "10", "id": "so long!"}, "id"),
            (
                {"percent": "1", "valid_from": "2027-05-01T00:00:00Z", "valid_until": "2027-04-01T00:00:00Z"},
                "valid_until",
            ),
        ],
    )
    def test_what_is_wrong_is_said_by_field(self, terms, field):
        with case_on() as billing:
            refused = billing("POST", "/v1/coupons", terms)
            assert (refused.status, refused.json["field"]) == (400, field)


class TestRedeemed:
    def test_a_customer_redeems_it_once_and_nobody_more_than_there_are(self):
        with case_on() as billing:
            offer(billing, percent="10", max_redemptions=2)
            first = billing.customer("pm_card_visa")
            sub = billing.subscribe(first, coupon="spring")
            assert applied(billing, sub["id"], "SPRING").json["coupons"] == sub["coupons"]
            other = billing.subscribe(first)
            assert applied(billing, other["id"], "SPRING").status == 409
            billing.subscribe(billing.customer("pm_card_visa"), coupon="Spring")
            body = {"customer": billing.customer("pm_card_visa"), "plan": "starter", "trial_days": 0}
            refused = billing("POST", "/v1/subscriptions", body | {"coupon": "SPRING"})
            assert (refused.status, refused.json["detail"]) == (409, "the coupon SPRING is used up")
            assert redeemed(billing) == 2

    def test_new_customers_plans_currency_and_window(self):
        with case_on() as billing:
            offer(billing, "NEW", percent="10", first_time=True)
            offer(billing, "PRO", percent="10", plans=["pro"])
            offer(billing, "EURO", amount=100, currency="EUR")
            offer(billing, "LATER", percent="10", valid_from="2027-04-01T00:00:00Z")
            offer(billing, "PAST", percent="10", valid_until="2027-03-01T00:00:00Z")
            sub = billing.subscribe(billing.customer("pm_card_visa"))
            for code in ("NEW", "PRO", "EURO", "LATER", "PAST"):
                assert applied(billing, sub["id"], code).status == 409, code
            assert applied(billing, sub["id"], "NOSUCH").status == 400
            billing.advance("P1M")
            assert applied(billing, sub["id"], "LATER").status == 200
            assert billing.subscribe(billing.customer("pm_card_visa"), coupon="NEW")["coupons"]

    def test_several_stack_each_on_what_the_one_before_left(self):
        with case_on() as billing:
            publish(billing, plan(price(amount=10000)))
            fixed(billing, 1000, "FIRST", duration="forever")
            offer(billing, "SECOND", percent="50", duration="forever")
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro", coupon="FIRST")
            assert applied(billing, sub["id"], "SECOND").json["mrr"] == 4500
            billing.advance("P1M")
            invoice = billing.invoices(customer)[0]
            assert invoice["total"] == 4500
            (line,) = invoice["lines"]
            assert [(each["coupon"], each["amount"]) for each in line["discounts"]] == [
                ("FIRST", 1000),
                ("SECOND", 4500),
            ]
            path = f"/v1/subscriptions/{sub['id']}/coupons/first"
            assert [each["id"] for each in billing.ok("DELETE", path)["coupons"]] == ["SECOND"]
            assert billing("DELETE", path).status == 404
            billing.advance("P1M")
            assert billing.invoices(customer)[0]["total"] == 5000
            explained(billing, customer)

    def test_a_trial_uses_nothing_up(self):
        with case_on() as billing:
            publish(billing, plan(price(amount=1000), trial={"days": 14, "on_end": "cancel"}))
            offer(billing, percent="100")
            customer = billing.customer("pm_card_visa")
            body = {"customer": customer, "plan": "pro", "coupon": "SPRING"}
            sub = billing.ok("POST", "/v1/subscriptions", body)
            assert (sub["status"], sub["coupons"][0]["periods_left"]) == ("trialing", 1)
            billing.advance("P14D")
            assert totals(billing, customer) == [0]
            billing.advance("P1M")
            assert totals(billing, customer) == [0, 1000]

    def test_a_change_takes_one_along_and_its_preview_binds(self):
        with case_on() as billing:
            big = plan(price(amount=9000), id="big", name="Big", rank=2)
            publish(billing, plan(price(amount=2000)), big)
            offer(billing, percent="50", duration="repeating", periods=2)
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro")
            wanted = {"plan": "big", "coupon": "spring"}
            shown = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change/preview", wanted)
            assert shown["invoices"][0]["total"] == 4500 - 2000
            assert redeemed(billing) == 0
            token = {"preview_token": shown["token"]}
            after = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", wanted | token)
            assert (after["plan"], after["mrr"], after["coupons"][0]["periods_left"]) == ("big", 4500, 1)
            assert billing.invoices(customer)[0]["total"] == shown["invoices"][0]["total"]
            billing.advance("P1M")
            assert billing.invoices(customer)[0]["total"] == shown["next_invoice"]["total"] == 4500

    def test_a_longer_interval_ends_a_repeating_one(self):
        with case_on() as billing:
            prices = [price(amount=1000), price(amount=10000, interval="year")]
            publish(billing, plan(prices))
            offer(billing, "MONTHS", percent="50", duration="repeating", periods=6)
            offer(billing, "ALWAYS", percent="10", duration="forever")
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro", coupon="MONTHS")
            applied(billing, sub["id"], "ALWAYS")
            after = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"interval": "year"})
            assert [each["id"] for each in after["coupons"]] == ["ALWAYS"]
            assert billing.facts().count("coupon.ended") == 1
            assert billing.invoices(customer)[0]["total"] == 9000 - 500

    def test_a_charge_of_its_own_spends_none(self):
        with case_on() as billing:
            offer(billing, percent="50")
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer)
            applied(billing, sub["id"], "SPRING")
            body = {"description": "Training", "unit_amount": "10000", "invoice": "now"}
            charged = billing("POST", f"/v1/subscriptions/{sub['id']}/charges", body)
            assert charged.status in (200, 201), charged.text
            assert billing.invoices(customer)[0]["total"] == 10000
            shown = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
            assert shown["coupons"][0]["periods_left"] == 1

    def test_seats_added_are_without_a_fixed_amount_that_the_period_had(self):
        with case_on() as billing:
            publish(billing, plan(price("per_unit", 1000), per_seat=True))
            fixed(billing, 300, "FIXED", duration="forever")
            offer(billing, "SHARE", percent="10", duration="forever")
            for code, wanted in (("FIXED", 1000), ("SHARE", 900)):
                customer = billing.customer("pm_card_visa")
                sub = billing.subscribe(customer, "pro", quantity=2, coupon=code)
                billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"quantity": 3})
                assert billing.invoices(customer)[0]["amount_due"] == wanted
                explained(billing, customer)


class TestGivenBack:
    def test_a_first_payment_that_never_comes(self):
        with case_on() as billing:
            offer(billing, percent="10", max_redemptions=1)
            customer = billing.customer("pm_card_visa")
            declining(billing)
            body = {"customer": customer, "plan": "starter", "trial_days": 0, "coupon": "SPRING"}
            assert billing("POST", "/v1/subscriptions", body).status == 402
            assert redeemed(billing) == 1
            billing.advance("P1D")
            assert redeemed(billing) == 0
            billing.gateway.methods.clear()
            billing.ok(
                "POST", f"/v1/customers/{customer}/payment_methods", {"payment_method": "pm_card_visa"}
            )
            sub = billing.subscribe(customer, coupon="SPRING")
            assert (sub["status"], redeemed(billing)) == ("active", 1)

    def test_a_change_that_is_declined(self):
        with case_on() as billing:
            big = plan(price(amount=9000), id="big", name="Big", rank=2)
            publish(billing, plan(price(amount=2000)), big)
            offer(billing, percent="10", max_redemptions=1)
            sub = billing.subscribe(billing.customer("pm_card_visa"), "pro")
            declining(billing)
            wanted = {"plan": "big", "coupon": "SPRING"}
            assert billing("POST", f"/v1/subscriptions/{sub['id']}/change", wanted).status == 402
            after = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
            assert (after["plan"], after["coupons"], redeemed(billing)) == ("pro", [], 0)

    def test_a_planned_change_that_is_revoked(self):
        with case_on() as billing:
            big = plan(price(amount=9000), id="big", name="Big", rank=2)
            publish(billing, plan(price(amount=2000)), big)
            offer(billing, percent="10", max_redemptions=1)
            sub = billing.subscribe(billing.customer("pm_card_visa"), "pro")
            wanted = {"plan": "big", "coupon": "SPRING", "at": "period_end"}
            planned = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", wanted)
            assert (planned["pending_change"]["coupons"], redeemed(billing)) == (["SPRING"], 1)
            billing.ok("DELETE", f"/v1/subscriptions/{sub['id']}/pending_change")
            assert redeemed(billing) == 0

    def test_a_page_that_nobody_paid_on(self):
        with case_on() as billing:
            billing.api.services.allowed_origins = ("https://shop.example",)
            offer(billing, percent="50", max_redemptions=1)
            body = {"customer": billing.customer(), "plan": "starter", "trial_days": 0, **PAGES}
            session = billing.ok("POST", "/v1/checkout_sessions", body | {"coupon": "spring"})
            (page,) = billing.gateway.pages.values()
            assert page.request.amount == 950
            assert redeemed(billing) == 1
            billing.ok("POST", f"/v1/checkout_sessions/{session['id']}/expire")
            assert redeemed(billing) == 0
            again = billing.ok("POST", "/v1/checkout_sessions", body | {"coupon": "spring"})
            billing.advance("P1D")
            assert billing.ok("GET", f"/v1/checkout_sessions/{again['id']}")["status"] == "expired"
            assert redeemed(billing) == 0


class TestSignUp:
    CART = {"email": "ada@example.com", "plan": "starter", "interval": "month", "trial": False, **PAGES}

    def test_the_price_is_shown_after_it_and_completing_redeems_it(self):
        with case_on() as billing:
            billing.api.services.allowed_origins = ("https://shop.example",)
            offer(billing, percent="50", max_redemptions=1, first_time=True)
            key = billing.api.sandbox.publishable_token
            cart = billing.ok("POST", "/v1/signup_sessions", {**self.CART, "coupon": "spring"}, key=key)
            assert cart["coupon"] == "SPRING"
            shown = billing.ok("POST", f"/v1/signup_sessions/{cart['id']}/price", key=key)
            assert (shown["due_now"], shown["renewal_amount"], redeemed(billing)) == (950, 1900, 0)
            done = billing.ok("POST", f"/v1/signup_sessions/{cart['id']}/complete", key=key)
            assert (done["outcome"], redeemed(billing)) == ("checkout", 1)
            (page,) = billing.gateway.pages.values()
            assert page.request.amount == 950

    def test_a_wrong_code_is_said_at_once(self):
        with case_on() as billing:
            billing.api.services.allowed_origins = ("https://shop.example",)
            refused = billing("POST", "/v1/signup_sessions", {**self.CART, "coupon": "NOSUCH"})
            assert (refused.status, refused.json["field"]) == (400, "coupon")

    def test_the_form_shows_what_it_takes_and_says_what_is_wrong_with_it(self):
        with case_on() as billing:
            offer(billing, percent="50")
            offer(billing, "PRO", percent="50", plans=["pro"])
            query = {"key": billing.api.sandbox.publishable_token, "plan": "starter", "interval": "month"}
            shown = billing("GET", "/signup", query=query | {"coupon": "spring"}, key="")
            assert shown.status == 200
            assert "Coupon SPRING" in shown.text
            assert "-$9.50" in shown.text
            for code, why in (
                ("PRO", "is not for the plan starter"),
                ("NOSUCH", "There is no coupon NOSUCH"),
            ):
                refused = billing("GET", "/signup", query=query | {"coupon": code}, key="")
                assert (refused.status, why in refused.text) == (422, True)
                assert "$19.00" in refused.text

    def test_codes_are_not_tried_without_end(self):
        with case_on() as billing:
            offer(billing, percent="50")
            billing.api.services.limits = Limits(writes=Rate(2, 3600))
            query = {"key": billing.api.sandbox.publishable_token, "plan": "starter", "coupon": "SPRING"}
            found = [billing("GET", "/signup", query=query, key="") for _ in range(3)]
            assert [page.status for page in found] == [200, 200, 422]
            assert "Too many codes were tried" in found[2].text
            assert "Coupon SPRING" not in found[2].text
