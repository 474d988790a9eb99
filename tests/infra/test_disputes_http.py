"""Disputes as a client of the API sees them."""

from __future__ import annotations

import pytest

from chalicelib.application.notices import apply_notice
from tests.infra.billing_api import MISSING, billing_on


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


@pytest.fixture
def disputed(billing):
    """A customer with a dispute and an inquiry about one payment."""
    customer = billing.customer("pm_card_visa")
    billing.subscribe(customer)
    (charge,) = billing.gateway.charges()
    found = [
        billing.gateway.dispute_opens(charge.reference, 1000),
        billing.gateway.dispute_opens(charge.reference, 500, inquiry=True),
    ]
    tell(billing)
    return customer, found


def tell(billing):
    ctx = billing.api.context(billing.api.sandbox.environment.id)
    for notice in billing.gateway.notices:
        apply_notice(ctx, notice)


def test_they_are_listed_and_shown_with_payment_and_invoice(billing, disputed):
    customer, (first, second) = disputed
    (payment,) = billing.ok("GET", "/v1/payments", query={"customer": customer})["data"]
    (invoice,) = billing.invoices(customer)
    listed = billing.ok("GET", "/v1/disputes", query={"customer": customer})
    assert listed["next_cursor"] is None
    assert {each["reference"] for each in listed["data"]} == {first, second}
    dispute = next(each for each in listed["data"] if each["reference"] == first)
    assert (dispute["payment"], dispute["invoice"]) == (payment["id"], invoice["id"])
    assert (dispute["status"], dispute["amount"], dispute["withdrawn"]) == ("needs_response", 1000, 1000)
    assert (dispute["fee"], dispute["fee_currency"], dispute["reason"]) == (1500, "USD", "fraudulent")
    assert dispute["evidence_due_at"]
    assert dispute["closed_at"] is None
    del dispute["payment"], dispute["invoice"]
    assert dispute in payment["disputes"]
    assert invoice["payments"][0]["disputes"] == payment["disputes"]
    assert [each["status"] for each in payment["disputes"]] == ["needs_response", "inquiry"]


def test_page_by_page(billing, disputed):
    customer, both = disputed
    seen, cursor = [], None
    for _ in range(3):
        query = {"customer": customer, "limit": 1} | ({"cursor": cursor} if cursor else {})
        page = billing.ok("GET", "/v1/disputes", query=query)
        seen += [each["reference"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(both)
    assert len(seen) == 2
    wrong = billing("GET", "/v1/disputes", query={"customer": customer, "cursor": "du_x"})
    assert (wrong.status, wrong.json["field"]) == (400, "cursor")


def test_lost_the_invoice_says_so(billing, disputed):
    customer, (first, _) = disputed
    billing.gateway.dispute_closes(first, won=False)
    tell(billing)
    (invoice,) = billing.invoices(customer)
    assert (invoice["status"], invoice["amount_remaining"]) == ("uncollectible", 1000)
    assert billing.facts()[-2:] == ["dispute.closed", "invoice.uncollectible"]


def test_a_foreign_customers_are_not_found(billing, disputed):
    for customer in (billing.foreign()["customer"], MISSING["cus"], "cus_x"):
        assert billing("GET", "/v1/disputes", query={"customer": customer}).status == 404
