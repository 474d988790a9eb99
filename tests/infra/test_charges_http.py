"""One-off charges over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.billing_api import MISSING, Billing, billing_on


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as api:
        yield api


@pytest.fixture
def sub(billing: Billing) -> Any:
    return billing.subscribe(billing.customer(card="pm_card_visa"))


WHAT = {"description": "Training", "unit_amount": "2500"}


def test_on_the_next_invoice_and_taken_back(billing: Billing, sub: Any) -> None:
    path = f"/v1/subscriptions/{sub['id']}/charges"
    (waiting,) = billing.ok("POST", path, {**WHAT, "quantity": 2})["waiting"]
    assert (waiting["unit_amount"], waiting["quantity"]) == ("2500", 2)
    upcoming = billing.ok("GET", f"/v1/subscriptions/{sub['id']}/upcoming_invoice")
    assert next(line["amount"] for line in upcoming["lines"]) == 5000
    assert billing.ok("GET", path)["waiting"] == [waiting]
    assert billing.ok("DELETE", f"{path}/{waiting['id']}")["waiting"] == []
    assert billing("DELETE", f"{path}/{waiting['id']}").status == 404


def test_at_once(billing: Billing, sub: Any) -> None:
    answer = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/charges", {**WHAT, "invoice": "now"})
    invoice = answer["invoice"]
    assert (invoice["status"], invoice["cause"], invoice["amount_paid"]) == ("paid", "one_off", 2500)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"unit_amount": "-1"}, "unit_amount"),
        ({"unit_amount": "1e3"}, "unit_amount"),
        ({"description": ""}, "description"),
    ],
)
def test_what_is_wrong_is_named(billing: Billing, sub: Any, change: dict[str, str], field: str) -> None:
    refused = billing("POST", f"/v1/subscriptions/{sub['id']}/charges", {**WHAT, **change})
    assert (refused.status, refused.json["field"]) == (400, field)


def test_foreign_and_missing_are_alike(billing: Billing) -> None:
    answers = [
        billing("POST", f"/v1/subscriptions/{id_}/charges", WHAT).status
        for id_ in (billing.foreign()["id"], MISSING["sub"])
    ]
    assert answers == [404, 404]
