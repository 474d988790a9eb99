"""The dunning report over HTTP."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from chalicelib.application.feed import append
from chalicelib.application.records import account_key
from tests.infra.billing_api import Billing, billing_on


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def behind(billing: Billing, outcome: str) -> str:
    """A subscription whose first renewal was declined so."""
    customer = billing.customer("pm_card_visa")
    sub = billing.subscribe(customer)
    account = billing.api.store.get(account_key(billing.api.sandbox.environment.id, customer))
    billing.gateway.behave(account.payment_method.id, outcome)
    return sub["id"]


def report(billing: Billing, path: str = "", **query: str):
    env = billing.api.sandbox.environment.id
    append(billing.api.services.ops, env, billing.api.store.journal(env))
    return billing("GET", f"/v1/reports/dunning{path}", query=query)


def test_rates_per_policy_and_code_and_the_invoices_behind_them(billing):
    behind(billing, "insufficient_funds")
    behind(billing, "lost_card")
    billing.advance("P75D")
    answer = report(billing)
    assert answer.status == 200, answer.text
    (usd,) = answer.json["data"]
    assert usd["currency"] == "USD"
    assert (usd["total"]["opened"], usd["total"]["lost"], usd["total"]["recovery_rate"]) == (2, 2, 0)
    (default,) = usd["policies"]
    assert default == {"policy": "default", **usd["total"]}
    assert {code["decline_code"]: code["declines"] for code in usd["decline_codes"]} == {
        "insufficient_funds": 5,
        "lost_card": 2,
    }
    assert report(billing, currency="EUR").json["data"] == []

    page = report(billing, "/invoices", decline_code="lost_card").json
    (case,) = page["data"]
    assert page["next_cursor"] is None
    assert (case["state"], case["policy"], case["amount_remaining"]) == ("lost", "default", 0)
    shown = billing.ok("GET", f"/v1/invoices/{case['invoice']}")
    assert (shown["number"], shown["status"]) == (case["number"], "uncollectible")
    first = report(billing, "/invoices", limit="1").json
    second = report(billing, "/invoices", limit="1", cursor=first["next_cursor"]).json
    assert {first["data"][0]["invoice"], second["data"][0]["invoice"]} >= {case["invoice"]}
    assert first["data"] != second["data"]


def test_the_span_is_of_days_on_which_invoices_fell_behind(billing):
    behind(billing, "insufficient_funds")
    billing.advance("P75D")
    day = date.fromisoformat(report(billing, "/invoices").json["data"][0]["day"])
    for start, end, opened in ((0, 1, [1]), (1, 9, []), (-9, 0, [])):
        span = {"from": str(day + timedelta(start)), "to": str(day + timedelta(end))}
        answer = report(billing, **span).json
        assert {name: answer[name] for name in span} == span
        assert [each["total"]["opened"] for each in answer["data"]] == opened
        assert len(report(billing, "/invoices", **span).json["data"]) == len(opened)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-01", "to": "2026-02-01"}, "from"),
        ({"from": "2024-01-01", "to": "2026-02-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"since": "2026-01-01"}, "since"),
    ],
)
def test_a_wrong_span_is_refused(billing, query, field):
    answer = report(billing, **query)
    assert (answer.status // 100, answer.json["field"]) == (4, field)


def test_a_publishable_key_reads_no_report(billing):
    answer = billing("GET", "/v1/reports/dunning", key=billing.api.sandbox.publishable_token)
    assert answer.status == 403
