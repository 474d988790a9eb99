"""The worked cases of `tests/cases.yaml` through the API: one test per case, named by its id.

Each publishes the catalog that the case speaks of, subscribes a customer in a sandbox and moves its clock.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import pytest

from chalicelib.application.feed import append
from tests.cases import expected, given
from tests.infra.billing_api import Billing, billing_on

SELLER = {"name": "Acme Ltd", "country": "IE"}


@contextmanager
def case_on(start: str = "2027-03-01T00:00:00+00:00"):
    """A sandbox whose clock stands at `start`."""
    with billing_on(now=datetime.fromisoformat(start)) as billing:
        yield billing


def price(model: str = "flat", amount: int | str | None = None, **terms: Any) -> dict[str, Any]:
    """A monthly price in dollars."""
    found = {"interval": "month", "currency": "USD", "model": model, **terms}
    return found if amount is None else found | {"unit_amount": str(amount)}


def tiered(model: str, tiers: list[Any], **terms: Any) -> dict[str, Any]:
    """From (up_to, unit amount) pairs."""
    rows = [{"up_to": up_to, "unit_amount": str(amount)} for up_to, amount in tiers]
    return price(model, tiers=rows, **terms)


def plan(prices: dict[str, Any] | list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    listed = prices if isinstance(prices, list) else [prices]
    return {"id": "pro", "name": "Pro", "rank": 1, "per_seat": False, "prices": listed, **fields}


def publish(billing: Billing, *plans: dict[str, Any], **more: Any) -> None:
    version = billing.ok("GET", "/v1/catalog")["version"]
    body = {"seller": SELLER, "plans": list(plans), **more}
    currency = plans[0]["prices"][0]["currency"] if plans[0]["prices"] else "USD"
    answer = billing(
        "PUT", "/v1/catalog", {"default_currency": currency, **body}, headers={"If-Match": f'"{version}"'}
    )
    assert answer.status == 200, answer.text


def renewed(billing: Billing, quantity: int = 1, name: str = "pro", **order: Any) -> dict[str, Any]:
    """The renewal invoice of a new subscription, after checking that it explains itself."""
    customer = billing.customer("pm_card_visa")
    seats = {} if quantity == 1 else {"quantity": quantity}
    billing.subscribe(customer, name, **seats, **order)
    billing.advance("P1M")
    invoice: dict[str, Any] = billing.invoices(customer)[0]
    explained(billing, customer)
    return invoice


def explained(billing: Billing, customer: str) -> None:
    for invoice in billing.invoices(customer):
        again = billing.ok("GET", f"/v1/invoices/{invoice['id']}/explain")
        assert again["differences"] == []
        assert (again["total"], again["amount_due"]) == (invoice["total"], invoice["amount_due"])


def amounts(invoice: dict[str, Any]) -> list[int]:
    return [line["amount"] for line in invoice["lines"]]


def totals(prices: Any, quantities: list[int], **order: Any) -> list[int]:
    """What renewals of so many units cost, each in a sandbox of its own."""
    found = []
    with case_on() as billing:
        publish(billing, plan(prices, per_seat=True))
        for quantity in quantities:
            found.append(renewed(billing, quantity, **order)["total"])
            billing.advance("P1D")
    return found


def test_tir_01_graduated_with_flat_fees():
    tiers = [
        {"up_to": tier["up_to"], "unit_amount": str(tier["unit"]), "flat_amount": str(tier["flat"])}
        for tier in given("TIR-01")["tiers"]
    ]
    # nobody can hold zero seats: that quantity is asked of the domain, in test_pricing
    wanted = dict(zip([0, 1, 10, 11, 12, 21], expected("TIR-01")["totals"], strict=True))
    del wanted[0]
    assert totals(price("graduated", tiers=tiers), list(wanted)) == list(wanted.values())


def test_tir_06_graduated_without_fees():
    tiers = [(tier["up_to"], tier["unit"]) for tier in given("TIR-06")["tiers"]]
    wanted = dict(zip([0, 50, 100, 250, 500, 1000], expected("TIR-06")["totals"], strict=True))
    del wanted[0]
    assert totals(tiered("graduated", tiers), list(wanted)) == list(wanted.values())


def test_tir_08_volume_by_whole_thousands():
    case = given("TIR-08")
    tiers = [(tier["up_to"], f"0.{tier['per_1000']:03}".rstrip("0")) for tier in case["tiers"]]
    tokens = tiered("volume", tiers, billing_unit=case["billing_unit"])
    assert totals(tokens, [1500, 50_000, 99_500, 150_000]) == expected("TIR-08")["totals"]


def test_tir_15_seats_above_those_in_the_base():
    case = given("TIR-15")
    with case_on() as billing:
        seats = tiered("graduated", case["graduated_seats"])
        publish(
            billing,
            plan(price(amount=case["base"])),
            add_ons=[{"id": "seats", "name": "Seats", "prices": [seats]}],
        )
        found = [
            renewed(billing, add_ons=[{"id": "seats", "quantity": quantity}])["total"]
            for quantity in (1, 50, 51)
        ]
    assert found == expected("TIR-15")["recurring"]


def test_qty_04_across_a_volume_tier():
    case, wanted = given("QTY-04"), expected("QTY-04")
    found = totals(tiered("volume", case["volume_tiers"]), [case["from"], case["to"]])
    assert found == [wanted["recurring_before"], wanted["recurring_after"]]


def test_qty_07_143_seats_beside_a_base():
    case, wanted = given("QTY-07"), expected("QTY-07")
    with case_on() as billing:
        seats = tiered("graduated", case["graduated_seats"])
        publish(
            billing,
            plan(price(amount=case["base"])),
            add_ons=[{"id": "seats", "name": "Seats", "prices": [seats]}],
        )
        invoice = renewed(billing, add_ons=[{"id": "seats", "quantity": 143}])
    assert invoice["total"] == wanted["recurring_at_143"]
    assert [step["quantity"] for step in invoice["lines"][1]["steps"]] == [50, 50, 43]


def test_cur_01_yen_have_no_decimals():
    case, wanted = given("CUR-01"), expected("CUR-01")
    found = []
    for start in ("2027-03-22", "2027-03-11"):
        with case_on(f"{start}T00:00:00+00:00") as billing:
            publish(billing, plan(price(amount=case["plan"]["amount"], currency=case["currency"])))
            customer = billing.customer("pm_card_visa")
            billing.subscribe(customer, "pro", billing="calendar")
            (invoice,) = billing.invoices(customer)
            (line,) = invoice["lines"]
            assert line["denominator"] == 31
            explained(billing, customer)
            found.append(invoice["total"])
    assert found == wanted["amounts"]
    assert sum(found) == wanted["sum"]


def french(billing: Billing, **fields: Any) -> str:
    return billing.customer("pm_card_visa", address={"country": "FR"}, **fields)


def test_tax_03_added_and_contained():
    case, found = given("TAX-03"), {}
    for name in ("exclusive", "inclusive"):
        rule = {"country": "FR", "rate": str(case["rates"][f"{name}_pct"]), "inclusive": name == "inclusive"}
        with case_on() as billing:
            publish(billing, plan(price(amount=case["price"])), tax={"provider": "rates", "rates": [rule]})
            customer = french(billing)
            billing.subscribe(customer, "pro")
            (invoice,) = billing.invoices(customer)
            (line,) = invoice["lines"]
            found[name] = {"net": line["net"], "tax": invoice["tax"], "total": invoice["total"]}
            explained(billing, customer)
            elsewhere = billing.customer("pm_card_visa")
            billing.subscribe(elsewhere, "pro")
            assert billing.invoices(elsewhere)[0]["tax"] == 0
    assert found == expected("TAX-03")


@pytest.mark.parametrize("case_id", ["PRO-02", "PRO-03"])
def test_pro_02_and_03_two_upgrades_on_one_day_with_tax(case_id):
    case, wanted = given(case_id), expected(case_id)
    with case_on("2024-03-05T12:12:00+00:00") as billing:
        rule = {"country": "FR", "rate": str(case["tax_rate_pct"])}
        plans = [
            plan(price(amount=amount), id=f"p{rank}", name=f"P{rank}", rank=rank)
            for rank, amount in enumerate(case["plans"])
        ]
        publish(billing, *plans, tax={"provider": "rates", "rates": [rule]})
        customer = french(billing)
        sub = billing.subscribe(customer, "p0", billing=case["billing"])
        for name, instant in (("p1", "2024-03-12T12:12:00Z"), ("p2", "2024-03-12T13:12:00Z")):
            advance_to(billing, instant)
            billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": name})
        lines = [line for invoice in reversed(billing.invoices(customer)) for line in invoice["lines"]]
        charges = [line["net"] for line in lines if line["reversal"] is None]
        credits = [-line["total"] for line in lines if line["reversal"]]
        assert (charges, credits) == (wanted["charges_excl_tax"], wanted["credits_incl_tax"])
        explained(billing, customer)


def test_a_vat_id_of_another_country_reverses_the_charge():
    with case_on() as billing:
        rule = {"country": "FR", "rate": "20", "reverse_charge": True}
        publish(billing, plan(price(amount=1000)), tax={"provider": "rates", "rates": [rule]})
        customer = french(billing, tax_ids=["FR40303265045"])
        billing.subscribe(customer, "pro")
        (line,) = billing.invoices(customer)[0]["lines"]
        assert (line["tax"], line["tax_rate"], line["tax_note"]) == (0, "0", "reverse_charge")


ARREARS = {"timing": "in_arrears"}


def advance_to(billing: Billing, instant: str) -> None:
    billing.ok("POST", "/v1/clock/advance", {"to": instant})


def periods(billing: Billing, customer: str) -> list[list[str]]:
    """First days of the billed periods and of what follows them, oldest first."""
    found = reversed(billing.invoices(customer))
    return [[invoice["period"]["start"][:10], invoice["period"]["end"][:10]] for invoice in found]


def test_anc_01_in_arrears_from_the_31st():
    case, wanted = given("ANC-01"), expected("ANC-01")
    with case_on("2024-01-31T01:00:00+00:00") as billing:
        publish(billing, plan(price(amount=1000, **ARREARS)))
        customer = billing.customer("pm_card_visa", time_zone=case["tz"])
        sub = billing.subscribe(customer, "pro", billing=case["billing"])
        assert (sub["status"], sub["latest_invoice"], billing.invoices(customer)) == ("active", None, [])
        for day in ("2024-02-29", "2024-03-31", "2024-04-30"):
            advance_to(billing, f"{day}T02:00:00Z")
        assert periods(billing, customer) == wanted["periods"]
        assert len(billing.invoices(customer)) == wanted["invoices"]
        assert {invoice["status"] for invoice in billing.invoices(customer)} == {"paid"}
        explained(billing, customer)


def test_anc_12_the_end_of_a_month_in_kolkata_is_billed_once():
    wanted = expected("ANC-12")
    with case_on("2023-01-31T18:30:00+00:00") as billing:
        publish(billing, plan(price(amount=1000, **ARREARS)))
        customer = billing.customer("pm_card_visa", time_zone="Asia/Kolkata")
        billing.subscribe(customer, "pro", billing="calendar")
        found = []
        for run in (
            "2023-02-28T18:00:00Z", "2023-02-28T19:00:00Z", "2023-03-01T00:00:00Z",
            "2023-03-01T18:00:00Z", "2023-03-01T19:00:00Z", "2023-03-02T00:00:00Z",
        ):  # fmt: skip
            advance_to(billing, run)
            found.append(len(billing.invoices(customer)))
        assert found == wanted["invoices_after_each_run"]


def test_can_09_what_was_served_is_billed_at_the_end():
    case, wanted = given("CAN-09"), expected("CAN-09")
    with case_on("2023-09-05T00:00:00+00:00") as billing:
        publish(billing, plan(price(amount=case["plan"]["amount"], **ARREARS)))
        customer = billing.customer("pm_card_visa", time_zone=case["tz"])
        sub = billing.subscribe(customer, "pro")
        advance_to(billing, case["ending_at"])
        ended = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"at": "now"})
        assert ended["status"] == "canceled"
        (invoice,) = billing.invoices(customer)
        assert (invoice["cause"], invoice["total"], invoice["status"]) == (
            "final",
            wanted["final_invoice"],
            "paid",
        )
        assert invoice["lines"][0]["numerator"] == wanted["days_billed"]
        assert invoice["issued_at"][:10] == wanted["issuing_date"]
        explained(billing, customer)
        again = billing("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"at": "now"})
        assert again.status == 409
        assert len(billing.invoices(customer)) == 1


@pytest.mark.parametrize(
    ("how", "until", "key"),
    [("calendar", "2023-03-01", "true_up"), ("anniversary", "2023-03-04", "anniversary_billing_instead")],
)
def test_min_01_a_commitment_in_arrears(how, until, key):
    case, wanted = given("MIN-01"), expected("MIN-01")
    with case_on(f"{case['start']}T00:00:00+00:00") as billing:
        terms = price(amount=case["subscription"], minimum=str(case["commitment"]), **ARREARS)
        publish(billing, plan(terms))
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer, "pro", billing=how)
        advance_to(billing, f"{until}T01:00:00Z")
        (invoice,) = billing.invoices(customer)
        assert [line["amount"] for line in invoice["lines"] if line["kind"] == "true_up"] == [wanted[key]]
        explained(billing, customer)


def test_pro_05_an_upgrade_in_arrears_closes_what_was_served():
    case, wanted = given("PRO-05"), expected("PRO-05")
    with case_on("2024-02-01T00:00:00+00:00") as billing:
        old = plan(price(amount=case["old"]["amount"], **ARREARS))
        new = plan(price(amount=case["new"]["amount"], **ARREARS), id="big", name="Big", rank=2)
        extra = price(amount=case["add_on_prorated_in_arrears"], **ARREARS)
        publish(billing, old, new, add_ons=[{"id": "extra", "name": "Extra", "prices": [extra]}])
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro", add_ons=[{"id": "extra"}], billing=case["billing"])
        advance_to(billing, "2024-02-12T06:00:00Z")
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "big"})
        advance_to(billing, "2024-03-01T01:00:00Z")
        first, closing = billing.invoices(customer)
        assert closing["total"] == wanted["closing_invoice_of_old"]
        assert first["total"] == wanted["first_invoice_of_new"]
        assert [(line["numerator"], line["denominator"]) for line in first["lines"]] == [(18, 29)] * 2
        explained(billing, customer)


class TestInArrears:
    def test_what_comes_is_shown_before(self):
        """The draft of the next invoice, and the preview of a cancellation with its final one."""
        with case_on() as billing:
            publish(billing, plan(price(amount=3100, **ARREARS)))
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro")
            billing.advance("P9D")
            path = f"/v1/subscriptions/{sub['id']}"
            coming = billing.ok("GET", f"{path}/upcoming_invoice")
            assert (coming["total"], amounts(coming)) == (3100, [3100])
            shown = billing.ok("POST", f"{path}/cancel/preview", {"at": "now"})
            assert [invoice["total"] for invoice in shown["invoices"]] == [1000]
            billing.ok("POST", f"{path}/cancel", {"at": "now", "preview_token": shown["token"]})
            (invoice,) = billing.invoices(customer)
            assert (invoice["total"], invoice["lines"]) == (1000, shown["invoices"][0]["lines"])

    def test_down_to_a_free_plan_bills_what_was_served(self):
        with case_on() as billing:
            free = {"id": "free", "name": "Free", "rank": 0}
            publish(billing, plan(price(amount=1000, **ARREARS)), free)
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro")
            billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "free"})
            billing.advance("P2M")
            (invoice,) = billing.invoices(customer)
            assert (invoice["total"], invoice["cause"], invoice["status"]) == (1000, "final", "paid")

    def test_what_is_not_served_is_credited_without_what_was(self):
        """A mixed invoice that is given up: the month in arrears was served, of the month in advance a part."""
        with case_on() as billing:
            extra = {"id": "help", "name": "Help", "prices": [price(amount=3000, **ARREARS)]}
            publish(billing, plan(price(amount=3000)), add_ons=[extra])
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro", add_ons=[{"id": "help"}])
            for method in list(billing.gateway.methods):
                billing.gateway.behave(method, "generic_decline")
            billing.advance("P1M")
            billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"at": "now"})
            found = {invoice["cause"]: invoice for invoice in billing.invoices(customer)[:2]}
            assert found["cycle"]["total"] == 6000
            assert found["cycle"]["credited"] == 3000 * 29 // 30
            assert (found["final"]["total"], found["final"]["lines"][0]["numerator"]) == (100, 1)

    def test_beside_what_is_paid_in_advance(self):
        """One invoice: the period that is over of the one, the period that begins of the other."""
        with case_on() as billing:
            extra = {"id": "help", "name": "Help", "prices": [price(amount=500, **ARREARS)]}
            publish(billing, plan(price(amount=2000)), add_ons=[extra])
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro", add_ons=[{"id": "help"}])
            (first,) = billing.invoices(customer)
            assert amounts(first) == [2000]
            billing.advance("P1M")
            second = billing.invoices(customer)[0]
            assert [(line["amount"], line["period"]["start"][:10]) for line in second["lines"]] == [
                (500, "2027-03-01"),
                (2000, "2027-04-01"),
            ]
            billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"at": "period_end"})
            billing.advance("P1M")
            final = billing.invoices(customer)[0]
            assert (final["cause"], amounts(final), final["status"]) == ("final", [500], "paid")
            assert [line["period"]["start"][:10] for line in final["lines"]] == ["2027-04-01"]
            explained(billing, customer)
            billing.advance("P2M")
            assert len(billing.invoices(customer)) == 3

    def test_on_a_hosted_page_the_card_is_saved_and_nothing_paid(self):
        with case_on() as billing:
            publish(billing, plan(price(amount=1000, **ARREARS)))
            home = billing.api.services.public_url
            body = {"plan": "pro", "success_url": f"{home}/ok", "cancel_url": f"{home}/no"}
            customer = billing.customer()
            session = billing.ok("POST", "/v1/checkout_sessions", {"customer": customer, **body})
            assert session["mode"] == "setup"
            billing.gateway.pay_checkout("cs_mem_1")
            env = billing.api.sandbox.environment.id
            billing("GET", "/checkout/return", key="", query={"env": env, "session": session["id"]})
            sub = billing.ok("GET", f"/v1/subscriptions/{session['subscription']}")
            assert (sub["status"], billing.invoices(customer)) == ("active", [])
            billing.advance("P1M")
            (invoice,) = billing.invoices(customer)
            assert (invoice["total"], invoice["status"]) == (1000, "paid")

    def test_what_is_ordered_says_when_it_is_paid(self):
        with case_on() as billing:
            publish(billing, plan(price(amount=1000, **ARREARS)))
            (offered,) = billing.ok("GET", "/v1/plans")["plans"][0]["prices"]
            assert (offered["timing"], offered["notes"]) == ("in_arrears", ["paid at the end of each month"])

    def test_a_decline_is_dunned_as_any_other(self):
        with case_on() as billing:
            publish(billing, plan(price(amount=1000, **ARREARS)))
            customer = billing.customer("pm_card_visa")
            sub = billing.subscribe(customer, "pro")
            for method in list(billing.gateway.methods):
                billing.gateway.behave(method, "generic_decline")
            billing.advance("P1M")
            shown = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
            assert (shown["status"], len(shown["dunning"]["invoices"])) == ("past_due", 1)


def mrr_months(billing: Billing, **query: str) -> list[dict[str, Any]]:
    """The months of the MRR report in the only currency, once everything is projected."""
    env = billing.api.sandbox.environment.id
    append(billing.api.services.ops, env, billing.api.store.journal(env))
    (found,) = billing.ok("GET", "/v1/reports/mrr", query=query)["data"]
    months: list[dict[str, Any]] = found["months"]
    return months


def test_met_04_trials_stand_apart_from_the_mrr():
    case, wanted = given("MET-04"), expected("MET-04")
    ((until, amount),) = case["trial_until"].items()
    assert amount == case["active"]["amount"] == case["trial_cancelled"]["amount"]
    with case_on("2024-01-15T00:00:00+00:00") as billing:
        ends = {"runs": until, "canceled": case["trial_cancelled"]["ends"]}
        days = {name: (date.fromisoformat(end) - date(2024, 1, 15)).days for name, end in ends.items()}
        publish(billing, plan(price(amount=amount), trial={"days": days["runs"], "on_end": "cancel"}))
        billing.subscribe(billing.customer("pm_card_visa"), "pro")
        for name in ("runs", "canceled"):
            customer = billing.customer("pm_card_visa", email=f"{name}@example.com")
            sub = billing.subscribe(customer, "pro", trial_days=days[name])
            assert sub["status"] == "trialing"
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"at": "period_end"})
        advance_to(billing, "2024-03-31T12:00:00Z")
        months = mrr_months(billing, **{"from": "2024-01"})
        assert [month["closing"] for month in months] == wanted["mrr"]
        assert [month["trials"]["mrr"] for month in months] == wanted["trial_mrr"]


def test_met_05_a_discount_forever_lowers_the_mrr():
    case, wanted = given("MET-05"), expected("MET-05")
    with case_on() as billing:
        publish(billing, plan(price(amount=case["amount"])))
        discount = {"percent": str(case["discount"]["pct"]), "duration": case["discount"]["duration"]}
        coupon = billing.ok("POST", "/v1/coupons", {"id": "HALF", **discount})
        sub = billing.subscribe(billing.customer("pm_card_visa"), "pro", coupon=coupon["id"])
        assert sub["mrr"] == wanted["mrr"]
        (month,) = mrr_months(billing, **{"from": "2027-03"})
        assert (month["movements"]["new"], month["closing"]) == (wanted["mrr"], wanted["mrr"])
        billing.ok("DELETE", f"/v1/subscriptions/{sub['id']}/coupons/HALF")
        (month,) = mrr_months(billing, **{"from": "2027-03"})
        assert month["movements"]["expansion"] == case["amount"] - wanted["mrr"]
        assert month["closing"] == case["amount"]


def test_met_10_a_month_is_closed():
    case, wanted = given("MET-10"), expected("MET-10")
    seat = 1000
    with case_on("2024-01-10T00:00:00+00:00") as billing:
        publish(billing, plan(price("per_unit", seat), per_seat=True))

        def seats(name: str) -> int:
            return case[name] // seat

        def bought(quantity: int) -> str:
            sub = billing.subscribe(billing.customer("pm_card_visa"), "pro", quantity=quantity)
            found: str = sub["id"]
            return found

        rest = seats("start_mrr") - seats("churn") - 2 * seats("contraction")
        grows, leaves, shrinks = bought(rest), bought(seats("churn")), bought(2 * seats("contraction"))
        billing.advance("P1M")
        for sub, quantity in (
            (grows, rest + seats("expansion")),
            (shrinks, seats("contraction")),
        ):
            billing.ok("POST", f"/v1/subscriptions/{sub}/change", {"quantity": quantity, "at": "now"})
        billing.ok("POST", f"/v1/subscriptions/{leaves}/cancel", {"at": "now"})
        bought(seats("new"))
        (month,) = mrr_months(billing, **{"from": "2024-02", "to": "2024-02"})
        assert month["opening"] == case["start_mrr"]
        assert month["closing"] == wanted["end_mrr"]
        assert month["net_new"] == wanted["net_new_mrr"]
        assert month["net_revenue_retention"] == wanted["nrr_bp"]
        assert month["gross_revenue_retention"] == wanted["grr_bp"]
        for kind in ("expansion", "contraction", "churn", "new"):
            page = billing.ok("GET", "/v1/reports/mrr/movements", query={"month": "2024-02", "kind": kind})
            assert abs(sum(row["amount"] for row in page["data"])) == case[kind]


class TestOtherModels:
    """What no case has: still through the API, with its sentence."""

    def sentence(self, billing: Billing, invoice: dict[str, Any], index: int = 0) -> str:
        lines = billing.ok("GET", f"/v1/invoices/{invoice['id']}/explain")["lines"]
        return " ".join(lines[index]["sentence"].split())

    def test_packages_a_percentage_and_an_allowance(self):
        with case_on() as billing:
            publish(billing, plan(price("package", 500, package_size=1000, included=200), per_seat=True))
            invoice = renewed(billing, 2300)
            assert invoice["total"] == 3 * 500
            assert self.sentence(billing, invoice) == (
                "Pro × 2300, 200 included, Apr 1 – 30: 3 packages of 1,000 × $5.00"
            )
            page = billing("GET", "/pricing", query={"key": billing.api.sandbox.publishable_token}).text
            assert "per 1,000, per month" in page
            assert "A begun 1,000 counts whole, the first 200 are included." in page
            publish(billing, plan(price("percentage", "2.5"), per_seat=True))
            invoice = renewed(billing, 123_450)
            assert invoice["total"] == 3086
            assert self.sentence(billing, invoice).endswith(": 2.5 % × $1,234.50")

    def test_finer_than_a_cent(self):
        with case_on() as billing:
            publish(billing, plan(price("per_unit", "0.000000000001"), per_seat=True))
            assert renewed(billing, 1_000_000)["total"] == 0

    def test_a_commitment_is_made_up_for_by_a_line_of_its_own(self):
        with case_on() as billing:
            publish(billing, plan(price("per_unit", 1000, minimum="5000"), per_seat=True))
            short = renewed(billing, 3)
            assert [(line["kind"], line["amount"]) for line in short["lines"]] == [
                ("recurring", 3000),
                ("true_up", 2000),
            ]
            assert self.sentence(billing, short, 1) == "Pro, minimum, Apr 1 – 30: $50.00 − 3 × $10.00"
            assert amounts(renewed(billing, 5)) == [5000]

    def test_the_price_list_says_the_tiers(self):
        with case_on() as billing:
            tiers = [(10, 1000), (None, 800)]
            publish(billing, plan(tiered("volume", tiers, minimum="5000", included=2), per_seat=True))
            offered = billing.ok("GET", "/v1/plans")["plans"][0]["prices"][0]
            assert (offered["unit_amount"], offered["formatted"]) == (None, "from $8.00")
            assert [tier["formatted"] for tier in offered["tiers"]] == [
                "1 – 10: $10.00 each",
                "11 and more: $8.00 each",
            ]
            assert offered["notes"] == [
                "all at the price of the tier that you reach",
                "the first 2 are included",
                "at least $50",
            ]
            key = billing.api.sandbox.publishable_token
            page = billing("GET", "/pricing", query={"key": key}).text
            for text in ("from $8", "11 and more", "$10 each", "at least $50."):
                assert text in page
