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


class TestPayments:
    def test_a_card_payment_is_found_by_its_own_id(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        (invoice,) = billing.invoices(customer)
        (listed,) = billing.ok("GET", "/v1/payments", query={"customer": customer})["data"]
        assert listed["id"] == invoice["payments"][0]["id"]
        assert listed["id"].startswith("pay_")
        assert (listed["kind"], listed["amount"], listed["currency"]) == ("card", 1900, "USD")
        assert listed["allocations"] == [{"invoice": invoice["id"], "amount": 1900}]
        assert listed["payment_method"]["last4"]
        assert billing.ok("GET", f"/v1/payments/{listed['id']}") == listed

    def test_a_transfer_pays_an_invoice_and_the_rest_is_credit(self, billing):
        customer = billing.customer(terms=ON_INVOICE)
        billing.subscribe(customer)
        (invoice,) = billing.invoices(customer)
        recorded = billing("POST", "/v1/payments", transfer(customer, 2500, invoice=invoice["id"]))
        assert recorded.status == 201
        assert recorded.json | {"id": ""} == {
            "id": "",
            "customer": customer,
            "amount": 2500,
            "currency": "USD",
            "at": "2027-03-01T09:30:00Z",
            "kind": "transfer",
            "reference": "RE 4711",
            "allocations": [{"invoice": invoice["id"], "amount": 1900}],
            "credited": 600,
            "refunded": 0,
            "refunding": 0,
            "refunds": [],
            "payment_method": None,
            "disputes": [],
        }
        assert billing.ok("GET", f"/v1/payments/{recorded.json['id']}") == recorded.json
        paid = billing.ok("GET", f"/v1/invoices/{invoice['id']}")
        assert (paid["status"], paid["payments"]) == (
            "paid",
            [
                {
                    "id": recorded.json["id"],
                    "amount": 1900,
                    "at": "2027-03-01T09:30:00Z",
                    "kind": "transfer",
                    "disputes": [],
                }
            ],
        )
        billing.advance("P1M")
        assert billing.invoices(customer)[0]["credit_applied"] == 600

    def test_the_same_request_records_once(self, billing):
        customer = billing.customer()
        headers = {"Idempotency-Key": "statement-17"}
        first, again = (
            billing("POST", "/v1/payments", transfer(customer, 500), headers=headers) for _ in range(2)
        )
        assert (first.status, first.json) == (again.status, again.json)
        assert billing.facts().count("payment.recorded") == 1
        other = billing("POST", "/v1/payments", transfer(customer, 501), headers=headers)
        assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")

    def test_while_an_attempt_is_under_way_it_is_409_and_the_key_stays_usable(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        billing.gateway.script(["unavailable"] * 4)
        billing.advance("P1M")
        invoice = billing.invoices(customer)[0]
        body, headers = transfer(customer, 1900, invoice=invoice["id"]), {"Idempotency-Key": "statement-17"}
        refused = billing("POST", "/v1/payments", body, headers=headers)
        assert (refused.status, refused.json["code"]) == (409, "conflict")
        assert refused.json["field"] == "allocations[0].invoice"
        assert refused.headers["retry-after"]
        billing.gateway.behave(next(iter(billing.gateway.methods)), "generic_decline")
        billing.advance("PT1M")
        assert billing("POST", "/v1/payments", body, headers=headers).status == 201
        assert billing.ok("GET", f"/v1/invoices/{invoice['id']}")["status"] == "paid"

    def test_pages_newest_first(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        billing.advance("P3M")
        billing.ok("POST", "/v1/payments", transfer(customer, 500))
        found, cursor = [], None
        while True:
            query = {"customer": customer, "limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = billing.ok("GET", "/v1/payments", query=query)
            assert len(page["data"]) <= 2
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len({payment["id"] for payment in found}) == 5
        assert [payment["at"] for payment in found] == sorted((p["at"] for p in found), reverse=True)

    @pytest.mark.parametrize(
        ("changes", "status", "field"),
        [
            ({"amount": 0}, 400, "amount"),
            ({"amount": 19.0}, 400, "amount"),
            ({"currency": "usd"}, 400, "currency"),
            ({"kind": "barter"}, 400, "kind"),
            ({"customer": MISSING["cus"]}, 404, None),
            ({"allocations": [{"invoice": "inv_1", "amount": 1}]}, 404, None),
            ({"allocations": [{"invoice": MISSING["inv"], "amount": 1}]}, 404, None),
            ({"allocations": [{"invoice": MISSING["inv"], "amount": -1}]}, 400, "allocations[0].amount"),
        ],
    )
    def test_a_wrong_field_is_named(self, billing, changes, status, field):
        body = transfer(billing.customer(), 500) | changes
        refused = billing("POST", "/v1/payments", body)
        assert (refused.status, refused.json.get("field")) == (status, field)
        assert "payment.recorded" not in billing.facts()

    def test_a_foreign_payment_is_as_missing_as_a_missing_one(self, billing):
        customer = billing.foreign()["customer"]
        live = billing.api.live.secret_token
        by_hand = billing.ok("POST", "/v1/payments", transfer(customer, 500), key=live)["id"]
        query = {"customer": customer}
        by_card = billing.ok("GET", "/v1/payments", query=query, key=live)["data"][-1]["id"]
        answers = [
            billing("GET", f"/v1/payments/{id_}")
            for id_ in (by_hand, by_card, f"pay_{'0' * 42}", f"pay_{'0' * 42}_1", "pay_1", f"{by_card}_1")
        ]
        assert [answer.status for answer in answers] == [404] * 6
        assert len({(answer.json["code"], answer.json["title"]) for answer in answers}) == 1
        assert billing("GET", "/v1/payments", query=query).status == 404
        assert billing("GET", "/v1/payments").status == 400


ON_INVOICE = {"method": "send_invoice", "net_days": 30}


def transfer(customer, amount, invoice=None):
    allocations = [{"invoice": invoice, "amount": min(amount, 1900)}] if invoice else []
    return {
        "customer": customer,
        "amount": amount,
        "currency": "USD",
        "reference": "RE 4711",
        "allocations": allocations,
    }
