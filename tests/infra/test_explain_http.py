"""An invoice that explains itself, as a client of the API sees it."""

from __future__ import annotations

import pytest

from tests.infra.billing_api import MISSING, billing_on


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def explain(billing, invoice, **query):
    return billing.ok("GET", f"/v1/invoices/{invoice['id']}/explain", query=query)


def plain(text):
    return " ".join(text.split())


def test_every_line_in_one_sentence_and_the_same_sums(billing):
    customer = billing.customer("pm_card_visa", time_zone="Europe/Berlin")
    billing.advance("P10D")
    billing.subscribe(customer, "pro", quantity=4, add_ons=[{"id": "priority_support"}], billing="calendar")
    billing.advance("P1M")
    renewal, stub = billing.invoices(customer)
    said = [[plain(line["sentence"]) for line in explain(billing, each)["lines"]] for each in (stub, renewal)]
    assert said == [
        [
            "Pro × 4, 21 of 31 days, Mar 11 – 31: 21 ÷ 31 × 4 × $29.00",
            "Priority support, 21 of 31 days, Mar 11 – 31: 21 ÷ 31 × $49.00",
        ],
        ["Pro × 4, Apr 1 – 30: 4 × $29.00", "Priority support, Apr 1 – 30: $49.00"],
    ]
    for invoice in (stub, renewal):
        again = explain(billing, invoice)
        assert (again["matches"], again["differences"]) == (True, [])
        assert (again["total"], again["amount_due"]) == (invoice["total"], invoice["amount_due"])
        assert [line["amount"] for line in again["lines"]] == [line["amount"] for line in invoice["lines"]]


def test_in_the_customers_language_or_the_one_asked_for(billing):
    customer = billing.customer("pm_card_visa", language="de")
    billing.subscribe(customer)
    (invoice,) = billing.invoices(customer)
    assert plain(explain(billing, invoice)["formatted"]) == "19,00 $"
    english = explain(billing, invoice, language="en-GB")
    assert (english["formatted"], english["language"]) == ("US$19.00", "en-GB")
    refused = billing("GET", f"/v1/invoices/{invoice['id']}/explain", query={"language": "!"})
    assert (refused.status, refused.json["field"]) == (400, "language")


def test_another_environments_invoice_is_missing(billing):
    for id_ in (billing.foreign()["latest_invoice"], MISSING["inv"]):
        assert billing("GET", f"/v1/invoices/{id_}/explain").status == 404
