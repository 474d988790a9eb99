"""The worked cases of credit notes, cancellations with credit, and account credit: through the API, one test each."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.application.records import account_key
from tests.cases import expected, given
from tests.infra.billing_api import Billing
from tests.infra.test_cases_http import advance_to, case_on, explained, plan, price, publish

FRANCE = {"provider": "rates", "rates": [{"country": "FR", "rate": "20"}]}
METERS = [{"id": "calls", "name": "Calls"}]
BY_CHARGE, BY_USAGE = "charge", "usage"


def balance(billing: Billing, customer: str) -> int:
    account = billing.api.store.get(account_key(billing.api.sandbox.environment.id, customer))
    return sum(credit.amount for credit in account.credits)


def begun(billing: Billing, how: str, **terms: Any) -> Any:
    """A subscription of the case on the 8th, calendar billing; `usage` of the case waits to be billed."""
    case = given("CAN-01")
    metered = price("per_unit", 1, meter="calls")
    prices = [price(amount=case["plan"]["amount"]), *([metered] if how == BY_USAGE else [])]
    publish(billing, plan(prices), tax=FRANCE, **({"meters": METERS} if how == BY_USAGE else {}))
    customer = billing.customer("pm_card_visa", address={"country": "FR"})
    sub = billing.subscribe(customer, "pro", billing=case["billing"], **terms)
    if how == BY_USAGE:
        event = {"id": "e1", "customer": customer, "event": "calls", "value": case["usage"]}
        billing.ok("POST", "/v1/usage", {"events": [event]})
    else:
        charge = {"description": "Usage", "unit_amount": str(case["usage"])}
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/charges", charge)
    return sub


def cancel(billing: Billing, sub: Any, unused: str) -> Any:
    """The note and the final invoice."""
    path = f"/v1/subscriptions/{sub['id']}/cancel"
    billing.ok("POST", path, {"at": "now", "unused": unused})
    billing.advance("P2D")  # late usage may still come for a while
    (note,) = billing.ok("GET", "/v1/credit_notes", query={"customer": sub["customer"]})["data"]
    final = billing.invoices(sub["customer"])[0]
    explained(billing, sub["customer"])
    return note, final


@pytest.mark.parametrize("how", [BY_CHARGE, BY_USAGE])
def test_can_01_unused_time_pays_for_the_final_invoice(how):
    wanted = expected("CAN-01")
    with case_on(f"{given('CAN-01')['start']}T00:00:00+00:00") as billing:
        sub = begun(billing, how)
        (first,) = billing.invoices(sub["customer"])
        sums = wanted["first_invoice"]
        assert (first["total"], first["tax"], first["status"]) == (sums["total"], sums["tax"], "paid")
        advance_to(billing, "2025-02-21T09:00:00Z")
        note, final = cancel(billing, sub, "credit")
        assert note["total"] == note["credited"] == wanted["credit_note"]["total"]
        assert [(line["numerator"], line["denominator"]) for line in note["lines"]] == [(7, 21)]
        sums = wanted["final_invoice"]
        assert [line["net"] for line in final["lines"] if line["net"]] == [sums["net"]]
        assert (final["tax"], final["credit_applied"], final["amount_due"]) == (
            sums["tax"], sums["credit_applied"], sums["due"],
        )  # fmt: skip
        assert balance(billing, sub["customer"]) == wanted["credit_left"]


@pytest.mark.parametrize("how", [BY_CHARGE, BY_USAGE])
def test_can_02_the_note_lowers_what_is_due_before_it_refunds(how):
    wanted, paid = expected("CAN-02"), given("CAN-02")["paid_of_first_invoice"]
    with case_on(f"{given('CAN-01')['start']}T00:00:00+00:00") as billing:
        sub = begun(billing, how, collection={"method": "send_invoice", "net_days": 30})
        (first,) = billing.invoices(sub["customer"])
        transfer = {"customer": sub["customer"], "amount": paid, "currency": "USD"}
        billing.ok(
            "POST", "/v1/payments", transfer | {"allocations": [{"invoice": first["id"], "amount": paid}]}
        )
        advance_to(billing, "2025-02-21T09:00:00Z")
        note, final = cancel(billing, sub, "refund")
        assert (note["refunded"], note["credited"]) == (wanted["refund"], wanted["account_credit"])
        assert [each["amount"] for each in note["refunds"]] == [wanted["refund"]]
        first = billing.ok("GET", f"/v1/invoices/{first['id']}")
        assert (first["amount_remaining"], first["status"]) == (wanted["first_invoice_due"], "paid")
        assert (first["amount_refunded"], final["amount_due"]) == (
            wanted["refund"], wanted["final_invoice_due"],
        )  # fmt: skip
        assert balance(billing, sub["customer"]) == wanted["account_credit"]


@pytest.mark.parametrize("how", [BY_CHARGE, BY_USAGE])
def test_can_03_on_the_first_day_one_day_is_consumed(how):
    wanted = expected("CAN-03")
    with case_on(f"{given('CAN-03')['start']}T00:00:00+00:00") as billing:
        sub = begun(billing, how)
        advance_to(billing, "2025-02-08T12:00:00Z")
        note, final = cancel(billing, sub, "credit")
        sums = wanted["credit_note"]
        assert (note["total"], note["tax"], note["total"] - note["tax"]) == (
            sums["total"], sums["tax"], sums["net"],
        )  # fmt: skip
        sums = wanted["final_invoice"]
        assert (final["tax"], final["credit_applied"], final["amount_due"], final["status"]) == (
            sums["tax"], sums["credit_applied"], sums["due"], "paid",
        )  # fmt: skip
        assert balance(billing, sub["customer"]) == wanted["credit_left"]


def test_pro_13_an_adjusted_line_gives_only_what_is_left_of_it():
    case, wanted = given("PRO-13"), expected("PRO-13")
    with case_on(f"{case['period'][0]}T00:00:00+00:00") as billing:
        old = plan(price(amount=case["paid_line"]))
        new = plan(price(amount=case["new"]["amount"]), id="small", name="Small", rank=0)
        publish(billing, old, new)
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro")
        (first,) = billing.invoices(customer)
        adjusted = -case["adjusted_by"]
        body = {"lines": [{"line": first["lines"][0]["id"], "amount": adjusted}], "as": "refund"}
        billing.ok("POST", f"/v1/invoices/{first['id']}/credit_notes", body)
        advance_to(billing, "2012-05-02T00:00:00Z")
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "small", "at": "now"})
        given_back, charged = billing.invoices(customer)[0]["lines"]
        assert (-given_back["total"], charged["total"]) == (wanted["credit"], wanted["new_charge"])
        assert balance(billing, customer) == wanted["account_credit"]
        assert billing("POST", f"/v1/invoices/{first['id']}/credit_notes", {}).status == 409
        explained(billing, customer)


def test_crd_01_a_balance_pays_an_invoice():
    case, wanted = given("CRD-01"), expected("CRD-01")
    with case_on() as billing:
        publish(billing, plan(price(amount=case["invoice"])))
        customer = billing.customer("pm_card_visa")
        body = {"customer": customer, "amount": case["balance"], "currency": "USD"}
        billing.ok("POST", "/v1/payments", body)
        billing.subscribe(customer, "pro")
        (invoice,) = billing.invoices(customer)
        found = {
            "applied": -invoice["credit_applied"],
            "due": invoice["amount_due"],
            "status": invoice["status"],
            "balance": balance(billing, customer),
        }
        assert found == wanted
