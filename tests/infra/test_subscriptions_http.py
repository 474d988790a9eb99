"""Subscriptions as a client of the API sees them, from the first payment to the return."""

from __future__ import annotations

import pytest

from tests.infra.billing_api import MISSING, billing_on

NET_30 = {"method": "send_invoice", "net_days": 30}


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def order(customer, **fields):
    return {"customer": customer, "plan": "starter", "trial_days": 0, **fields}


class TestCreate:
    def test_with_a_card_it_is_active_and_paid(self, billing):
        customer = billing.customer()
        made = billing(
            "POST",
            "/v1/subscriptions",
            order(customer, plan="pro", quantity=3, currency="EUR", payment_method="pm_card_visa"),
        )
        assert made.status == 201
        sub = made.json
        assert (sub["status"], sub["plan"], sub["mrr"]) == ("active", "pro", 8100)
        assert sub["items"][0] | {"id": "", "price": ""} == {
            "id": "",
            "kind": "plan",
            "product": "pro",
            "name": "Pro",
            "quantity": 3,
            "price": "",
            "model": "per_unit",
            "unit_amount": "2700",
            "interval": "month",
            "interval_count": 1,
        }
        assert sub["current_period"] == {"start": "2027-03-01T09:30:00Z", "end": "2027-04-01T09:30:00Z"}
        assert sub["next"] == {"at": "2027-04-01T09:30:00Z", "kind": "renewal"}
        invoice = billing.ok("GET", f"/v1/invoices/{sub['latest_invoice']}")
        assert (invoice["status"], invoice["total"], invoice["amount_paid"]) == ("paid", 8100, 8100)
        assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}") == sub

    def test_declined_it_is_402_with_ids_and_another_card_activates(self, billing):
        customer = billing.customer("pm_card_chargeCustomerFail")
        refused = billing("POST", "/v1/subscriptions", order(customer))
        assert (refused.status, refused.json["code"]) == (402, "payment_declined")
        sub, invoice = refused.json["ids"]["subscription"], refused.json["ids"]["invoice"]
        assert refused.json["field"] == "payment_method"
        assert f"/v1/invoices/{invoice}/pay" in refused.json["fix"]
        shown = billing.ok("GET", f"/v1/subscriptions/{sub}")
        assert (shown["status"], shown["latest_invoice"]) == ("incomplete", invoice)
        assert shown["next"]["kind"] == "release"
        paid = billing.ok("POST", f"/v1/invoices/{invoice}/pay", {"payment_method": "pm_card_visa"})
        assert [attempt["status"] for attempt in paid["attempts"]] == ["declined", "succeeded"]
        assert billing.ok("GET", f"/v1/subscriptions/{sub}")["status"] == "active"
        assert billing.gateway.totals("USD") == 1900

    def test_not_paid_in_time_it_is_given_up(self, billing):
        customer = billing.customer("pm_card_chargeCustomerFail")
        ids = billing("POST", "/v1/subscriptions", order(customer)).json["ids"]
        billing.advance("P1D")
        assert billing.ok("GET", f"/v1/subscriptions/{ids['subscription']}")["status"] == "incomplete_expired"
        assert billing.ok("GET", f"/v1/invoices/{ids['invoice']}")["status"] == "void"
        late = billing("POST", f"/v1/invoices/{ids['invoice']}/pay", {"payment_method": "pm_card_visa"})
        assert (late.status, late.json["code"]) == (409, "invalid_state")

    def test_the_same_request_is_one_subscription_and_one_charge(self, billing):
        customer = billing.customer("pm_card_visa")
        headers = {"Idempotency-Key": "signup-1"}
        first = billing("POST", "/v1/subscriptions", order(customer), headers=headers)
        again = billing("POST", "/v1/subscriptions", order(customer), headers=headers)
        assert (first.status, first.json) == (again.status, again.json)
        assert len(billing.gateway.charges()) == 1
        other = billing("POST", "/v1/subscriptions", order(customer, plan="pro"), headers=headers)
        assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")

    def test_a_lost_answer_is_learned_by_the_same_request(self, billing):
        customer = billing.customer("pm_card_visa")
        headers = {"Idempotency-Key": "signup-1"}
        billing.gateway.script(["lost_before_charge"])
        pending = billing("POST", "/v1/subscriptions", order(customer), headers=headers)
        assert (pending.status, pending.json["code"]) == (409, "payment_pending")
        assert pending.headers["retry-after"]
        billing.api.now = billing.api.now.replace(hour=10)
        again = billing("POST", "/v1/subscriptions", order(customer), headers=headers)
        assert (again.status, again.json["status"]) == (201, "active")
        assert len(billing.gateway.charges()) == 1

    def test_the_processors_outage_is_503_and_not_the_customers_failure(self, billing):
        customer = billing.customer("pm_card_visa")
        headers = {"Idempotency-Key": "signup-1"}
        billing.gateway.script(["unavailable"])
        down = billing("POST", "/v1/subscriptions", order(customer), headers=headers)
        assert (down.status, down.json["code"]) == (503, "gateway_unavailable")
        assert (
            billing("POST", "/v1/subscriptions", order(customer), headers=headers).json["status"] == "active"
        )

    def test_a_trial_needs_no_money(self, billing):
        sub = billing.ok("POST", "/v1/subscriptions", {"customer": billing.customer(), "plan": "starter"})
        assert (sub["status"], sub["current_period"], sub["latest_invoice"]) == ("trialing", None, None)
        assert sub["trial"] == {
            "start": "2027-03-01T09:30:00Z",
            "end": "2027-03-15T09:30:00Z",
            "on_end": "fall_back",
        }
        assert (sub["mrr"], billing.gateway.calls["charge"]) == (0, 0)
        again = billing(
            "POST", "/v1/subscriptions", {"customer": sub["customer"], "plan": "starter", "trial_days": 7}
        )
        assert (again.status, again.json["field"]) == (400, "trial_days")

    def test_a_trial_with_a_card_wants_one(self, billing):
        refused = billing("POST", "/v1/subscriptions", {"customer": billing.customer(), "plan": "pro"})
        assert (refused.status, refused.json["field"]) == (400, "payment_method")

    def test_a_free_plan_starts_at_once_and_rests(self, billing):
        sub = billing.subscribe(billing.customer(), "free")
        assert (sub["status"], sub["mrr"], sub["next"], sub["latest_invoice"]) == ("active", 0, None, None)

    def test_on_invoice_it_is_active_with_its_invoice_open(self, billing):
        customer = billing.customer(terms=NET_30)
        sub = billing.subscribe(customer, "pro", quantity=2)
        assert (sub["status"], sub["collection"]) == ("active", NET_30)
        (invoice,) = billing.invoices(customer)
        assert (invoice["status"], invoice["due_at"]) == ("open", "2027-03-31T09:30:00Z")

    def test_add_ons_are_items(self, billing):
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, add_ons=[{"id": "priority_support"}])
        assert [(item["kind"], item["product"]) for item in sub["items"]] == [
            ("plan", "starter"),
            ("add_on", "priority_support"),
        ]
        assert billing.invoices(customer)[0]["total"] == 1900 + 4900

    def test_on_the_calendar_the_first_period_is_a_stub(self, billing):
        billing.advance("P10D")
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, billing="calendar")
        assert sub["current_period"] == {"start": "2027-03-11T09:30:00Z", "end": "2027-04-01T00:00:00Z"}
        (line,) = billing.invoices(customer)[0]["lines"]
        assert (line["numerator"], line["denominator"], line["total"]) == (21, 31, 1287)

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"plan": "gold"}, "plan"),
            ({"plan": "starter", "quantity": 2}, "quantity"),
            ({"interval": "week"}, "interval"),
            ({"currency": "CHF"}, "interval"),
            ({"add_ons": [{"id": "nothing"}]}, "add_ons[0].id"),
            ({"quantity": 0}, "quantity"),
            ({"colour": "red"}, "colour"),
            ({"interval_count": True}, "interval_count"),
            ({"billing": "lunar"}, "billing"),
        ],
    )
    def test_a_wrong_field_is_named(self, billing, fields, field):
        refused = billing("POST", "/v1/subscriptions", order(billing.customer("pm_card_visa"), **fields))
        assert (refused.status, refused.json["field"]) == (400, field)
        assert billing.gateway.calls["charge"] == 0

    def test_without_a_card_it_says_what_to_do(self, billing):
        refused = billing("POST", "/v1/subscriptions", order(billing.customer()))
        assert (refused.status, refused.json["field"]) == (400, "payment_method")
        assert "checkout" in refused.json["fix"]


class TestCancel:
    @pytest.fixture
    def sub(self, billing):
        return billing.subscribe(billing.customer("pm_card_visa"))

    def test_at_the_periods_end_by_default(self, billing, sub):
        path = f"/v1/subscriptions/{sub['id']}"
        leaving = billing.ok("POST", f"{path}/cancel", {"reason": "too dear"})
        assert leaving["status"] == "active"
        assert leaving["cancellation"] == {
            "requested_at": "2027-03-01T09:30:00Z",
            "at": "2027-04-01T09:30:00Z",
            "reason": "too dear",
        }
        assert leaving["next"] == {"at": "2027-04-01T09:30:00Z", "kind": "cancellation"}
        assert billing.ok("POST", f"{path}/cancel", {}) == leaving
        billing.advance("P1M")
        gone = billing.ok("GET", path)
        assert (gone["status"], gone["ended_at"], gone["mrr"]) == ("canceled", "2027-04-01T09:30:00Z", 0)
        assert gone["cancellation"]["reason"] == "too dear"
        assert len(billing.invoices(sub["customer"])) == 1

    def test_undone_it_renews(self, billing, sub):
        path = f"/v1/subscriptions/{sub['id']}"
        billing.ok("POST", f"{path}/cancel", {})
        kept = billing.ok("POST", f"{path}/undo_cancellation")
        assert (kept["cancellation"], kept["next"]["kind"]) == (None, "renewal")
        again = billing("POST", f"{path}/undo_cancellation")
        assert (again.status, again.json["code"]) == (409, "invalid_state")
        billing.advance("P1M")
        assert len(billing.invoices(sub["customer"])) == 2

    def test_now(self, billing, sub):
        path = f"/v1/subscriptions/{sub['id']}"
        gone = billing.ok("POST", f"{path}/cancel", {"at": "now", "reason": "closed down"})
        assert (gone["status"], gone["ended_at"]) == ("canceled", "2027-03-01T09:30:00Z")
        assert gone["next"] == {"at": "2027-03-08T09:30:00Z", "kind": "win_back"}
        assert billing("POST", f"{path}/cancel", {"at": "now"}).json["code"] == "invalid_state"
        assert billing.advance("P3M")["jobs"] == 1

    def test_back_on_the_same_day_the_new_time_begins_tomorrow(self, billing, sub):
        path = f"/v1/subscriptions/{sub['id']}"
        billing.ok("POST", f"{path}/cancel", {"at": "now"})
        back = billing.ok("POST", f"{path}/reactivate")
        assert back["status"] == "active"
        assert back["current_period"] == {"start": "2027-03-02T00:00:00Z", "end": "2027-04-02T00:00:00Z"}
        first, second = reversed(billing.invoices(sub["customer"]))
        assert (first["status"], second["status"], second["total"]) == ("paid", "paid", 1900)
        assert billing.gateway.totals("USD") == 3800

    def test_back_later_the_new_time_begins_then(self, billing, sub):
        path = f"/v1/subscriptions/{sub['id']}"
        billing.ok("POST", f"{path}/cancel", {"at": "now"})
        billing.advance("P10D")
        back = billing.ok("POST", f"{path}/reactivate")
        assert back["current_period"]["start"] == "2027-03-11T09:30:00Z"
        assert (back["cancellation"], back["ended_at"]) == (None, None)
        assert billing("POST", f"{path}/reactivate").json["code"] == "invalid_state"

    def test_coming_back_with_a_card_that_fails(self, billing, sub):
        path = f"/v1/subscriptions/{sub['id']}"
        billing.ok("POST", f"{path}/cancel", {"at": "now"})
        billing.advance("P10D")
        billing.gateway.behave(next(iter(billing.gateway.methods)), "generic_decline")
        refused = billing("POST", f"{path}/reactivate")
        assert refused.status == 402
        assert billing.ok("GET", path)["status"] == "incomplete"
        billing.advance("P1D")
        assert billing.ok("GET", path)["status"] == "canceled"
        assert billing.ok("GET", f"/v1/invoices/{refused.json['ids']['invoice']}")["status"] == "void"

    def test_what_never_began_cannot_be_cancelled(self, billing):
        customer = billing.customer("pm_card_chargeCustomerFail")
        sub = billing("POST", "/v1/subscriptions", order(customer)).json["ids"]["subscription"]
        assert billing("POST", f"/v1/subscriptions/{sub}/cancel", {}).json["code"] == "invalid_state"


class TestTrials:
    @pytest.fixture
    def trial(self, billing):
        """14 days from 2027-03-01T09:30Z."""
        return billing.ok(
            "POST",
            "/v1/subscriptions",
            {"customer": billing.customer(), "plan": "pro", "payment_method": "pm_card_visa"},
        )

    def test_put_off(self, billing, trial):
        path = f"/v1/subscriptions/{trial['id']}/extend_trial"
        key = {"headers": {"Idempotency-Key": "longer"}}
        longer = billing.ok("POST", path, {"days": 7}, **key)
        assert longer["trial"]["end"] == "2027-03-22T09:30:00Z"
        assert longer["next"] == {"at": "2027-03-19T09:30:00Z", "kind": "trial_reminder"}
        assert billing.ok("POST", path, {"days": 7}, **key) == longer
        for days in (0, 366, "a week"):
            assert billing("POST", path, {"days": days}).status == 400

    def test_ended_early(self, billing, trial):
        path = f"/v1/subscriptions/{trial['id']}"
        billing.advance("P3D")
        paid = billing.ok("POST", f"{path}/end_trial")
        assert (paid["status"], paid["trial"]["end"]) == ("active", "2027-03-04T09:30:00Z")
        assert paid["current_period"] == {"start": "2027-03-04T09:30:00Z", "end": "2027-04-04T09:30:00Z"}
        (invoice,) = billing.invoices(trial["customer"])
        assert (invoice["status"], invoice["total"]) == ("paid", 2900)
        assert billing("POST", f"{path}/extend_trial", {"days": 7}).json["code"] == "invalid_state"

    def test_had_by_somebody_else(self, billing, trial):
        refused = billing("POST", "/v1/subscriptions", {"customer": billing.customer(), "plan": "starter"})
        assert (refused.status, refused.json["field"]) == (400, "trial_days")
        assert billing.gateway.totals("USD") == 0


class TestList:
    def test_pages_newest_first(self, billing):
        customers = [billing.customer() for _ in range(2)]
        made = []
        for number in range(7):
            made.append(billing.subscribe(customers[number % 2], "free")["id"])
            billing.advance("PT1M")
        assert [sub["id"] for sub in pages(billing, {"limit": "3"})] == made[::-1]
        own = [sub["id"] for sub in pages(billing, {"limit": "2", "customer": customers[0]})]
        assert own == made[::2][::-1]

    def test_of_one_customer_made_at_the_same_instant(self, billing):
        customer = billing.customer()
        made = {billing.subscribe(customer, "free")["id"] for _ in range(5)}
        listed = [sub["id"] for sub in pages(billing, {"limit": "2", "customer": customer})]
        assert (len(listed), set(listed)) == (5, made)

    def test_by_status(self, billing):
        customer = billing.customer("pm_card_visa")
        kept, gone = (billing.subscribe(customer)["id"] for _ in range(2))
        billing.ok("POST", f"/v1/subscriptions/{gone}/cancel", {"at": "now"})
        for query in ({"status": "active"}, {"status": "active", "customer": customer}):
            assert [sub["id"] for sub in pages(billing, query)] == [kept]

    @pytest.mark.parametrize(
        "query", [{"status": "happy"}, {"limit": "0"}, {"limit": "101"}, {"cursor": "x"}, {"page": "2"}]
    )
    def test_a_wrong_query_is_refused(self, billing, query):
        assert billing("GET", "/v1/subscriptions", query=query).status == 400
        assert (
            billing("GET", "/v1/subscriptions", query=query | {"customer": billing.customer()}).status == 400
        )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("POST", "/cancel", {}),
        ("POST", "/undo_cancellation", None),
        ("POST", "/reactivate", None),
        ("POST", "/extend_trial", {"days": 7}),
        ("POST", "/end_trial", None),
    ],
)
def test_a_foreign_subscription_is_as_missing_as_a_missing_one(billing, method, path, body):
    foreign = billing.foreign()["id"]
    answers = [
        billing(method, f"/v1/subscriptions/{id_}{path}", body) for id_ in (foreign, MISSING["sub"], "sub_1")
    ]
    assert [answer.status for answer in answers] == [404] * 3
    assert len({(answer.json["code"], answer.json["title"]) for answer in answers}) == 1


def pages(billing, query):
    found, cursor = [], None
    for _ in range(20):
        page = billing.ok("GET", "/v1/subscriptions", query=query | ({"cursor": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the pages never end")
