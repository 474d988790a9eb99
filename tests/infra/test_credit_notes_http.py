"""Credit notes, voids and cancelling with credit or refund through the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.billing_api import Billing, billing_on


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as billing:
        yield billing


def paid(billing: Billing) -> Any:
    customer = billing.customer("pm_card_visa")
    billing.subscribe(customer)
    return billing.invoices(customer)[0]


def sent(billing: Billing) -> Any:
    customer = billing.customer()
    billing.subscribe(customer, collection={"method": "send_invoice", "net_days": 14})
    return billing.invoices(customer)[0]


def test_a_note_is_shown_with_its_refund_and_on_the_invoice(billing):
    invoice = paid(billing)
    path = f"/v1/invoices/{invoice['id']}/credit_notes"
    body = {"amount": 500, "refund": 200, "reason": "outage"}
    answer = billing("POST", path, body, headers={"Idempotency-Key": "one"})
    assert answer.status == 201, answer.text
    note = answer.json
    assert (note["total"], note["applied"], note["credited"], note["refunded"]) == (500, 0, 300, 200)
    assert [(each["amount"], each["status"]) for each in note["refunds"]] == [(200, "succeeded")]
    assert billing.ok("POST", path, body, headers={"Idempotency-Key": "one"})["id"] == note["id"]
    after = billing.ok("GET", f"/v1/invoices/{invoice['id']}")
    assert (after["total"], after["status"], after["returned"]) == (invoice["total"], "paid", 500)
    assert [line["credited"] for line in after["lines"]] == [500]
    assert billing.ok("GET", f"/v1/credit_notes/{note['id']}") == note
    for query in ({"invoice": invoice["id"]}, {"customer": invoice["customer"]}):
        assert billing.ok("GET", "/v1/credit_notes", query=query)["data"] == [note]
    assert billing("GET", "/v1/credit_notes").status == 400


def test_pages_of_notes(billing):
    invoice = paid(billing)
    for _ in range(3):
        billing.ok("POST", f"/v1/invoices/{invoice['id']}/credit_notes", {"amount": 1})
    query = {"invoice": invoice["id"], "limit": "2"}
    first = billing.ok("GET", "/v1/credit_notes", query=query)
    rest = billing.ok("GET", "/v1/credit_notes", query={**query, "cursor": first["next_cursor"]})
    numbers = [each["number"][-2:] for each in (*first["data"], *rest["data"])]
    assert (numbers, rest["next_cursor"]) == (["03", "02", "01"], None)
    assert billing("GET", "/v1/credit_notes", query={**query, "cursor": "x"}).status == 400


def test_a_preview_binds(billing):
    invoice = paid(billing)
    path = f"/v1/invoices/{invoice['id']}/credit_notes"
    terms = {"amount": 500, "as": "refund"}
    shown = billing.ok("POST", f"{path}/preview", terms)
    assert billing.ok("GET", "/v1/credit_notes", query={"invoice": invoice["id"]})["data"] == []
    (would,) = shown["credit_notes"]
    made = billing.ok("POST", path, {**terms, "preview_token": shown["token"]})
    same = ("total", "applied", "credited", "refunded", "lines", "number", "invoice")
    assert {name: would[name] for name in same} == {name: made[name] for name in same}
    assert billing.gateway.refunded("USD") == 500
    stale = billing.ok("POST", f"{path}/preview", terms)
    billing.ok("POST", path, {"amount": 1})
    answer = billing("POST", path, {**terms, "preview_token": stale["token"]})
    assert (answer.status, answer.json["code"]) == (409, "preview_stale")


def test_cancelling_with_a_refund_shows_its_note_before_and_needs_the_scope(billing):
    invoice = paid(billing)
    path = f"/v1/subscriptions/{invoice['subscription']}/cancel"
    body = {"at": "now", "unused": "refund"}
    key = billing.ok("POST", "/v1/api_keys", {"name": "shop", "scopes": ["write"]})["key"]
    assert billing("POST", path, body, key=key).status == 403
    shown = billing.ok("POST", f"{path}/preview", body)
    (would,) = shown["credit_notes"]
    billing.ok("POST", path, {**body, "preview_token": shown["token"]})
    (made,) = billing.ok("GET", "/v1/credit_notes", query={"invoice": invoice["id"]})["data"]
    assert made["total"] == would["total"] == billing.gateway.refunded("USD") > 0


def test_void(billing):
    invoice = sent(billing)
    voided = billing.ok("POST", f"/v1/invoices/{invoice['id']}/void")
    assert (voided["status"], voided["total"]) == ("void", invoice["total"])
    assert billing("POST", f"/v1/invoices/{invoice['id']}/void").status == 409
    assert billing("POST", f"/v1/invoices/{invoice['id']}/credit_notes", {}).status == 409
    assert billing("POST", f"/v1/invoices/{paid(billing)['id']}/void").status == 409


def test_what_was_partly_credited_is_not_voided(billing):
    invoice = sent(billing)
    billing.ok("POST", f"/v1/invoices/{invoice['id']}/credit_notes", {"amount": 1})
    answer = billing("POST", f"/v1/invoices/{invoice['id']}/void")
    assert (answer.status, "credit_notes" in answer.json["fix"]) == (409, True)


def test_voided_in_dunning_it_ends_the_run(billing):
    customer = billing.customer("pm_card_visa")
    sub = billing.subscribe(customer)
    for method in list(billing.gateway.methods):
        billing.gateway.behave(method, "generic_decline")
    billing.advance("P1M")
    assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}")["status"] == "past_due"
    billing.ok("POST", f"/v1/invoices/{billing.invoices(customer)[0]['id']}/void")
    assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}")["status"] == "active"
