"""Fields that are not the caller's to write: every field that any answer shows, sent to every route with a body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.entrypoints.http.openapi import describe
from tests.infra.billing_api import Billing, billing_on
from tests.infra.test_http_auth import REAL

OURS = {"status", "amount", "total", "amount_due", "amount_paid", "trial_end", "prices", "price", "unit_amount", "mrr",
        "credit", "discount", "tax", "version", "created_at", "paid_at", "env", "environment", "customer_id",
        "subscription_status", "trial_used", "live", "admin", "actor", "now", "clock", "outcome", "terms", "catalog",
        "processor_customer", "credits", "net_days", "collection", "billing", "trial_days", "erased_at", "request",
        "__proto__", "constructor", "id", "customer", "subscription", "invoice", "scopes"}  # fmt: skip
"""What a public caller would most like to set, whatever it is called."""
WRITING = [each for each in REAL if each.method in ("POST", "PATCH", "PUT") and not each.raw]
DOCUMENT = describe(REAL, base="https://billing.test")
SHOWN = {
    name for schema in DOCUMENT["components"]["schemas"].values() for name in schema.get("properties", {})
}
NEW = {"plan": "starter", "customer_email": "eve@example.com", "success_url": "https://shop.example/a",
       "cancel_url": "https://shop.example/b"}  # fmt: skip


@pytest.fixture(scope="module")
def billing() -> Iterator[Billing]:
    with billing_on() as billing:
        billing.api.services.allowed_origins = ("https://shop.example", billing.api.services.public_url)
        yield billing


def taken(endpoint: Any) -> set[str]:
    """The fields that the route's body has."""
    if endpoint.body is None:
        return set()
    return {field.alias or name for name, field in endpoint.body.model_fields.items()}


def state(billing: Billing) -> str:
    return repr(billing.api.store._partitions)


def test_every_route_that_writes_is_tried() -> None:
    assert len(WRITING) > 20
    assert len(SHOWN) > 150


@pytest.mark.parametrize("endpoint", WRITING, ids=lambda each: each.route)
def test_every_field_that_a_body_does_not_have_is_refused_by_name(billing: Billing, endpoint: Any) -> None:
    """All in one request; nothing is written by it. With the strongest key, and with the website's where it fits."""
    foreign = sorted((SHOWN | OURS) - taken(endpoint))
    path = endpoint.path.replace("{id}", "x").replace("{member}", "y").replace("{", "").replace("}", "")
    keys = [billing.api.sandbox.secret_token]
    if endpoint.publishable:
        keys.append(billing.api.sandbox.publishable_token)
    before = state(billing)
    for key in keys:
        answer = billing(endpoint.method, path, dict.fromkeys(foreign, 1), key=key)
        assert answer.status == 400, answer.text
        refused = {
            each["field"] for each in answer.json["errors"] if each["detail"] == "there is no such field"
        }
        assert set(foreign) <= refused
    assert state(billing) == before


PUBLIC = [each for each in WRITING if each.publishable and each.body is not None]
WRITABLE = {
    "POST /v1/checkout_sessions": {
        "customer", "customer_email", "customer_name", "company", "country", "state", "tax_id", "language",
        "time_zone", "currency", "plan", "interval", "interval_count", "quantity", "add_ons", "trial_days", "coupon",
        "success_url", "cancel_url",
    },
    "POST /v1/signup_sessions": {
        "email", "name", "company", "company_size", "country", "state", "tax_id", "language", "time_zone", "currency",
        "plan", "interval", "quantity", "add_ons", "trial", "coupon", "success_url", "cancel_url", "wants_demo", "note",
    },
}  # fmt: skip
WRITABLE["PATCH /v1/signup_sessions/{id}"] = WRITABLE["POST /v1/signup_sessions"]


@pytest.mark.parametrize("endpoint", PUBLIC, ids=lambda each: each.route)
def test_what_a_website_may_write_is_a_short_list(endpoint: Any) -> None:
    """A new field is a decision: it is named here."""
    assert taken(endpoint) == WRITABLE[endpoint.route]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"customer": f"cus_{'0' * 26}", "customer_email": None}, 403),
        ({"trial_days": 365}, 400),
        ({"plan": "enterprise"}, 409),
        ({"quantity": 0}, 400),
        ({"quantity": -5}, 400),
        ({"quantity": 10**9}, 400),
        ({"currency": "VND"}, 400),
        ({"interval": "day"}, 400),
        ({"interval_count": 0}, 400),
        ({"add_ons": [{"id": "none", "quantity": 1}]}, 400),
        ({"add_ons": [{"id": "none", "quantity": 1, "unit_amount": 0}]}, 400),
        ({"success_url": "https://evil.example/"}, 400),
    ],
    ids=str,
)
def test_what_a_website_may_write_is_what_is_offered(
    billing: Billing, change: dict[str, Any], status: int
) -> None:
    answer = billing("POST", "/v1/checkout_sessions", NEW | change, key=billing.api.sandbox.publishable_token)
    assert answer.status == status, answer.text


def test_the_pages_form_takes_its_own_fields_and_the_price_is_the_catalogs(billing: Billing) -> None:
    """A form is not refused for a field too many: it is not read."""
    wishes = dict.fromkeys(sorted(OURS - {"plan", "status"}), "1") | {"trial_days": "365", "total": "0"}
    form = wishes | {"plan": "starter", "interval": "month:1", "offer": "buy", "action": "skip",
                     "email": "eve@example.com", "name": "Eve", "country": "US"}  # fmt: skip
    query = urlencode({"key": billing.api.sandbox.publishable_token, "plan": "starter"})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    answer = billing.api._client.http.request("POST", f"/signup?{query}", headers=kind, body=body)
    assert answer.status_code == 303, answer.body
    signup = billing.ok("GET", "/v1/signup_sessions")["data"][0]
    assert (signup["trial"], signup["quantity"], signup["email"]) == (False, 1, "eve@example.com")
    page = next(iter(billing.gateway.pages.values()))
    assert page.request.amount == 1900
