"""Checkout and sign-up as a website, a server and a browser without scripts see them."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.application.catalog import publish_default
from tests.infra.billing_api import billing_on

SUCCESS, CANCEL = "https://shop.example/thanks", "https://shop.example/pricing"
URLS = {"success_url": SUCCESS, "cancel_url": CANCEL}
NEW = {"customer_email": "grace@example.com", "plan": "starter", "trial_days": 0, **URLS}


@pytest.fixture
def shop():
    with billing_on() as billing:
        billing.api.services.allowed_origins = (billing.api.services.public_url, "https://shop.example")
        publish_default(billing.api.context())
        yield billing


@pytest.fixture
def pub(shop):
    return shop.api.sandbox.publishable_token


def env(shop):
    return shop.api.sandbox.environment.id


def visit(shop, path, **query):
    return shop("GET", path, key="", query={"env": env(shop), **query})


def send(shop, pub, values, **query):
    """The form as a browser sends it."""
    answer = shop.api._client.http.request(
        "POST",
        f"/signup?{urlencode({'key': pub, **query})}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(values).encode(),
    )
    answer.text = answer.body.decode()
    return answer


def follow(answer):
    """(path, query) of a redirect."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.headers["Location"])
    return "/" + parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


def test_a_new_customer_checks_out_and_comes_back(shop, pub):
    session = shop.ok("POST", "/v1/checkout_sessions", NEW, key=pub)
    assert (session["status"], session["mode"], session["payment_status"]) == ("open", "payment", "unpaid")
    assert session["url"].startswith("https://pay.example/")
    pay = visit(shop, "/checkout/pay", session=session["id"])
    assert pay.status == 200
    assert f'content="0;url={session["url"]}"' in pay.text
    waiting = visit(shop, "/checkout/return", session=session["id"])
    assert (waiting.status, "Waiting for your bank" in waiting.text) == (200, True)
    assert 'http-equiv="refresh"' in waiting.text
    shop.gateway.pay_checkout("cs_mem_1")
    for _ in range(2):
        back = visit(shop, "/checkout/return", session=session["id"])
        assert (back.status, back.headers["location"]) == (
            303,
            f"{SUCCESS}?checkout_session={session['id']}",
        )
    done = shop.ok("GET", f"/v1/checkout_sessions/{session['id']}", key=pub)
    assert (done["status"], done["payment_status"], done["url"]) == ("complete", "paid", None)
    subscription = shop.ok("GET", f"/v1/subscriptions/{session['subscription']}")
    assert subscription["status"] == "active"
    assert shop.facts().count("subscription.activated") == 1


def test_the_same_key_is_the_same_session(shop, pub):
    first, second = (
        shop("POST", "/v1/checkout_sessions", NEW, key=pub, headers={"Idempotency-Key": "one"})
        for _ in range(2)
    )
    assert first.json == second.json
    other = {**NEW, "plan": "pro"}
    refused = shop("POST", "/v1/checkout_sessions", other, key=pub, headers={"Idempotency-Key": "one"})
    assert refused.status == 422


def test_an_outage_of_the_processor_is_repeated_under_the_same_key(shop):
    shop.gateway.script(["unavailable"], on="open_checkout")
    headers = {"Idempotency-Key": "one"}
    assert shop("POST", "/v1/checkout_sessions", NEW, headers=headers).status == 503
    session = shop("POST", "/v1/checkout_sessions", NEW, headers=headers)
    assert (session.status, session.json["status"]) == (201, "open")
    assert shop.facts().count("checkout.opened") == 1


def test_an_existing_customer_needs_the_secret_key(shop, pub):
    customer = shop.customer()
    body = {"customer": customer, "plan": "pro", "quantity": 2, "trial_days": 0, **URLS}
    refused = shop("POST", "/v1/checkout_sessions", body, key=pub)
    assert (refused.status, refused.json["field"]) == (403, "customer")
    session = shop.ok("POST", "/v1/checkout_sessions", body)
    assert shop.gateway.pages["cs_mem_1"].request.amount == 5800
    expired = shop.ok("POST", f"/v1/checkout_sessions/{session['id']}/expire")
    assert (expired["status"], expired["url"]) == ("expired", None)
    back = visit(shop, "/checkout/return", session=session["id"])
    assert back.headers["location"].startswith(CANCEL)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"success_url": "https://evil.example/"}, 400, "success_url"),
        ({"plan": "enterprise"}, 409, "plan"),
        ({"plan": "business"}, 409, "plan"),
        ({"plan": "free"}, 400, "plan"),
        ({"trial_days": 3}, 400, "trial_days"),
        ({"customer_email": None}, 400, "customer_email"),
        ({"customer_email": "x"}, 400, "customer_email"),
        ({"country": "XX"}, 400, "country"),
        ({"amount": 1}, 400, "amount"),
        ({"price": "1"}, 400, "price"),
        ({"status": "active"}, 400, "status"),
        ({"terms": {"method": "send_invoice"}}, 400, "terms"),
        ({"currency": "XXX"}, 400, None),
    ],
)
def test_what_a_visitor_may_not_do(shop, pub, change, status, field):
    answer = shop("POST", "/v1/checkout_sessions", {**NEW, **change}, key=pub)
    assert (answer.status, field in (None, answer.json.get("field"))) == (status, True), answer.text
    assert shop.facts() == []


def test_ids_of_another_environment_are_not_found(shop, pub):
    session = shop.ok("POST", "/v1/checkout_sessions", NEW, key=pub)
    signup = shop.ok("POST", "/v1/signup_sessions", {"plan": "free"}, key=pub)
    live = shop.api.live.secret_token
    for path in (f"/v1/checkout_sessions/{session['id']}", f"/v1/signup_sessions/{signup['id']}"):
        assert shop("GET", path, key=live).status == 404
    for path in ("/checkout/return", "/checkout/pay"):
        assert shop("GET", path, key="", query={"env": "live", "session": session["id"]}).status == 404
        assert shop("GET", path, key="", query={"env": "sbx_none", "session": session["id"]}).status == 404
        assert visit(shop, path, session="chk_1").status == 404
        assert shop("GET", path, key="").status == 404


def test_a_signup_over_several_steps(shop, pub):
    start = shop.ok("POST", "/v1/signup_sessions", {"plan": "pro", "currency": "EUR"}, key=pub)
    path = f"/v1/signup_sessions/{start['id']}"
    steps = {"email": "grace@example.com", "quantity": 3, "interval": "year", "trial": False, **URLS}
    assert shop.ok("PATCH", path, steps, key=pub)["quantity"] == 3
    price = shop.ok("POST", f"{path}/price", key=pub)
    assert (price["due_now"], price["total"], price["renewal_amount"]) == (81000, 81000, 81000)
    assert price["lines"] == [{"description": "Pro × 3", "quantity": 3, "amount": 81000}]
    done = shop.ok("POST", f"{path}/complete", key=pub)
    assert (done["status"], done["outcome"]) == ("complete", "checkout")
    assert done == shop.ok("POST", f"{path}/complete", key=pub)
    assert shop.gateway.pages["cs_mem_1"].request.amount == 81000
    assert shop("PATCH", path, {"plan": "free"}, key=pub).status == 409
    shop.gateway.pay_checkout("cs_mem_1")
    visit(shop, "/checkout/return", session=done["checkout_session"])
    after = shop.ok("GET", path, key=pub)
    assert (after["subscription_status"], after["url"]) == ("active", None)


def test_every_wrong_field_is_named_over_http(shop, pub):
    answer = shop("POST", "/v1/signup_sessions", {"email": "x", "country": "XX"}, key=pub)
    assert (answer.status, [each["field"] for each in answer.json["errors"]]) == (400, ["email", "country"])


def test_leads_are_listed_for_the_secret_key_only(shop, pub):
    body = {"plan": "starter", "company_size": 500, "email": "grace@example.com", "note": "200 seats, soon"}
    session = shop.ok("POST", "/v1/signup_sessions", body, key=pub)
    done = shop.ok("POST", f"/v1/signup_sessions/{session['id']}/complete", key=pub)
    assert done["outcome"] == "sales"
    (lead,) = shop.ok("GET", "/v1/leads")["data"]
    assert (lead["reason"], lead["note"], lead["source"]) == (
        "large_company",
        "200 seats, soon",
        session["id"],
    )
    assert shop.ok("GET", f"/v1/leads/{lead['id']}") == lead
    assert shop("GET", "/v1/leads", key=pub).status == 403
    assert shop("GET", "/v1/signup_sessions", key=pub).status == 403


def test_abandoned_signups_are_reported(shop, pub):
    shop.api.services.queues = MemoryQueues()
    session = shop.ok("POST", "/v1/signup_sessions", {"plan": "pro", "email": "a@example.com"}, key=pub)
    assert shop.ok("GET", "/v1/signup_sessions", query={"status": "abandoned"})["data"] == []
    shop.advance("P2D")
    (found,) = shop.ok("GET", "/v1/signup_sessions", query={"status": "abandoned"})["data"]
    assert found["id"] == session["id"]


PERSON = {"email": "grace@example.com", "name": "Grace Hopper", "country": "DE", "action": "send"}


def token_of(text):
    return re.search(r'name="token" value="([^"]+)"', text)[1]


def test_the_form_shows_the_exact_price_for_both_intervals(shop, pub):
    page = shop("GET", "/signup", key="", query={"plan": "pro", "currency": "EUR", "key": pub})
    assert page.status == 200
    assert "script" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    for amount in ("€27", "€270", "€27.00", "€270.00", "Due today"):
        assert amount in page.text
    updated = send(shop, pub, {"plan": "pro", "currency": "EUR", "quantity": "4", "action": "update"})
    assert "€108.00" in updated.text
    assert "€1,080.00" in updated.text


def test_the_form_leads_to_the_payment_page_and_back_to_a_welcome(shop, pub):
    page = shop("GET", "/signup", key="", query={"plan": "pro", "interval": "month", "key": pub})
    form = {**PERSON, "plan": "pro", "interval": "month", "quantity": "2", "token": token_of(page.text)}
    path, query = follow(send(shop, pub, form))
    assert path == "/checkout/pay"
    assert follow(send(shop, pub, form)) == (path, query)  # sent twice, it is one sign-up
    assert len(shop.gateway.pages) == 1
    request = shop.gateway.pages["cs_mem_1"].request
    assert request.amount == 0  # a trial that wants a card
    cancelled = urlsplit(request.cancel_url)
    again = shop("GET", cancelled.path, key="", query={k: v[0] for k, v in parse_qs(cancelled.query).items()})
    assert 'value="Grace Hopper"' in again.text
    assert 'value="2"' in again.text
    shop.gateway.pay_checkout("cs_mem_1")
    back = visit(shop, "/checkout/return", session=query["session"])
    landed = urlsplit(back.headers["location"])
    assert landed.path == "/welcome"
    welcome = shop("GET", "/welcome", key="", query={k: v[0] for k, v in parse_qs(landed.query).items()})
    assert "Your trial has begun" in welcome.text
    assert "15 March 2027" in welcome.text
    assert follow(send(shop, pub, {**form, "quantity": "3"}))[1]["session"] != query["session"]


def test_the_trial_can_be_skipped_for_the_sum_on_the_button(shop, pub):
    page = shop("GET", "/signup", key="", query={"plan": "pro", "interval": "year", "key": pub})
    assert "Skip the trial and pay $290.00 now" in page.text
    form = {**PERSON, "plan": "pro", "interval": "year", "token": token_of(page.text), "action": "skip"}
    path, query = follow(send(shop, pub, form))
    assert path == "/checkout/pay"
    assert shop.gateway.pages["cs_mem_1"].request.amount == 29000
    shop.gateway.pay_checkout("cs_mem_1")
    landed = urlsplit(visit(shop, "/checkout/return", session=query["session"]).headers["location"])
    welcome = shop("GET", "/welcome", key="", query={k: v[0] for k, v in parse_qs(landed.query).items()})
    assert "Your payment came through" in welcome.text
    assert "1 March 2028" in welcome.text


def test_nobody_who_pressed_free_is_led_to_pay(shop, pub):
    form = {**PERSON, "plan": "starter", "offer": "trial"}
    assert follow(send(shop, pub, {**form, "token": "a" * 32}))[0] == "/welcome"
    told = send(shop, pub, {**form, "token": "b" * 32})
    assert told.status_code == 422
    assert "has had its free trial" in told.text
    assert "You pay $19.00 now" in unescape(told.text)
    assert 'name="offer" value=""' in told.text
    path, _ = follow(send(shop, pub, {**form, "offer": "", "token": "b" * 32}))
    assert path == "/checkout/pay"
    assert shop.gateway.pages["cs_mem_1"].request.amount == 1900


def test_a_plan_without_a_card_is_welcomed_at_once(shop, pub):
    path, query = follow(send(shop, pub, {**PERSON, "plan": "free", "token": "t" * 32}))
    assert path == "/welcome"
    welcome = shop("GET", path, key="", query=query)
    assert "Your account is open" in welcome.text
    assert "Welcome, Grace." in welcome.text


def test_sales_will_write(shop, pub):
    path, query = follow(send(shop, pub, {**PERSON, "plan": "enterprise", "note": "SSO\nplease"}))
    assert "within one working day" in shop("GET", path, key="", query=query).text
    (lead,) = shop.ok("GET", "/v1/leads")["data"]
    assert (lead["note"], lead["reason"]) == ("SSO please", "quote_only_plan")


def test_errors_stand_beside_their_fields_and_nothing_is_lost(shop, pub):
    form = {
        **PERSON,
        "plan": "pro",
        "email": "nope",
        "country": "",
        "quantity": "many",
        "name": '<b>"Grace"</b>',
    }
    answer = send(shop, pub, form)
    text = unescape(answer.text)
    assert answer.status_code == 422
    for name in ("email", "country", "quantity"):
        assert f'id="{name}-error"' in text
        assert re.search(rf'id="{name}"[^>]* aria-invalid="true" aria-describedby="{name}-error"', text)
    assert '<b>"Grace"' not in answer.text  # escaped
    assert 'value="<b>"Grace"</b>"' in text
    assert 'value="many"' in text
    assert shop.facts() == []


def test_a_card_number_in_the_form_is_refused(shop, pub):
    answer = send(shop, pub, {**PERSON, "plan": "free", "name": "4242 4242 4242 4242"})
    assert (answer.status_code, "card number" in answer.text) == (422, True)


def test_our_trouble_keeps_the_form(shop, pub):
    shop.gateway.script(["unavailable"], on="open_checkout")
    form = {**PERSON, "plan": "pro", "token": "u" * 32}
    answer = send(shop, pub, form)
    assert (answer.status_code, "once more" in answer.text) == (503, True)
    assert token_of(answer.text) == "u" * 32
    assert follow(send(shop, pub, form))[0] == "/checkout/pay"
    assert shop.facts().count("signup.completed") == 1


def test_an_unknown_plan_leads_to_the_price_list_and_an_unknown_key_nowhere(shop, pub):
    assert follow(send(shop, pub, {"plan": "nope"}))[0] == "/pricing"
    assert shop("GET", "/signup", key="", query={"plan": "pro", "key": "prn_pub_x"}).status == 404
    secret = shop.api.sandbox.secret_token
    assert shop("GET", "/signup", key="", query={"plan": "pro", "key": secret}).status == 404
    assert shop("GET", "/welcome", key="", query={"env": env(shop), "signup": "sus_1"}).status == 404
