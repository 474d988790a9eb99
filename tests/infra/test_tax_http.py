"""Tax by the seller's rates through the API: who pays what on which invoice, and that books and prices agree."""

from __future__ import annotations

from collections import Counter
from html import unescape
from typing import Any

import pytest

from tests.infra.billing_api import Billing
from tests.infra.test_cases_http import ARREARS, case_on, explained, plan, price, publish
from tests.infra.test_checkout_http import follow, token_of
from tests.infra.test_checkout_http import send as send_form

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


class TestWhatABuyerIsShown:
    """Price page, sign-up and payment page say what the invoice says."""

    def request(self, billing: Billing) -> Any:
        return list(billing.gateway.pages.values())[-1].request

    def urls(self, billing: Billing) -> dict[str, str]:
        home = billing.api.services.public_url
        return {"success_url": f"{home}/ok", "cancel_url": f"{home}/no"}

    @pytest.mark.parametrize(
        ("place", "total", "taxes"),
        [
            ({"country": "DE"}, 2379, [("19", False, "", 1999, 380)]),
            ({"country": "GB"}, 1999, [("20", True, "", 1666, 333)]),
            ({"country": "US", "state": "CA"}, 2144, [("7.25", False, "", 1999, 145)]),
            ({"country": "DE", "tax_id": "136 695 976"}, 1999, [("0", False, "reverse_charge", 1999, 0)]),
            ({"country": "FR"}, 1999, []),
            ({}, 1999, []),
        ],
    )
    def test_a_sign_up_s_price_is_what_its_page_and_its_invoices_ask_for(
        self, place: Any, total: int, taxes: Any
    ) -> None:
        with case_on() as billing:
            taxed(billing)
            key = billing.api.sandbox.publishable_token
            cart = {"plan": "pro", "email": "grace@example.com", **self.urls(billing), **place}
            session = billing.ok("POST", "/v1/signup_sessions", cart, key=key)
            shown = billing.ok("POST", f"/v1/signup_sessions/{session['id']}/price", key=key)
            assert (shown["total"], shown["due_now"], shown["renewal_amount"]) == (total, total, total)
            assert [tuple(each.values()) for each in shown["taxes"]] == taxes
            done = billing.ok("POST", f"/v1/signup_sessions/{session['id']}/complete", key=key)
            request = self.request(billing)
            assert (request.amount, sum(item.amount for item in request.items)) == (total, total)
            (invoice,) = billing.invoices(done["customer"])
            assert (invoice["total"], invoice["amount_due"]) == (total, total)
            billing.gateway.pay_checkout("cs_mem_1")
            env = billing.api.sandbox.environment.id
            query = {"env": env, "session": done["checkout_session"]}
            billing("GET", "/checkout/return", key="", query=query)
            billing.advance("P1M")
            assert billing.invoices(done["customer"])[0]["total"] == total

    def test_a_tax_id_that_cannot_be_right_is_named(self) -> None:
        with case_on() as billing:
            taxed(billing)
            key = billing.api.sandbox.publishable_token
            for cart in ({"country": "DE", "tax_id": "136695977"}, {"tax_id": "GB1"}, {"tax_id": "1\n2"}):
                answer = billing("POST", "/v1/signup_sessions", {"plan": "pro", **cart}, key=key)
                assert (answer.status, answer.json["field"]) == (400, "tax_id")
            session = billing.ok("POST", "/v1/signup_sessions", {"tax_id": "136695976"}, key=key)
            path = f"/v1/signup_sessions/{session['id']}"
            assert billing("PATCH", path, {"country": "FR"}, key=key).json["field"] == "tax_id"
            assert billing.ok("PATCH", path, {"country": "DE"}, key=key)["tax_id"] == "136695976"

    def test_a_checkout_for_somebody_new_is_taxed_where_they_are(self) -> None:
        with case_on() as billing:
            taxed(billing)
            body = {"plan": "pro", "customer_email": "grace@example.com", "country": "US", "state": "CA"}
            billing.ok("POST", "/v1/checkout_sessions", {**body, **self.urls(billing)})
            assert self.request(billing).amount == 2144
            body = {**body, "country": "DE", "tax_id": "DE136695977"}
            answer = billing("POST", "/v1/checkout_sessions", {**body, **self.urls(billing)})
            assert (answer.status, answer.json["field"]) == (400, "tax_id")

    @pytest.mark.parametrize(
        ("country", "note"), [("DE", "plus 19 % VAT"), ("GB", "incl. 20 % VAT"), ("US", None), ("FR", None)]
    )
    def test_the_price_list_says_whether_tax_comes_on_top(self, country: str, note: str | None) -> None:
        with case_on() as billing:
            taxed(billing)
            key = billing.api.sandbox.publishable_token
            listed = billing.ok("GET", "/v1/plans", key=key, query={"country": country})
            assert listed["tax"] == note
            page = billing("GET", "/pricing", key="", query={"key": key, "country": country})
            assert f"Prices in USD, {note or 'without tax'}" in page.text
            assert "Accept-Language" in page.headers["vary"]
            tongue = {"Accept-Language": f"en-{country}"}
            again = billing("GET", "/pricing", key="", query={"key": key}, headers=tongue)
            assert f"Prices in USD, {note or 'without tax'}" in again.text
            assert "before any tax" in billing("GET", "/pricing", key="", query={"key": key}).text

    def test_the_form_shows_the_tax_and_nobody_pays_another(self) -> None:
        with case_on() as billing:
            taxed(billing)
            key = billing.api.sandbox.publishable_token
            query = {"plan": "pro", "key": key}
            page = billing("GET", "/signup", key="", query=query, headers={"Accept-Language": "de-DE"})
            text = unescape(page.text)
            for shown in ("$19.99", "19 % VAT", "$3.80", "You pay $23.79 now"):
                assert shown in text
            form = {"plan": "pro", "interval": "month", "email": "grace@example.com", "country": "DE",
                    "token": token_of(text), "taxed": "plus 19 % VAT", "action": "send"}  # fmt: skip

            def send(**fields: str) -> Any:
                return send_form(billing, key, {**form, **fields})

            wrong = send(tax_id="1")
            assert (wrong.status_code, "is not a tax id" in wrong.text) == (422, True)
            other = unescape(send(tax_id="136695976").text)
            assert "another one where you are" in other
            assert "You pay $19.99 now" in other
            assert "VAT, reverse charge" in other
            asked = send(country="US", taxed="")
            assert (asked.status_code, "Please name your state" in asked.text) == (422, True)
            path, _ = follow(send(tax_id="136695976", taxed="reverse_charge"))
            assert (path, self.request(billing).amount) == ("/checkout/pay", 1999)
            done = send(country="GB", taxed="incl. 20 % VAT", token="g" * 32, email="eve@example.com")
            assert (follow(done)[0], self.request(billing).amount) == ("/checkout/pay", 1999)


class TestBetweenAPreviewAndItsCommit:
    def test_what_is_previewed_has_its_tax_and_is_what_is_billed(self) -> None:
        with case_on() as billing:
            taxed(billing, plan(price(amount=1000)), plan(price(amount=3000), id="big", name="Big", rank=2))
            customer, first = bought(billing, **GERMAN)
            path = f"/v1/subscriptions/{first['subscription']}/change"
            shown = billing.ok("POST", f"{path}/preview", {"plan": "big"})
            billing.ok("POST", path, {"plan": "big", "preview_token": shown["token"]})
            billed = billing.invoices(customer)[0]
            (previewed,) = shown["invoices"]
            assert sums(previewed) == sums(billed)
            assert billed["tax"] != 0
            assert sums(shown["next_invoice"]) == (3000, 570, 3570)
            billing.advance("P1M")
            assert sums(billing.invoices(customer)[0]) == (3000, 570, 3570)

    def test_another_rate_makes_it_stale(self) -> None:
        with case_on() as billing:
            plans = plan(price(amount=1000)), plan(price(amount=3000), id="big", name="Big", rank=2)
            taxed(billing, *plans)
            customer, first = bought(billing, **GERMAN)
            path = f"/v1/subscriptions/{first['subscription']}/change"
            token = billing.ok("POST", f"{path}/preview", {"plan": "big"})["token"]
            taxed(billing, *plans, rates=[{"country": "DE", "rate": "16"}])
            answer = billing("POST", path, {"plan": "big", "preview_token": token})
            assert (answer.status, answer.json["code"]) == (409, "preview_stale")
            assert len(billing.invoices(customer)) == 1
            token = billing.ok("POST", f"{path}/preview", {"plan": "big"})["token"]
            billing.ok("PATCH", f"/v1/customers/{customer}", {"tax_exempt": "exempt"})
            answer = billing("POST", path, {"plan": "big", "preview_token": token})
            assert (answer.status, answer.json["code"]) == (409, "preview_stale")


def test_a_change_that_was_declined_leaves_no_tax_behind() -> None:
    with case_on() as billing:
        taxed(billing, plan(price(amount=1000)), plan(price(amount=3000), id="big", name="Big", rank=2))
        customer, first = bought(billing, **GERMAN)
        before = ledger(billing)
        for method in list(billing.gateway.methods):
            billing.gateway.behave(method, "generic_decline")
        path = f"/v1/subscriptions/{first['subscription']}/change"
        assert billing("POST", path, {"plan": "big"}).status == 402
        assert billing.invoices(customer)[0]["status"] == "void"
        assert ledger(billing) == before
