"""Tax by the seller's rates through the API: who pays what on which invoice, and that books and prices agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.infra.billing_api import Billing
from tests.infra.test_cases_http import ARREARS, case_on, explained, plan, price, publish

RATES = [
    {"country": "DE", "rate": "19", "reverse_charge": True},
    {"country": "GB", "rate": "20", "inclusive": True},
    {"country": "US", "region": "CA", "rate": "7.25"},
]
GERMAN = {"address": {"country": "DE"}}


def taxed(billing: Billing, *plans: dict[str, Any], rates: Any = RATES, **more: Any) -> None:
    offered = plans or (plan(price(amount=1999)),)
    publish(billing, *offered, tax={"provider": "rates", "rates": rates}, **more)


def bought(billing: Billing, name: str = "pro", **profile: Any) -> tuple[str, Any]:
    """(customer, first invoice) of a buyer with this profile."""
    customer = billing.customer("pm_card_visa", **profile)
    billing.subscribe(customer, name)
    return customer, billing.invoices(customer)[0]


def sums(invoice: Any) -> tuple[int, int, int]:
    return invoice["total"] - invoice["tax"], invoice["tax"], invoice["total"]


def ledger(billing: Billing) -> dict[str, int]:
    found: Counter[str] = Counter()
    for entry in billing.api.store.journal(billing.api.sandbox.environment.id):
        for posting in entry.postings:
            found[str(posting.account)] += posting.amount
    return {account: amount for account, amount in found.items() if amount}


@pytest.mark.parametrize(
    ("profile", "wanted", "note"),
    [
        (GERMAN, (1999, 380, 2379), ""),
        ({"address": {"country": "GB"}}, (1666, 333, 1999), ""),
        ({"address": {"country": "US", "state": "us-ca"}}, (1999, 145, 2144), ""),
        ({"address": {"country": "US", "state": "NY"}}, (1999, 0, 1999), ""),
        ({}, (1999, 0, 1999), ""),
        ({**GERMAN, "tax_ids": ["DE136695976"]}, (1999, 0, 1999), "reverse_charge"),
        ({**GERMAN, "tax_ids": ["FR40303265045"]}, (1999, 380, 2379), ""),
        ({**GERMAN, "tax_exempt": "exempt"}, (1999, 0, 1999), "exempt"),
        ({"address": {"country": "GB"}, "tax_exempt": "reverse"}, (1999, 0, 1999), "reverse_charge"),
    ],
)
def test_by_where_and_who_the_buyer_is(profile: Any, wanted: Any, note: str) -> None:
    with case_on() as billing:
        taxed(billing)
        customer, invoice = bought(billing, **profile)
        assert (sums(invoice), invoice["amount_paid"]) == (wanted, wanted[2])
        assert [line["tax_note"] for line in invoice["lines"]] == [note]
        explained(billing, customer)
        net, tax, total = wanted
        expected = {"cash": total, "revenue": -net, "tax": -tax}
        assert ledger(billing) == {account: amount for account, amount in expected.items() if amount}


def test_nobody_s_business_is_frozen_but_the_invoice() -> None:
    """An open or paid invoice keeps what it said; the next one goes by what is known then."""
    with case_on() as billing:
        taxed(billing)
        customer, first = bought(billing, **GERMAN)
        billing.ok("PATCH", f"/v1/customers/{customer}", {"tax_ids": ["DE136695976"]})
        billing.advance("P1M")
        second, kept = billing.invoices(customer)
        assert (kept["tax"], kept["buyer"]["tax_ids"]) == (first["tax"], [])
        assert (second["tax"], second["buyer"]["tax_ids"]) == (0, ["DE136695976"])
        assert second["lines"][0]["tax_note"] == "reverse_charge"


def test_a_new_rate_is_for_every_invoice_from_then_on_whatever_was_bought() -> None:
    with case_on() as billing:
        taxed(billing)
        customer, first = bought(billing, **GERMAN)
        taxed(billing, plan(price(amount=5000)), rates=[{"country": "DE", "rate": "16"}])
        billing.advance("P1M")
        second = billing.invoices(customer)[0]
        assert (first["tax"], second["tax"], second["lines"][0]["amount"]) == (380, 320, 1999)
        explained(billing, customer)


def test_a_trial_s_end_a_change_and_the_last_invoice_are_taxed_too() -> None:
    with case_on("2027-04-01T00:00:00+00:00") as billing:
        extra = {"id": "help", "name": "Help", "prices": [price(amount=600, **ARREARS)]}
        trial = {"days": 7, "card_required": True}
        big = plan(price(amount=3000), id="big", name="Big", rank=2)
        taxed(billing, plan(price(amount=1500), trial=trial), big, add_ons=[extra])
        customer = billing.customer("pm_card_visa", **GERMAN)
        sub = billing.ok(
            "POST", "/v1/subscriptions", {"customer": customer, "plan": "pro", "add_ons": [{"id": "help"}]}
        )
        billing.advance("P7D")
        assert sums(billing.invoices(customer)[0]) == (1500, 285, 1785)
        billing.advance("P15D")
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "big"})
        change = billing.invoices(customer)[0]
        assert change["cause"] == "change"
        assert [(line["net"], line["tax"]) for line in change["lines"]] == [(-750, -143), (1500, 285)]
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"at": "now"})
        final = billing.invoices(customer)[0]
        assert (final["cause"], sums(final)) == ("final", (320, 61, 381))
        explained(billing, customer)
        assert -ledger(billing)["tax"] == sum(invoice["tax"] for invoice in billing.invoices(customer))


def test_what_is_credited_and_what_is_charged_again_take_their_tax_with_them() -> None:
    """Down to a plan that costs nothing: the unused half comes back with its tax, as credit."""
    with case_on("2027-04-01T00:00:00+00:00") as billing:
        taxed(billing, plan(price(amount=3000)), plan(price(amount=1000), id="mini", name="Mini", rank=0))
        customer, first = bought(billing, **GERMAN)
        billing.advance("P15D")
        body = {"plan": "mini", "at": "now"}
        billing.ok("POST", f"/v1/subscriptions/{first['subscription']}/change", body)
        change = billing.invoices(customer)[0]
        assert [(line["net"], line["tax"]) for line in change["lines"]] == [(-1500, -285), (500, 95)]
        assert (change["total"], change["credit_granted"]) == (0, 1190)
        explained(billing, customer)
        found = ledger(billing)
        assert (found["tax"], found["revenue"], found["customer_credit"]) == (-380, -2000, -1190)


def test_a_refund_takes_its_share_of_the_tax() -> None:
    with case_on() as billing:
        taxed(billing)
        customer, _ = bought(billing, **GERMAN)
        paid = billing.ok("GET", "/v1/payments", query={"customer": customer})["data"][0]
        billing.ok("POST", f"/v1/payments/{paid['id']}/refunds", {"amount": 1190})
        assert ledger(billing) == {"cash": 1189, "revenue": -999, "tax": -190}


@pytest.mark.parametrize(("currency", "amount", "tax"), [("JPY", 1999, 380), ("KWD", 12_345, 2346)])
def test_currencies_of_no_and_three_decimals(currency: str, amount: int, tax: int) -> None:
    with case_on() as billing:
        taxed(billing, plan(price(amount=amount, currency=currency)))
        customer, invoice = bought(billing, **GERMAN)
        assert sums(invoice) == (amount, tax, amount + tax)
        explained(billing, customer)


def test_the_catalog_says_what_is_wrong_with_its_rates() -> None:
    with case_on() as billing:
        version = billing.ok("GET", "/v1/catalog")["version"]
        body = {"seller": {"name": "Acme"}, "plans": [plan(price(amount=1))], "tax": {"provider": "rates"}}
        answer = billing("PUT", "/v1/catalog", body, headers={"If-Match": f'"{version}"'})
        assert (answer.status, answer.json["field"]) == (400, "tax.rates")
        taxed(billing)
        assert billing.ok("GET", "/v1/catalog")["tax"]["rates"][0]["reverse_charge"] is True


def test_a_website_s_key_makes_nobody_exempt() -> None:
    with case_on() as billing:
        key = billing.api.sandbox.publishable_token
        for path in ("/v1/signup_sessions", "/v1/checkout_sessions"):
            answer = billing("POST", path, {"plan": "pro", "tax_exempt": "exempt"}, key=key)
            assert answer.status == 400
            assert "tax_exempt" in answer.text
