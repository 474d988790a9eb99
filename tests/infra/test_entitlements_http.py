"""Entitlements as the product asks for them on every page: one read, always the present state."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.infra.billing_api import MISSING, billing_on

READS = ("get", "get_many", "children", "standing", "listing", "due", "commit")


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def ask(billing, customer):
    return billing.ok("GET", f"/v1/customers/{customer}/entitlements")


def test_nothing_before_there_is_a_subscription(billing):
    customer = billing.customer()
    assert ask(billing, customer) == {
        "customer": customer,
        "active": False,
        "status": None,
        "plan": None,
        "features": [],
        "quotas": {},
        "seats": 0,
        "until": None,
        "credits": {},
        "subscriptions": [],
    }


def test_what_was_bought(billing):
    customer = billing.customer("pm_card_visa")
    sub = billing.subscribe(customer, "pro", quantity=5, add_ons=[{"id": "priority_support"}])
    found = ask(billing, customer)
    assert (found["active"], found["status"], found["plan"], found["seats"]) == (True, "active", "pro", 5)
    assert {"automations", "priority_support"} <= set(found["features"])
    assert found["quotas"] == {"members": None, "projects": None, "storage_gb": 200, "api_calls": 500000}
    assert found["until"] == "2027-04-01T09:30:00Z"
    assert [grant["subscription"] for grant in found["subscriptions"]] == [sub["id"]]


def test_the_first_payment_gates_them(billing):
    customer = billing.customer("pm_card_chargeCustomerFail")
    body = {"customer": customer, "plan": "starter", "trial_days": 0}
    invoice = billing("POST", "/v1/subscriptions", body).json["ids"]["invoice"]
    found = ask(billing, customer)
    assert (found["active"], found["status"], found["features"]) == (False, "incomplete", [])
    billing.ok("POST", f"/v1/invoices/{invoice}/pay", {"payment_method": "pm_card_visa"})
    assert ask(billing, customer)["active"] is True


def test_a_trial_that_falls_back_switches_at_its_end(billing):
    customer = billing.customer()
    billing.ok("POST", "/v1/subscriptions", {"customer": customer, "plan": "starter"})
    trial = ask(billing, customer)
    assert (trial["plan"], trial["status"], trial["until"]) == ("starter", "trialing", "2027-03-15T09:30:00Z")
    billing.ok("POST", "/v1/clock/advance", {"to": "2027-03-15T09:29:59Z"})
    assert ask(billing, customer)["plan"] == "starter"
    billing.advance("PT1M")
    fallen = ask(billing, customer)
    assert (fallen["plan"], fallen["status"], fallen["until"]) == ("free", "active", None)
    assert fallen["quotas"]["projects"] == 2


def test_through_dunning_to_its_end(billing):
    customer = billing.customer("pm_card_visa")
    billing.subscribe(customer)
    billing.gateway.behave(next(iter(billing.gateway.methods)), "generic_decline")
    billing.advance("P1M")
    assert (ask(billing, customer)["status"], ask(billing, customer)["active"]) == ("past_due", True)
    billing.advance("P21D")
    assert (ask(billing, customer)["status"], ask(billing, customer)["active"]) == ("canceled", False)


def test_until_the_cancellation_takes_effect(billing):
    customer = billing.customer("pm_card_visa")
    sub = billing.subscribe(customer)
    billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {})
    assert ask(billing, customer)["until"] == "2027-04-01T09:30:00Z"
    billing.advance("P1M")
    assert ask(billing, customer)["active"] is False


def test_a_subscriber_keeps_the_version_bought(billing):
    customer = billing.customer("pm_card_visa")
    billing.subscribe(customer)
    before = ask(billing, customer)
    shown = billing("GET", "/v1/catalog")
    document = shown.json
    del document["version"]
    for plan in document["plans"]:
        if plan["id"] == "starter":
            plan["features"], plan["quotas"] = ["email_notifications"], {"projects": 1}
    billing.ok("PUT", "/v1/catalog", document, headers={"If-Match": shown.headers["etag"]})
    assert ask(billing, customer) == before
    newcomer = billing.customer("pm_card_mastercard")
    billing.subscribe(newcomer)
    assert ask(billing, newcomer)["features"] == ["email_notifications"]


def test_one_read_and_no_call_to_the_processor(billing, monkeypatch):
    customer = billing.customer("pm_card_visa")
    for _ in range(3):
        billing.subscribe(customer)
    ask(billing, customer)  # key, environment and catalog version are known from here on
    reads = count_reads(billing, monkeypatch)
    calls = Counter(billing.gateway.calls)
    assert ask(billing, customer)["active"] is True
    asked = {name: count for name, count in reads.items() if name != "get"}
    assert asked == {"standing": 1}
    assert reads["get"] <= 1, "the sandbox's clock is read, nothing else"
    assert billing.gateway.calls == calls


def test_live_it_is_the_one_read_of_the_request(billing, monkeypatch):
    live, customer = billing.api.live.secret_token, billing.foreign()["customer"]
    path = f"/v1/customers/{customer}/entitlements"
    assert billing.ok("GET", path, key=live)["active"] is True
    reads = count_reads(billing, monkeypatch)
    assert billing.ok("GET", path, key=live)["plan"] == "starter"
    assert reads == {"standing": 1}


def test_a_foreign_customer_is_as_missing_as_a_missing_one(billing):
    foreign = billing.foreign()["customer"]
    answers = [
        billing("GET", f"/v1/customers/{id_}/entitlements") for id_ in (foreign, MISSING["cus"], "cus_1")
    ]
    assert [answer.status for answer in answers] == [404] * 3
    assert len({(answer.json["code"], answer.json["title"]) for answer in answers}) == 1


def count_reads(billing, monkeypatch):
    reads = Counter()
    for name in READS:
        real = getattr(billing.api.store, name)

        def counted(*args, _name=name, _real=real, **kwargs):
            reads[_name] += 1
            return _real(*args, **kwargs)

        monkeypatch.setattr(billing.api.store, name, counted)
    return reads
