"""Prices that change over time, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.billing_api import Billing, billing_on
from tests.scenario.test_changes import CATALOG, plan, price


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as api:
        api.ok("PUT", "/v1/catalog", CATALOG, headers={"If-Match": '"1"'})
        yield api


def test_who_would_pay_what_and_then_does(billing: Billing) -> None:
    sub = billing.subscribe(billing.customer(card="pm_card_visa"), "small")
    plans = [CATALOG["plans"][0], plan("small", 1, price(1300)), *CATALOG["plans"][2:]]
    billing.ok("PUT", "/v1/catalog", {**CATALOG, "plans": plans}, headers={"If-Match": '"2"'})
    shown = billing.ok("POST", "/v1/subscriptions/reprice/preview", {"plan": "small"})
    assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}")["pending_change"] is None
    done = billing.ok("POST", "/v1/subscriptions/reprice", {"plan": "small"})
    assert shown["data"] == done["data"]
    (row,) = done["data"]
    assert (row["mrr_before"], row["mrr_after"], row["at"]) == (1000, 1300, sub["current_period"]["end"])
    billing.advance("P32D")
    assert billing.invoices(sub["customer"])[0]["total"] == 1300


def test_a_ramp_and_an_own_price(billing: Billing) -> None:
    fields: dict[str, Any] = {
        "ramp": [{"periods": 1, "unit_amount": "100"}],
        "unit_amounts": {"small": "700"},
    }
    sub = billing.subscribe(billing.customer(card="pm_card_visa"), "small", **fields)
    billing.advance("P32D")
    assert [invoice["total"] for invoice in billing.invoices(sub["customer"])] == [700, 100]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"ramp": [{"periods": 0, "unit_amount": "1"}]}, "ramp[0].periods"),
        ({"unit_amounts": {"large": "1"}}, "unit_amounts"),
    ],
)
def test_what_is_wrong_is_named(billing: Billing, fields: dict[str, Any], field: str) -> None:
    body = {"customer": billing.customer(card="pm_card_visa"), "plan": "small", **fields}
    refused = billing("POST", "/v1/subscriptions", body)
    assert (refused.status, refused.json["field"]) == (400, field)


def test_an_unknown_plan(billing: Billing) -> None:
    assert billing("POST", "/v1/subscriptions/reprice", {"plan": "nope"}).json["field"] == "plan"
