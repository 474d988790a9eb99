"""Changes and previews over HTTP: what is shown is what is charged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.billing_api import MISSING, Billing, billing_on
from tests.scenario.test_changes import CATALOG


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as api:
        api.ok("PUT", "/v1/catalog", CATALOG, headers={"If-Match": '"1"'})
        yield api


@pytest.fixture
def sub(billing: Billing) -> Any:
    return billing.subscribe(billing.customer(card="pm_card_visa"), "small")


def lines(invoice: Any) -> list[int]:
    return [line["amount"] for line in invoice["lines"]]


class TestPreview:
    def test_what_is_shown_is_what_is_charged(self, billing: Billing, sub: Any) -> None:
        billing.advance("P7D")
        wanted = {"plan": "middle"}
        shown = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change/preview", wanted)
        assert len(billing.invoices(sub["customer"])) == 1, "nothing was written"
        (invoice,) = shown["invoices"]
        assert (shown["subscription"]["plan"], shown["subscription"]["pending_change"]) == ("middle", None)
        assert shown["next_invoice"]["total"] == 1500
        assert shown["next_invoice"]["status"] == "draft"
        done = billing.ok(
            "POST", f"/v1/subscriptions/{sub['id']}/change", {**wanted, "preview_token": shown["token"]}
        )
        assert done["plan"] == "middle"
        charged = billing.invoices(sub["customer"])[0]
        for name in ("id", "number", "lines", "total", "tax", "amount_due", "period", "issued_at", "due_at"):
            assert charged[name] == invoice[name], name
        assert charged["amount_paid"] == invoice["amount_due"]

    def test_the_same_token_again_charges_nothing_more(self, billing: Billing, sub: Any) -> None:
        wanted = {"plan": "middle"}
        token = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change/preview", wanted)["token"]
        for key in ("one", "two"):
            done = billing.ok(
                "POST",
                f"/v1/subscriptions/{sub['id']}/change",
                {**wanted, "preview_token": token},
                headers={"Idempotency-Key": key},
            )
            assert done["plan"] == "middle"
        assert len(billing.invoices(sub["customer"])) == 2

    def test_something_happened_in_between(self, billing: Billing, sub: Any) -> None:
        wanted = {"plan": "large"}
        token = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change/preview", wanted)["token"]
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "middle"})
        stale = billing("POST", f"/v1/subscriptions/{sub['id']}/change", {**wanted, "preview_token": token})
        assert (stale.status, stale.json["code"]) == (409, "preview_stale")
        assert stale.json["ids"]["invoice.total"] == "900 → 400"
        assert len(billing.invoices(sub["customer"])) == 2

    def test_a_token_is_of_its_request_alone(self, billing: Billing, sub: Any) -> None:
        token = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change/preview", {"plan": "large"})[
            "token"
        ]
        for path, body in (
            (f"/v1/subscriptions/{sub['id']}/change", {"plan": "middle"}),
            (f"/v1/subscriptions/{sub['id']}/cancel", {}),
        ):
            refused = billing("POST", path, {**body, "preview_token": token})
            assert (refused.status, refused.json["field"]) == (400, "preview_token")
        forged = billing(
            "POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "large", "preview_token": f"x{token}"}
        )
        assert (forged.status, forged.json["field"]) == (400, "preview_token")

    def test_it_expires(self, billing: Billing, sub: Any) -> None:
        token = billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change/preview", {"plan": "large"})[
            "token"
        ]
        billing.advance("PT16M")
        late = billing(
            "POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "large", "preview_token": token}
        )
        assert (late.status, late.json["field"]) == (400, "preview_token")

    def test_of_a_cancellation_and_of_coming_back(self, billing: Billing, sub: Any) -> None:
        path = f"/v1/subscriptions/{sub['id']}"
        shown = billing.ok("POST", f"{path}/cancel/preview", {"at": "now"})
        assert (shown["subscription"]["status"], shown["next_invoice"]) == ("canceled", None)
        done = billing.ok("POST", f"{path}/cancel", {"at": "now", "preview_token": shown["token"]})
        assert done["status"] == "canceled"
        billing.advance("P40D")
        shown = billing.ok("POST", f"{path}/reactivate/preview")
        (invoice,) = shown["invoices"]
        assert invoice["total"] == 1000
        back = billing.ok("POST", f"{path}/reactivate", {"preview_token": shown["token"]})
        assert back["status"] == "active"
        assert billing.invoices(sub["customer"])[0]["total"] == 1000

    def test_what_would_be_refused_is_refused(self, billing: Billing, sub: Any) -> None:
        path = f"/v1/subscriptions/{sub['id']}/change/preview"
        assert billing("POST", path, {"plan": "small"}).json["code"] == "invalid_state"
        assert billing("POST", path, {"plan": "custom"}).json["code"] == "quote_required"
        assert billing("POST", path, {"plan": "nope"}).json["field"] == "plan"


def test_what_is_sold_by_quote_makes_a_lead(billing: Billing, sub: Any) -> None:
    path, wanted = f"/v1/subscriptions/{sub['id']}/change", {"plan": "custom", "quantity": 40}
    billing("POST", f"{path}/preview", wanted)
    assert billing.ok("GET", "/v1/leads")["data"] == [], "to look is not to ask"
    refused = billing("POST", path, wanted)
    assert (refused.status, refused.json["code"]) == (409, "quote_required")
    (lead,) = billing.ok("GET", "/v1/leads")["data"]
    assert (lead["id"], lead["plan"], lead["customer"]) == (
        refused.json["ids"]["lead"],
        "custom",
        sub["customer"],
    )
    assert "lead.created" in billing.facts()


def test_sales_hear_of_a_large_upgrade(billing: Billing) -> None:
    billing.ok("PUT", "/v1/catalog", {**CATALOG, "large_upgrades": {"USD": 900}}, headers={"If-Match": '"2"'})
    for plan, told in (("middle", 0), ("large", 1)):
        sub = billing.subscribe(billing.customer(card="pm_card_visa"), "small")
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": plan})
        assert billing.facts().count("subscription.large_upgrade") == told


def test_down_is_pending_and_can_be_taken_back(billing: Billing) -> None:
    sub = billing.subscribe(billing.customer(card="pm_card_visa"), "large")
    path = f"/v1/subscriptions/{sub['id']}"
    pending = billing.ok("POST", f"{path}/change", {"plan": "small"})["pending_change"]
    assert pending["at"] == sub["current_period"]["end"]
    assert [item["product"] for item in pending["items"]] == ["small"]
    assert billing.ok("GET", f"{path}/upcoming_invoice")["total"] == 1000
    assert billing.ok("DELETE", f"{path}/pending_change")["pending_change"] is None
    assert billing.ok("GET", f"{path}/upcoming_invoice")["total"] == 1900
    assert billing("DELETE", f"{path}/pending_change").status == 409


def test_declined_it_is_a_402_and_nothing_has_changed(billing: Billing, sub: Any) -> None:
    billing.ok(
        "POST",
        f"/v1/customers/{sub['customer']}/payment_methods",
        {"payment_method": "pm_card_chargeCustomerFail"},
    )
    refused = billing("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "large"})
    assert (refused.status, refused.json["code"]) == (402, "payment_declined")
    after = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
    assert (after["plan"], after["status"], after["pending_change"]) == ("small", "active", None)


def test_nothing_is_to_come_for_what_ends(billing: Billing, sub: Any) -> None:
    billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {})
    assert billing("GET", f"/v1/subscriptions/{sub['id']}/upcoming_invoice").status == 409


@pytest.mark.parametrize("path", ["change", "change/preview", "cancel/preview", "reactivate/preview"])
def test_foreign_and_missing_are_alike(billing: Billing, path: str) -> None:
    body = (
        {}
        if path.startswith("reactivate")
        else {"plan": "large"}
        if path.startswith("change")
        else {"at": "now"}
    )
    answers = [
        billing("POST", f"/v1/subscriptions/{id_}/{path}", body or None).status
        for id_ in (billing.foreign()["id"], MISSING["sub"])
    ]
    assert answers == [404, 404]
