"""Usage over HTTP: what is refused and how, receipts, and what a subscription has used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.billing_api import MISSING, Billing, billing_on
from tests.scenario.test_usage import CATALOG


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as api:
        api.ok("PUT", "/v1/catalog", CATALOG, headers={"If-Match": '"1"'})
        yield api


def event(customer: str, id_: str, value: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": id_, "customer": customer, "event": "api_calls", "value": value, **more}


def test_reported_counted_and_shown(billing: Billing) -> None:
    customer = billing.customer(card="pm_card_visa")
    sub = billing.subscribe(customer, "pro")
    body = {"events": [event(customer, "a", 700), event(customer, "b", 150), event(customer, "a", 5)]}
    assert billing.ok("POST", "/v1/usage", body)["data"] == [
        {"id": "a", "status": "recorded"},
        {"id": "b", "status": "recorded"},
        {"id": "a", "status": "duplicate"},
    ]
    (usage,) = billing.ok("GET", f"/v1/subscriptions/{sub['id']}/usage")["data"]
    assert (usage["meter"], usage["aggregation"]) == ("api_calls", "sum")
    assert [(w["quantity"], w["events"], w["billed"]) for w in usage["windows"]] == [(850, 2, None)]
    shown = billing.ok("GET", f"/v1/customers/{customer}/entitlements")["subscriptions"][0]["usage"]
    calls = next(each for each in shown if each["meter"] == "api_calls")
    assert (calls["used"], calls["limit"], calls["hard"], calls["exceeded"]) == (850, 1000, False, False)
    assert calls["resets_at"] == sub["current_period"]["end"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "events[0].id"),
        ({"value": "5"}, "events[0].value"),
        ({"value": 1.5}, "events[0].value"),
        ({"event": ""}, "events[0].event"),
        ({"at": "2020-01-01T00:00:00Z"}, "events[0].at"),
        ({"amount": 5}, "events[0].amount"),
        ({"properties": {"deep": {}}}, "events[0].properties.deep"),
    ],
)
def test_what_is_wrong_is_named(billing: Billing, change: dict[str, Any], field: str) -> None:
    answer = billing("POST", "/v1/usage", {"events": [event(billing.customer(), "a") | change]})
    assert answer.status in (400, 422), answer.text
    assert answer.json["field"].startswith(field), answer.text


def test_more_than_a_hundred_are_refused(billing: Billing) -> None:
    customer = billing.customer()
    answer = billing("POST", "/v1/usage", {"events": [event(customer, str(n)) for n in range(101)]})
    assert answer.status in (400, 422)


def test_whose_it_is_decides_the_key(billing: Billing) -> None:
    foreign = billing.foreign()
    theirs = billing("POST", "/v1/usage", {"events": [event(foreign["customer"], "a")]})
    nobodys = billing("POST", "/v1/usage", {"events": [event(MISSING["cus"], "a")]})
    assert (theirs.status, nobodys.status) == (404, 404)
    assert billing("GET", f"/v1/subscriptions/{foreign['id']}/usage").status == 404
