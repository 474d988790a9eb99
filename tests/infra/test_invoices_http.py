"""Invoices as a client of the API sees them: explained, collected, overdue, never another's."""

from __future__ import annotations

import pytest

from tests.infra.billing_api import MISSING, billing_on

ON_INVOICE = {"method": "send_invoice", "net_days": 30}


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def show(billing, invoice):
    return billing.ok("GET", f"/v1/invoices/{invoice['id']}")


def decline_all(billing, how="generic_decline"):
    for method in list(billing.gateway.methods):
        billing.gateway.behave(method, how)


class TestOne:
    def test_can_be_recomputed_from_its_lines(self, billing):
        customer = billing.customer("pm_card_visa", legal_name="Analytical Engines Ltd")
        billing.subscribe(
            customer, "pro", quantity=4, add_ons=[{"id": "priority_support"}], billing="calendar"
        )
        (invoice,) = billing.invoices(customer)
        assert len(invoice["lines"]) == 2
        for line in invoice["lines"]:
            exact = sum(
                step["quantity"] * int(step["unit_amount"]) // step["per"] + int(step["flat_amount"])
                for step in line["steps"]
            )
            assert line["amount"] == round(exact * line["numerator"] / line["denominator"])
            assert line["net"] == line["amount"] - line["discount"]
        assert invoice["total"] == sum(line["total"] for line in invoice["lines"]) == 4 * 2900 + 4900
        assert invoice["buyer"]["name"] == "Analytical Engines Ltd"
        assert invoice["seller"]["name"] == "Perennial Demo Ltd"
        assert show(billing, invoice) == invoice

    def test_keeps_what_it_said_when_the_customer_moves(self, billing):
        customer = billing.customer("pm_card_visa", legal_name="Before Ltd")
        billing.subscribe(customer)
        billing.ok("PATCH", f"/v1/customers/{customer}", {"legal_name": "After Ltd"})
        billing.advance("P1M")
        assert [invoice["buyer"]["name"] for invoice in billing.invoices(customer)] == [
            "After Ltd",
            "Before Ltd",
        ]

    def test_numbers_are_gapless_and_the_causes_said(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        billing.advance("P3M")
        found = billing.invoices(customer)
        assert [invoice["number"][-4:] for invoice in found] == ["0004", "0003", "0002", "0001"]
        assert {invoice["cause"] for invoice in found} == {"cycle"}

    def test_its_attempts(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        decline_all(billing)
        billing.advance("P1M")
        billing.advance("P3D")
        invoice = billing.invoices(customer)[0]
        attempts = billing.ok("GET", f"/v1/invoices/{invoice['id']}/attempts")["data"]
        assert attempts == invoice["attempts"]
        assert [(each["number"], each["status"], each["decline_code"]) for each in attempts] == [
            (1, "declined", "generic_decline"),
            (2, "declined", "generic_decline"),
        ]
        assert [each["at"] for each in attempts] == ["2027-04-01T09:30:00Z", "2027-04-03T09:30:00Z"]


class TestDueDate:
    @pytest.mark.parametrize(
        ("zone", "last_on_time", "first_overdue"),
        [
            ("UTC", "2027-03-31T23:59:59Z", "2027-04-01T00:00:00Z"),
            ("Europe/Berlin", "2027-03-31T21:59:59Z", "2027-03-31T22:00:00Z"),
            ("America/New_York", "2027-04-01T03:59:59Z", "2027-04-01T04:00:00Z"),
        ],
    )
    def test_net_30_is_overdue_from_the_day_after(self, billing, zone, last_on_time, first_overdue):
        """NET-01: issued on 1 March, due on 31 March, overdue when that day has ended where the customer lives."""
        customer = billing.customer(time_zone=zone, terms=ON_INVOICE)
        billing.subscribe(customer, "business")
        (invoice,) = billing.invoices(customer)
        assert (invoice["status"], invoice["due_at"][:10], invoice["overdue"]) == (
            "open",
            "2027-03-31",
            False,
        )
        billing.ok("POST", "/v1/clock/advance", {"to": last_on_time})
        assert show(billing, invoice)["overdue"] is False
        assert "invoice.overdue" not in billing.facts()
        billing.ok("POST", "/v1/clock/advance", {"to": first_overdue})
        assert show(billing, invoice)["overdue"] is True
        billing.advance("P5D")
        assert billing.facts().count("invoice.overdue") == 1
        assert billing.gateway.calls["charge"] == 0
        amount = invoice["amount_due"]
        billing.ok(
            "POST",
            "/v1/payments",
            {"customer": customer, "amount": amount, "currency": "USD",
             "allocations": [{"invoice": invoice["id"], "amount": amount}]},
        )  # fmt: skip
        assert (show(billing, invoice)["status"], show(billing, invoice)["overdue"]) == ("paid", False)

    def test_what_is_charged_automatically_is_never_overdue(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        decline_all(billing)
        billing.advance("P1M")
        billing.advance("P5D")
        invoice = billing.invoices(customer)[0]
        assert (invoice["status"], invoice["overdue"]) == ("open", False)


class TestPay:
    def test_an_invoice_on_account_with_a_card(self, billing):
        customer = billing.customer(terms=ON_INVOICE)
        billing.subscribe(customer)
        (invoice,) = billing.invoices(customer)
        paid = billing.ok("POST", f"/v1/invoices/{invoice['id']}/pay", {"payment_method": "pm_card_visa"})
        assert (paid["status"], paid["amount_paid"], paid["amount_remaining"]) == ("paid", 1900, 0)
        (payment,) = paid["payments"]
        assert billing.ok("GET", f"/v1/payments/{payment['id']}")["amount"] == 1900

    def test_in_dunning_the_subscription_recovers(self, billing):
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer)
        decline_all(billing)
        billing.advance("P1M")
        shown = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
        invoice = billing.invoices(customer)[0]
        assert (shown["status"], shown["dunning"]["invoices"]) == ("past_due", [invoice["id"]])
        refused = billing("POST", f"/v1/invoices/{invoice['id']}/pay", {})
        assert (refused.status, refused.json["ids"]["invoice"]) == (402, invoice["id"])
        assert refused.json["ids"]["decline_code"] == "generic_decline"
        billing.ok("POST", f"/v1/invoices/{invoice['id']}/pay", {"payment_method": "pm_card_mastercard"})
        shown = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
        assert (shown["status"], shown["dunning"]) == ("active", None)

    def test_twice_is_refused_and_charged_once(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        (invoice,) = billing.invoices(customer)
        again = billing("POST", f"/v1/invoices/{invoice['id']}/pay", {})
        assert (again.status, again.json["code"]) == (409, "invalid_state")
        assert len(billing.gateway.charges()) == 1

    def test_without_any_method_it_says_so(self, billing):
        customer = billing.customer(terms=ON_INVOICE)
        billing.subscribe(customer)
        (invoice,) = billing.invoices(customer)
        refused = billing("POST", f"/v1/invoices/{invoice['id']}/pay", {})
        assert (refused.status, refused.json["field"]) == (402, "payment_method")
        assert show(billing, invoice)["status"] == "open"


class TestList:
    def test_pages_by_customer_and_by_subscription(self, billing):
        customer = billing.customer("pm_card_visa")
        first, second = billing.subscribe(customer), billing.subscribe(customer)
        billing.advance("P3M")
        everything = pages(billing, {"customer": customer, "limit": "3"})
        assert len(everything) == 8
        assert [invoice["number"] for invoice in everything] == sorted(
            (invoice["number"] for invoice in everything), reverse=True
        )
        for sub in (first, second):
            own = pages(billing, {"subscription": sub["id"], "limit": "3"})
            assert [invoice for invoice in everything if invoice["subscription"] == sub["id"]] == own
            assert len(own) == 4

    @pytest.mark.parametrize(
        ("query", "status"),
        [({}, 400), ({"limit": "0"}, 400), ({"customer": "cus_1"}, 404), ({"customer": MISSING["cus"]}, 404)],
    )
    def test_whose_must_be_said(self, billing, query, status):
        assert billing("GET", "/v1/invoices", query=query).status == status

    def test_a_cursor_of_ours_is_needed(self, billing):
        query = {"customer": billing.customer(), "cursor": "abc"}
        assert billing("GET", "/v1/invoices", query=query).json["field"] == "cursor"

    def test_customer_and_subscription_must_belong_together(self, billing):
        sub = billing.subscribe(billing.customer("pm_card_visa"))
        query = {"customer": billing.customer(), "subscription": sub["id"]}
        assert billing("GET", "/v1/invoices", query=query).status == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/attempts"), ("POST", "/pay")])
def test_a_foreign_invoice_is_as_missing_as_a_missing_one(billing, method, path):
    foreign = billing.foreign()["latest_invoice"]
    answers = [
        billing(method, f"/v1/invoices/{id_}{path}", {} if method == "POST" else None)
        for id_ in (foreign, MISSING["inv"], "inv_1")
    ]
    assert [answer.status for answer in answers] == [404] * 3
    assert len({(answer.json["code"], answer.json["title"]) for answer in answers}) == 1
    for query in ({"subscription": "sub_" + foreign.partition("_")[2]},):
        assert billing("GET", "/v1/invoices", query=query).status == 404


def pages(billing, query):
    found, cursor = [], None
    for _ in range(20):
        page = billing.ok("GET", "/v1/invoices", query=query | ({"cursor": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the pages never end")
