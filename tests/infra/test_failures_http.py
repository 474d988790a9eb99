"""Every id of another tenant on every route, and what the logs keep of what was sent."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest

from chalicelib.application.catalog import publish_default
from chalicelib.application.idempotency import request_key_of
from chalicelib.application.signup import signup_id_of
from chalicelib.entrypoints.jobs import due
from tests.infra.billing_api import Billing, billing_on
from tests.infra.job_world import failures
from tests.infra.test_events_http import Secrets
from tests.infra.test_http_auth import REAL

NESTED = re.compile(r"/\{(\w+)\}")
SHOP = "https://shop.example/thanks"
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /v1/customers/{id}": {"name": "Eve"},
    "POST /v1/customers/{id}/members": {"email": "eve@example.com"},
    "PATCH /v1/customers/{id}/members/{member}": {"role": "admin"},
    "POST /v1/customers/{id}/payment_methods": {"payment_method": "pm_card_visa"},
    "POST /v1/api_keys/{id}/roll": {},
    "POST /v1/invoices/{id}/pay": {},
    "POST /v1/payments/{id}/refunds": {},
    "POST /v1/invoices/{id}/credit_notes": {},
    "POST /v1/invoices/{id}/credit_notes/preview": {},
    "POST /v1/customers/{id}/credit_grants": {"amount": 100, "currency": "USD"},
    "PUT /v1/customers/{id}/credit_top_up": {"top_up": None},
    "PATCH /v1/signup_sessions/{id}": {"name": "Eve"},
    "POST /v1/subscriptions/{id}/cancel": {},
    "POST /v1/subscriptions/{id}/charges": {"description": "Training", "unit_amount": "100"},
    "POST /v1/subscriptions/{id}/coupons": {"coupon": "SPRING27"},
    "POST /v1/subscriptions/{id}/extend_grace": {"days": 7},
    "POST /v1/subscriptions/{id}/extend_trial": {"days": 7},
}
"""What a route with a body takes: one that is missing here is answered 400 and not 404."""
BY_BODY: dict[str, dict[str, Any]] = {
    "/v1/subscriptions": {"plan": "starter", "trial_days": 0},
    "/v1/payments": {"amount": 100, "currency": "USD"},
    "/v1/checkout_sessions": {"plan": "starter", "success_url": SHOP, "cancel_url": SHOP},
}
BY_QUERY = ["/v1/invoices", "/v1/payments", "/v1/subscriptions"]
KINDS = {
    "/v1/customers": "cus", "/v1/subscriptions": "sub", "/v1/invoices": "inv", "/v1/payments": "pay",
    "/v1/checkout_sessions": "chk", "/v1/signup_sessions": "sus", "/v1/leads": "led", "/v1/api_keys": "key",
    "/v1/clock/advances": "adv", "/v1/credit_notes": "crn", "/v1/coupons": "cpn",
}  # fmt: skip
WITH_IDS = [each for each in REAL if "{id}" in each.path and not each.public]


@pytest.fixture
def billing():
    with billing_on() as billing:
        billing.api.services.allowed_origins = ("https://shop.example",)
        yield billing


def tenant_b(billing: Billing) -> dict[str, str]:
    """One of everything in another sandbox: its ids by the address of their kind."""
    other = billing.api.open("other")
    publish_default(billing.api.context(other.environment.id))

    def made(path: str, body: Any) -> Any:
        return billing.ok("POST", path, body, key=other.secret_token)

    customer = made("/v1/customers", {"email": "ada@example.com"})["id"]
    order = {"customer": customer, "plan": "starter", "trial_days": 0}
    sub = made("/v1/subscriptions", order | {"payment_method": "pm_card_visa"})
    pages = {"success_url": SHOP, "cancel_url": SHOP}
    signup = made("/v1/signup_sessions", {"email": "eve@example.com", "wants_demo": True, "plan": "pro"})
    completed = billing("POST", f"/v1/signup_sessions/{signup['id']}/complete", key=other.secret_token)
    advance = billing("POST", "/v1/clock/advance", {"by": "P1D"}, key=other.secret_token).json
    return {
        "/v1/customers": customer,
        "member": made(f"/v1/customers/{customer}/members", {"email": "bob@example.com"})["id"],
        "/v1/subscriptions": sub["id"],
        "/v1/invoices": sub["latest_invoice"],
        "/v1/payments": made("/v1/payments", {"customer": customer, "amount": 100, "currency": "USD"})["id"],
        "/v1/checkout_sessions": made("/v1/checkout_sessions", order | pages)["id"],
        "/v1/signup_sessions": made("/v1/signup_sessions", {"email": "eve@example.com"})["id"],
        "/v1/leads": completed.json["lead"],
        "/v1/api_keys": made("/v1/api_keys", {"name": "k", "scopes": ["read"]})["id"],
        "/v1/clock/advances": advance["id"],
        "/v1/credit_notes": made(f"/v1/invoices/{sub['latest_invoice']}/credit_notes", {"amount": 1})["id"],
        "/v1/coupons": made("/v1/coupons", {"id": "cpn_spring", "percent": "5"})["id"],
    }


def missing(id_: str) -> str:
    """An id of the same form that belongs to nobody."""
    prefix, _, token = id_.partition("_")
    return f"{prefix}_{'0' * len(token)}"


def said(answer: Any, *ids: str) -> tuple[int, str]:
    """Status and problem, without the request's own id and without what the caller had sent."""
    problem = json.dumps({**answer.json, "request_id": ""}, sort_keys=True)
    for id_ in ids:
        problem = problem.replace(id_, "ID")
    return answer.status, problem


def test_every_route_that_takes_an_id_is_tried(billing):
    assert {each.path.partition("/{id}")[0] for each in WITH_IDS} == set(KINDS)
    theirs = tenant_b(billing)
    assert {theirs[path].partition("_")[0] for path in KINDS} == set(KINDS.values())


def test_an_id_of_another_tenant_is_as_missing_as_a_missing_one_on_every_route(billing):
    theirs = tenant_b(billing)
    tried = 0
    for each in WITH_IDS:
        base = each.path.partition("/{id}")[0]
        body = BODIES.get(each.route)
        answers = []
        for choose in (str, missing):
            id_, member = choose(theirs[base]), choose(theirs["member"])
            path = each.path.replace("{id}", id_).replace("{member}", member)
            answers.append(said(billing(each.method, path, body), id_, member))
        assert answers[0][0] == 404, (each.route, answers[0])
        assert answers[0] == answers[1], each.route
        tried += 1
    assert tried >= 30


@pytest.mark.parametrize("path", BY_BODY)
def test_an_id_of_another_tenant_in_a_body(billing, path):
    theirs = tenant_b(billing)["/v1/customers"]
    answers = [
        said(billing("POST", path, BY_BODY[path] | {"customer": id_}), id_)
        for id_ in (theirs, missing(theirs))
    ]
    assert answers[0][0] == 404
    assert answers[0] == answers[1]


@pytest.mark.parametrize("path", BY_QUERY)
def test_an_id_of_another_tenant_in_a_query_finds_nothing(billing, path):
    theirs = tenant_b(billing)["/v1/customers"]
    answers = [billing("GET", path, query={"customer": id_}) for id_ in (theirs, missing(theirs))]
    assert said(answers[0], theirs) == said(answers[1], missing(theirs))
    assert answers[0].status == 404 or answers[0].json["data"] == []


PAGES = {
    "/checkout/pay": "/v1/checkout_sessions",
    "/checkout/return": "/v1/checkout_sessions",
    "/welcome": "/v1/signup_sessions",
}
"""Pages that an id in their address opens; the environment stands beside it, so it may be guessed too."""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_another_tenants_id_is_as_missing_as_a_missing_one(billing, path):
    theirs = tenant_b(billing)[PAGES[path]]
    ours = billing.api.sandbox.environment.id
    name = "signup" if path == "/welcome" else "session"
    shown = []
    for env in (ours, "live", "sbx_nobody", "", "../live", ours + "#claim"):
        for id_ in (theirs, missing(theirs), "x", "", theirs.upper()):
            answer = billing("GET", path, key="", query={"env": env, name: id_})
            assert answer.status == 404, (env, id_)
            shown.append(answer.text)
    assert len(set(shown)) == 1


def test_a_guessed_idempotency_key_of_a_visitor_leads_nowhere(billing, monkeypatch):
    """A website that numbers its requests: neither the id nor the answer is anybody else's to have."""
    pub, first = billing.api.sandbox.publishable_token, {"plan": "starter"}
    named = {"Idempotency-Key": "1"}
    signup = billing.ok("POST", "/v1/signup_sessions", first, key=pub, headers=named)["id"]
    assert billing.ok("POST", "/v1/signup_sessions", first, key=pub, headers=named)["id"] == signup
    env = billing.api.sandbox.environment.id
    computed = signup_id_of(billing.api.context(env, request_key_of(env, "POST", "/v1/signup_sessions", "1")))
    assert computed != signup
    monkeypatch.setattr("chalice.local.LambdaEventConverter.LOCAL_SOURCE_IP", "198.51.100.7")
    assert billing.ok("POST", "/v1/signup_sessions", first, key=pub, headers=named)["id"] != signup


CANARY = "canaryvalue"


@pytest.fixture
def logs(monkeypatch):
    """Everything that any logger says from DEBUG on, in the form that Lambda would keep."""
    from chalicelib.entrypoints.log import logger

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger().registered_formatter)
    root, own = logging.getLogger(), logging.getLogger("perennial")
    monkeypatch.setattr(own, "handlers", [handler])
    monkeypatch.setattr(root, "handlers", [handler])
    level = root.level
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)


def test_no_log_holds_what_anybody_sent(billing, logs):
    """A canary in every field that takes free text, through good requests, refused ones and a card's decline."""
    billing.api.services.secrets = Secrets()
    mail = f"{CANARY}@example.com"
    text = dict.fromkeys(("name", "legal_name"), CANARY)
    address = dict.fromkeys(("line1", "line2", "city", "postal_code", "state"), CANARY)
    profile = {
        "email": mail, "billing_email": mail, "external_id": CANARY, "metadata": {CANARY: CANARY}, **text,
        "address": {**address, "country": "DE"},
    }  # fmt: skip
    customer = billing.ok("POST", "/v1/customers", profile, headers={"Idempotency-Key": CANARY * 2})["id"]
    billing.ok("POST", f"/v1/customers/{customer}/members", {"email": mail, "name": CANARY})
    billing.ok("POST", f"/v1/customers/{customer}/payment_methods", {"payment_method": f"pm_{CANARY}"})
    order = {"customer": customer, "plan": "starter", "trial_days": 0}
    sub = billing.ok("POST", "/v1/subscriptions", order)["id"]
    billing.ok("POST", f"/v1/subscriptions/{sub}/cancel", {"reason": CANARY})
    paid = {"customer": customer, "amount": 100, "currency": "USD", "reference": CANARY}
    billing.ok("POST", "/v1/payments", paid)
    signup = {"email": mail, "name": CANARY, "company": CANARY, "note": CANARY, "plan": "starter"}
    billing.ok("POST", "/v1/signup_sessions", signup)
    for method, path, body in (
        ("POST", "/v1/customers", profile | {CANARY: CANARY}),
        ("POST", "/v1/subscriptions", order | {"plan": CANARY}),
        ("GET", f"/v1/customers/{CANARY}", None),
        ("POST", "/v1/webhooks/stripe", {"id": CANARY}),
    ):
        headers = {"Stripe-Signature": f"t=1,v1={CANARY}", "X-Canary": CANARY}
        assert billing(method, path, body, headers=headers).status >= 400
    billing("GET", "/v1/me", key=f"prn_test_{CANARY}")
    bad = billing.customer("pm_card_chargeCustomerFail")
    assert billing("POST", "/v1/subscriptions", order | {"customer": bad}).status == 402

    def explode(env: str, records: Any) -> None:
        raise RuntimeError(f"a library quotes {CANARY}")

    billing.api.store.before_commit = explode
    assert billing("POST", "/v1/customers", profile | {"external_id": None}).status == 500
    poison = [CANARY, json.dumps({"env": CANARY, CANARY: CANARY})]
    assert failures(due.work_due, poison) == poison
    kept = logs.getvalue()
    assert kept.count("message not understood") >= 2
    assert kept.count('"route"') >= 10, "the log says too little for this to prove anything"
    assert not re.search(rf"{CANARY}|prn_|sk_(test|live)|whsec_|(pi|seti|cs)_\w+_secret_", kept)
