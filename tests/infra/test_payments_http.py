"""Means of payment and payments as a client of the API sees them, and what the journal keeps of them."""

from __future__ import annotations

import pytest

from tests.infra.billing_api import MISSING, billing_on


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def test_a_payment_method_becomes_the_default(billing):
    customer = billing.customer()
    path = f"/v1/customers/{customer}/payment_methods"
    assert billing.ok("GET", path) == {"data": []}
    saved = billing("POST", path, {"payment_method": "pm_card_visa"})
    assert saved.status == 201
    assert saved.json["default"] is True
    assert billing.ok("GET", path) == {"data": [saved.json]}
    newer = billing.ok("POST", path, {"payment_method": "pm_card_mastercard"})
    assert [method["id"] for method in billing.ok("GET", path)["data"]] == [newer["id"]]
    assert billing.facts().count("payment_method.attached") == 2


def test_the_same_request_attaches_once(billing):
    customer = billing.customer()
    path, headers = f"/v1/customers/{customer}/payment_methods", {"Idempotency-Key": "one"}
    first, second = (
        billing("POST", path, {"payment_method": "pm_card_visa"}, headers=headers) for _ in range(2)
    )
    assert (first.status, second.status) == (201, 201)
    assert first.json == second.json
    assert billing.gateway.calls["attach_method"] == 1


def test_a_card_that_the_bank_refuses_is_not_kept(billing):
    customer = billing.customer("pm_card_visa")
    path = f"/v1/customers/{customer}/payment_methods"
    before = billing.ok("GET", path)
    refused = billing("POST", path, {"payment_method": "pm_card_chargeDeclined"})
    assert (refused.status, refused.json["code"]) == (402, "payment_declined")
    unusable = billing("POST", path, {"payment_method": "4242"})
    assert (unusable.status, unusable.json["field"]) == (400, "payment_method")
    assert billing.ok("GET", path) == before


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_customers_methods_are_not_found(billing, method):
    live = billing.api.live.secret_token
    foreign = billing.ok("POST", "/v1/customers", {"email": "eve@example.com"}, key=live)["id"]
    body = {"payment_method": "pm_card_visa"} if method == "POST" else None
    answers = [
        billing(method, f"/v1/customers/{customer}/payment_methods", body)
        for customer in (foreign, MISSING["cus"], "cus_x")
    ]
    assert [answer.status for answer in answers] == [404, 404, 404]
    assert {answer.json["code"] for answer in answers} == {"not_found"}
