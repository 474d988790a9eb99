"""The worked cases of usage through the API, and what no case has: thresholds, the end, prepaid credits."""

from __future__ import annotations

from typing import Any

from tests.cases import expected, given
from tests.infra.billing_api import Billing
from tests.infra.test_cases_http import advance_to, amounts, case_on, explained, french, plan, price, publish

CALLS: dict[str, Any] = {"id": "calls", "name": "API calls"}


def report(billing: Billing, customer: str, id_: str, value: int = 1, **more: Any) -> str:
    """What became of the event."""
    event = {"id": id_, "customer": customer, "event": "calls", "value": value, **more}
    status: str = billing.ok("POST", "/v1/usage", {"events": [event]})["data"][0]["status"]
    return status


def quantities(billing: Billing, sub: dict[str, Any]) -> list[int]:
    (usage,) = billing.ok("GET", f"/v1/subscriptions/{sub['id']}/usage")["data"]
    return [window["quantity"] for window in usage["windows"]]


def told(billing: Billing, type_: str) -> list[dict[str, Any]]:
    entries = billing.api.store.journal(billing.api.sandbox.environment.id)
    return [dict(fact.data) for entry in entries for fact in entry.facts if fact.type == type_]


def test_usg_07_a_quota_is_told_at_80_and_100_per_cent():
    case, wanted = given("USG-07"), expected("USG-07")
    with case_on() as billing:
        publish(billing, plan(price(amount=1000), quotas={"calls": case["included"]}), meters=[CALLS])
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro")
        before, found = 0, []
        for number, total in enumerate((799, 800, 999, 1000, 1500)):
            assert report(billing, customer, f"e{number}", total - before) == "recorded"
            before = total
            for fact in told(billing, "usage.quota_reached")[len(found) :]:
                found.append({"at": total, "name": f"quota_{fact['percent']}"})
        assert report(billing, customer, "e4", 500) == "duplicate"
        assert found == wanted["triggers"]
        assert len(told(billing, "usage.quota_reached")) == wanted["trigger_count"]
        assert quantities(billing, sub) == [wanted["period_usage"]]


def test_usg_08_a_number_of_units_is_told():
    case, wanted = given("USG-08"), expected("USG-08")
    with case_on() as billing:
        alerting = {**CALLS, "alerts": [case["units_threshold"]]}
        publish(billing, plan(price(amount=1000), quotas={"calls": None}), meters=[alerting])
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro")
        report(billing, customer, "a", 89)
        assert len(told(billing, "usage.threshold_reached")) == wanted["alerts_after_89"]
        report(billing, customer, "b", 5)
        report(billing, customer, "b", 5)
        assert len(told(billing, "usage.threshold_reached")) == wanted["alerts_after_94"]
        assert quantities(billing, sub) == [wanted["current"]]


def test_min_05_a_commitment_of_usage_is_in_the_preview():
    case, wanted = given("MIN-05"), expected("MIN-05")
    with case_on(f"{case['month']}-01T00:00:00+00:00") as billing:
        metered = price("per_unit", 1, meter="calls", minimum=str(case["charge_minimum"]))
        rule = {"country": "FR", "rate": str(case["tax_pct"])}
        tax = {"provider": "rates", "rates": [rule]}
        publish(billing, plan([price(amount=0), metered]), meters=[CALLS], tax=tax)
        customer = french(billing)
        sub = billing.subscribe(customer, "pro")
        advance_to(billing, f"{case['month']}-03T09:00:00Z")
        report(billing, customer, "a", case["usage"])
        coming = billing.ok("GET", f"/v1/subscriptions/{sub['id']}/upcoming_invoice")
        fees = sum(line["net"] for line in coming["lines"])
        assert {"fees": fees, "tax": coming["tax"], "total": coming["total"]} == wanted
        assert case["usage"] in amounts(coming)


def test_pro_04_an_upgrade_bills_what_was_used_on_the_old_plan():
    case, wanted = given("PRO-04"), expected("PRO-04")
    with case_on("2024-02-01T00:00:00+00:00") as billing:
        calls = price("per_unit", 2, meter="calls")
        old = plan([price(amount=case["old"]["amount"]), calls])
        new = plan([price(amount=case["new"]["amount"]), calls], id="big", name="Big", rank=2)
        publish(billing, old, new, meters=[CALLS])
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro", billing=case["billing"])
        report(billing, customer, "a", case["usage_fee_of_old_plan"] // 2)
        advance_to(billing, "2024-02-12T06:00:00Z")
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "big"})
        invoice = billing.invoices(customer)[0]
        assert invoice["total"] == wanted["invoice_total"]
        assert sorted(amounts(invoice)) == sorted(
            [-wanted["credit"], case["usage_fee_of_old_plan"], wanted["new_charge"]]
        )
        explained(billing, customer)


def test_at_an_amount_usage_is_billed_within_its_period():
    with case_on() as billing:
        calls = price("per_unit", 2, meter="calls", bill_at=1000)
        publish(billing, plan([price(amount=2900), calls]), meters=[CALLS])
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer, "pro")
        report(billing, customer, "a", 499)
        report(billing, customer, "b", 101)
        billing.advance("PT1M")
        report(billing, customer, "c", 7)
        billing.advance("P1M")
        found = [amounts(invoice) for invoice in reversed(billing.invoices(customer))]
        assert found == [[2900], [1200], [14, 2900]]
        explained(billing, customer)


class TestPrepaidCredits:
    def test_bought_drawn_and_read(self):
        with case_on() as billing:
            rule = {"country": "FR", "rate": "20"}
            calls = price("per_unit", 2, meter="calls")
            tax = {"provider": "rates", "rates": [rule]}
            publish(billing, plan([price(amount=2900), calls]), meters=[CALLS], tax=tax)
            customer = french(billing)
            sub = billing.subscribe(customer, "pro")
            path = f"/v1/customers/{customer}/credit_grants"
            terms = {"amount": 1000, "currency": "USD", "price": 900, "subscription": sub["id"]}
            grant = billing.ok("POST", path, terms)
            assert (grant["balance"], grant["waiting"]) == (1000, False)
            assert billing.ok("GET", f"/v1/invoices/{grant['invoice']}")["total"] == 1080
            report(billing, customer, "a", 600)
            billing.advance("P1M")
            invoice = billing.invoices(customer)[0]
            used, fee = invoice["lines"]
            assert (used["amount"], used["discount"], used["net"], used["tax"]) == (1200, 1000, 200, 40)
            assert [share["coupon"] for share in used["discounts"]] == [grant["id"]]
            assert fee["discount"] == 0
            assert billing.ok("GET", path)["balances"] == {"USD": 0}
            assert len(told(billing, "credits.depleted")) == 1
            explained(billing, customer)

    def test_refused(self):
        with case_on() as billing:
            publish(billing, plan([price(amount=2900)]))
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro")
            path = f"/v1/customers/{customer}/credit_grants"
            for body in (
                {"amount": 0, "currency": "USD"},
                {"amount": 5, "currency": "XXY"},
                {"amount": 5, "currency": "USD", "price": 5},
                {"amount": 5, "currency": "EUR", "price": 5, "subscription": sub["id"]},
                {"amount": 5, "currency": "USD", "expires_at": "2020-01-01T00:00:00Z"},
            ):
                assert billing("POST", path, body).status in (400, 422), body
            assert billing.ok("GET", path)["data"] == []

    def test_topped_up_by_itself(self):
        with case_on() as billing:
            calls = price("per_unit", 2, meter="calls", bill_at=500)
            publish(billing, plan([price(amount=2900), calls]), meters=[CALLS])
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro")
            billing.ok("POST", f"/v1/customers/{customer}/credit_grants", {"amount": 900, "currency": "USD"})
            top_up = {
                "currency": "USD",
                "below": 500,
                "amount": 2000,
                "price": 1800,
                "subscription": sub["id"],
            }
            path = f"/v1/customers/{customer}/credit_top_up"
            assert billing.ok("PUT", path, {"top_up": top_up})["top_up"]["most_per_month"] == 3
            report(billing, customer, "a", 300)
            billing.advance("PT1M")
            read = billing.ok("GET", f"/v1/customers/{customer}/credit_grants")
            assert read["balances"] == {"USD": 2300}
            assert billing.ok("GET", f"/v1/customers/{customer}/entitlements")["credits"] == {"USD": 2300}
            assert billing.ok("PUT", path, {"top_up": None})["top_up"] is None
