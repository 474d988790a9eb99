"""Erasing a customer over HTTP: who may, and a canary in every field that is looked for in the tables afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.domain.credentials import Scope
from chalicelib.domain.invoice import Invoice
from tests.infra.billing_api import Billing, billing_on

CANARY = "canaryvalue"
LAWFUL = "lawfulname"
MAIL = f"{CANARY}@example.com"
PROFILE = {
    "email": MAIL,
    "billing_email": f"billing.{MAIL}",
    "name": CANARY,
    "legal_name": LAWFUL,
    "external_id": CANARY,
    "owner": CANARY,
    "domain": f"{CANARY}.example.com",
    "metadata": {CANARY: CANARY},
    "address": {"line1": LAWFUL, "city": LAWFUL, "country": "DE"},
    "tax_ids": ["DE136695976"],
}
"""What an invoice keeps says LAWFUL."""


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as billing:
        yield billing


def dump(billing: Billing) -> str:
    """Everything that is stored, here and at the processor."""
    ops = billing.api.services.ops
    assert isinstance(ops, MemoryOps)
    return repr(billing.api.store._partitions) + ops.dump() + repr(billing.gateway.customers)


def lapsed(billing: Billing) -> str:
    """A customer with everything that names them, who has paid and left."""
    customer: str = billing.ok("POST", "/v1/customers", PROFILE)["id"]
    billing.ok("POST", f"/v1/customers/{customer}/members", {"email": MAIL, "name": CANARY})
    billing.ok("POST", f"/v1/customers/{customer}/payment_methods", {"payment_method": "pm_card_visa"})
    sub = billing.subscribe(customer)["id"]
    billing.ok("POST", f"/v1/subscriptions/{sub}/cancel", {"at": "now"})
    return customer


def erase(billing: Billing, customer: str, **options: Any) -> Any:
    return billing("POST", f"/v1/customers/{customer}/erase", **options)


def test_no_table_names_the_person_any_more(billing: Billing) -> None:
    customer = lapsed(billing)
    assert dump(billing).count(CANARY) > 10
    erased = erase(billing, customer)
    assert erased.status == 200
    assert (erased.json["email"], erased.json["metadata"], erased.json["external_id"]) == ("", {}, None)
    assert erased.json["erased_at"]
    assert CANARY not in erased.text + dump(billing)


def test_invoices_keep_what_the_law_wants(billing: Billing) -> None:
    customer = lapsed(billing)
    before = billing.invoices(customer)
    erase(billing, customer)
    after = billing.invoices(customer)
    assert after == [{**each, "buyer": {**each["buyer"], "email": ""}} for each in before]
    buyer = after[0]["buyer"]
    assert (buyer["name"], buyer["tax_ids"]) == (LAWFUL, ["DE136695976"])
    assert LAWFUL in buyer["address"]


def test_an_address_that_stood_in_for_a_name_goes_too(billing: Billing) -> None:
    customer = billing.customer("pm_card_visa", email=MAIL)
    sub = billing.subscribe(customer)["id"]
    billing.ok("POST", f"/v1/subscriptions/{sub}/cancel", {"at": "now"})
    erase(billing, customer)
    (invoice,) = billing.invoices(customer)
    assert (invoice["buyer"]["name"], invoice["status"]) == ("", "paid")
    assert CANARY not in dump(billing)


def test_what_somebody_typed_into_the_sign_up_goes_too(billing: Billing) -> None:
    step = {"email": MAIL, "name": CANARY, "company": CANARY, "note": CANARY, "plan": "free", "country": "DE"}
    signup = billing.ok("POST", "/v1/signup_sessions", step)["id"]
    done = billing.ok("POST", f"/v1/signup_sessions/{signup}/complete")
    billing.ok("POST", f"/v1/subscriptions/{done['subscription']}/cancel", {"at": "now"})
    assert erase(billing, done["customer"]).status == 200
    assert CANARY not in dump(billing)
    assert billing.ok("GET", f"/v1/signup_sessions/{signup}")["status"] == "complete"


def test_twice_is_once(billing: Billing) -> None:
    customer = lapsed(billing)
    first = erase(billing, customer).json
    assert erase(billing, customer).json == first
    assert billing.facts().count("customer.erased") == 1


def test_only_an_admin_may(billing: Billing) -> None:
    customer = lapsed(billing)
    for scopes in ([Scope.READ], [Scope.WRITE], [Scope.READ, Scope.WRITE, Scope.REFUND]):
        key = billing.ok("POST", "/v1/api_keys", {"name": "k", "scopes": scopes})["key"]
        assert erase(billing, customer, key=key).status == 403
    assert erase(billing, customer, key=billing.api.sandbox.publishable_token).status == 403


def test_not_while_a_subscription_runs(billing: Billing) -> None:
    customer = billing.customer("pm_card_visa")
    sub = billing.subscribe(customer)["id"]
    refused = erase(billing, customer)
    assert (refused.status, refused.json["code"]) == (409, "invalid_state")
    assert refused.json["ids"]["subscription"] == sub


def test_nothing_new_is_begun_for_who_was_erased(billing: Billing) -> None:
    customer = lapsed(billing)
    sub = billing.ok("GET", "/v1/subscriptions", query={"customer": customer})["data"][0]["id"]
    erase(billing, customer)
    pages = {"success_url": "https://billing.test/a", "cancel_url": "https://billing.test/b"}
    for method, path, body in (
        ("PATCH", f"/v1/customers/{customer}", {"name": CANARY}),
        ("POST", f"/v1/customers/{customer}/members", {"email": MAIL}),
        ("POST", f"/v1/customers/{customer}/payment_methods", {"payment_method": "pm_card_visa"}),
        ("POST", "/v1/subscriptions", {"customer": customer, "plan": "free"}),
        (
            "POST",
            "/v1/checkout_sessions",
            {"customer": customer, "plan": "starter", "trial_days": 0, **pages},
        ),
        ("POST", f"/v1/subscriptions/{sub}/reactivate", None),
    ):
        refused = billing(method, path, body)
        assert (refused.status, refused.json["code"]) == (409, "invalid_state"), path
    assert CANARY not in dump(billing)


def test_the_external_id_is_free_again(billing: Billing) -> None:
    erase(billing, lapsed(billing))
    assert billing("POST", "/v1/customers", {"email": MAIL, "external_id": CANARY}).status == 201


def test_an_outage_of_the_processor_is_made_up_for(billing: Billing) -> None:
    customer = lapsed(billing)
    billing.gateway.script(["unavailable"], on="forget_customer")
    assert erase(billing, customer).status == 503
    assert billing.gateway.customers
    assert erase(billing, customer).status == 200
    assert CANARY not in dump(billing)


def test_the_books_do_not_change(billing: Billing) -> None:
    customer = lapsed(billing)
    env = billing.api.sandbox.environment.id

    def postings() -> list[Any]:
        return [each.postings for each in billing.api.store.journal(env) if each.postings]

    before = postings()
    erase(billing, customer)
    assert postings() == before
    assert billing.api.store.records(Invoice)
