"""Refunds as a client of the API sees them."""

from __future__ import annotations

import pytest

from tests.infra.billing_api import MISSING, billing_on

PRICE = 1900


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


@pytest.fixture
def payment(billing):
    customer = billing.customer("pm_card_visa")
    billing.subscribe(customer)
    (found,) = billing.ok("GET", "/v1/payments", query={"customer": customer})["data"]
    return found


def ask(billing, payment, body=None, **options):
    return billing("POST", f"/v1/payments/{payment['id']}/refunds", body or {}, **options)


def test_part_of_a_payment(billing, payment):
    made = ask(billing, payment, {"amount": 500, "reason": "two days of outage"})
    assert made.status == 201
    (invoice,) = billing.invoices(payment["customer"])
    assert made.json | {"id": ""} == {
        "id": "",
        "payment": payment["id"],
        "amount": 500,
        "currency": "USD",
        "status": "succeeded",
        "reason": "two days of outage",
        "failure": None,
        "allocations": [{"invoice": invoice["id"], "amount": 500}],
        "reference": "re_mem_1",
        "at": "2027-03-01T09:30:00Z",
        "settled_at": "2027-03-01T09:30:00Z",
    }
    assert made.json["id"].startswith("ref_")
    read = billing.ok("GET", f"/v1/payments/{payment['id']}")
    assert (read["amount"], read["refunded"], read["refunding"]) == (PRICE, 500, 0)
    assert read["refunds"] == [made.json]
    assert billing.ok("GET", "/v1/payments", query={"customer": payment["customer"]})["data"] == [read]
    assert (invoice["status"], invoice["total"], invoice["amount_refunded"]) == ("paid", PRICE, 500)


def test_what_is_left_and_then_nothing(billing, payment):
    ask(billing, payment, {"amount": 500})
    assert ask(billing, payment).json["amount"] == PRICE - 500
    over = ask(billing, payment)
    assert (over.status, over.json["code"]) == (409, "invalid_state")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": PRICE + 1}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"reason": "x" * 501}, "reason"),
        ({"currency": "EUR"}, "currency"),
        ({"refunded": 5}, "refunded"),
    ],
)
def test_what_cannot_be_is_refused(billing, payment, body, field):
    refused = ask(billing, payment, body)
    assert (refused.status, refused.json["field"]) == (400, field)
    assert billing.gateway.refunds == {}
    assert "refund.created" not in billing.facts()


def test_another_invoice_is_not_found(billing, payment):
    refused = ask(billing, payment, {"invoice": MISSING["inv"]})
    assert (refused.status, refused.json["field"]) == (404, "invoice")


def test_the_same_key_refunds_once(billing, payment):
    headers = {"Idempotency-Key": "case-17"}
    first, again = (ask(billing, payment, {"amount": 500}, headers=headers) for _ in range(2))
    assert (first.status, first.json) == (again.status, again.json)
    other = ask(billing, payment, {"amount": 600}, headers=headers)
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert billing.gateway.refunded("USD") == 500


def test_without_an_outcome_it_is_202_and_on_record(billing, payment):
    billing.gateway.script(["lost_before_charge"], on="refund")
    made = ask(billing, payment, {"amount": 500})
    assert (made.status, made.json["status"], made.json["reference"]) == (202, "in_flight", None)
    read = billing.ok("GET", f"/v1/payments/{payment['id']}")
    assert (read["refunded"], read["refunding"], read["refunds"]) == (0, 500, [made.json])


def test_an_outage_is_503_and_the_same_request_goes_on(billing, payment):
    headers = {"Idempotency-Key": "case-17"}
    billing.gateway.script(["unavailable"], on="refund")
    away = ask(billing, payment, {"amount": 500}, headers=headers)
    assert (away.status, away.json["code"]) == (503, "gateway_unavailable")
    assert ask(billing, payment, {"amount": 500}, headers=headers).json["status"] == "succeeded"
    assert billing.gateway.refunded("USD") == 500


def test_what_the_processor_refuses_is_said(billing, payment):
    billing.gateway.refund_in_dashboard(payment["reference"], PRICE)
    made = ask(billing, payment)
    assert (made.status, made.json["status"], made.json["failure"]) == (
        201,
        "failed",
        "charge_already_refunded",
    )


def test_it_takes_a_key_that_may_refund(billing, payment):
    writer = billing.ok("POST", "/v1/api_keys", {"name": "w", "scopes": ["write"]})["key"]
    refused = ask(billing, payment, key=writer)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    clerk = billing.ok("POST", "/v1/api_keys", {"name": "r", "scopes": ["refund"]})["key"]
    assert ask(billing, payment, {"amount": 1}, key=clerk).status == 201
