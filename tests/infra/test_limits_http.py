"""Card testing from one address and from two hundred: few attempts reach the processor, and the window moves on."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application.limits import Limits, Rate
from chalicelib.domain.errors import PaymentDeclinedError, RateLimitedError
from tests.infra.billing_api import billing_on
from tests.infra.test_http_auth import REAL

NEW = {
    "customer_email": "grace@example.com",
    "plan": "starter",
    "trial_days": 0,
    "success_url": "https://shop.example/thanks",
    "cancel_url": "https://shop.example/pricing",
}
HOLDER = {"email": "ada@example.com", "name": "Ada", "country": "US"}


class Shop:
    def __init__(self, billing, monkeypatch):
        self.billing = billing
        self.api = billing.api
        self.gateway: MemoryGateway = billing.gateway
        self.pub = self.api.sandbox.publishable_token
        self.patch = monkeypatch

    def come_from(self, address):
        self.patch.setattr("chalice.local.LambdaEventConverter.LOCAL_SOURCE_IP", address)

    def open_checkout(self, key=None, **headers):
        """At the same instant as all others, so that only the test's clock moves windows on."""
        return self.at_once("POST", "/v1/checkout_sessions", NEW, key=key or self.pub, headers=headers)

    def at_once(self, *args, **options):
        answer = self.billing(*args, **options)
        self.api.now -= timedelta(seconds=1)
        return answer

    def send_form(self):
        form = {"plan": "starter", "interval": "month:1", "offer": "buy", "action": "send", **HOLDER}
        return self.api._client.http.request(
            "POST",
            f"/signup?{urlencode({'key': self.pub, 'plan': 'starter'})}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        )

    @property
    def reached(self):
        return self.gateway.calls["open_checkout"]


@pytest.fixture
def shop(monkeypatch):
    with billing_on() as billing:
        billing.api.services.allowed_origins = (billing.api.services.public_url, "https://shop.example")
        yield Shop(billing, monkeypatch)


def test_a_thousand_attempts_from_one_address(shop):
    statuses = [shop.open_checkout().status for _ in range(1000)]
    assert (statuses.count(201), statuses.count(429)) == (6, 994)
    assert shop.reached == 6


def test_a_thousand_attempts_from_two_hundred_addresses(shop):
    for number in range(1000):
        shop.come_from(f"198.51.100.{number % 200}")
        shop.open_checkout()
    assert shop.reached == 60


def test_a_day_of_attempts_from_one_address(shop):
    for _ in range(24 * 60):
        shop.api.now += timedelta(minutes=1)
        shop.open_checkout()
    assert shop.reached <= 25 * 20


def test_the_window_moves_on_and_says_when(shop):
    answers = [shop.open_checkout() for _ in range(7)]
    refused = answers[-1]
    assert (refused.status, refused.json["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    shop.api.now += timedelta(seconds=int(refused.headers["retry-after"]))
    assert shop.open_checkout().status == 201


def test_what_the_caller_says_of_its_address_is_not_believed(shop):
    for number in range(20):
        forwarded = f"203.0.113.{number}"
        shop.open_checkout(**{"X-Forwarded-For": forwarded, "Forwarded": f"for={forwarded}"})
    assert shop.reached == 6


def test_another_address_is_not_held_up(shop):
    for _ in range(20):
        shop.open_checkout()
    shop.come_from("198.51.100.1")
    assert shop.open_checkout().status == 201


def test_one_network_of_ipv6_is_one_caller(shop):
    for number in range(20):
        shop.come_from(f"2001:db8::{number:x}")
        shop.open_checkout()
    assert shop.reached == 6


def test_a_secret_key_is_not_limited_by_address(shop):
    key = shop.api.sandbox.secret_token
    assert {shop.open_checkout(key).status for _ in range(100)} == {201}


def test_a_repeated_request_is_answered_without_counting(shop):
    statuses = {shop.open_checkout(**{"Idempotency-Key": "one"}).status for _ in range(20)}
    assert statuses == {201}
    assert shop.reached == 1


def test_one_sign_up_is_completed_a_few_times_from_anywhere(shop):
    order = {
        "plan": "starter",
        "currency": "USD",
        "trial": False,
        "email": "ada@example.com",
        "country": "US",
    }
    urls = {name: NEW[name] for name in ("success_url", "cancel_url")}
    signup = shop.billing.ok("POST", "/v1/signup_sessions", {**order, **urls}, key=shop.pub)["id"]
    statuses = []
    for number in range(100):
        shop.come_from(f"198.51.100.{number}")
        statuses.append(shop.at_once("POST", f"/v1/signup_sessions/{signup}/complete", key=shop.pub).status)
    assert (statuses.count(429), 429 in statuses[:6]) == (94, False)


def test_the_form_of_the_page_is_limited_and_says_so_in_words(shop):
    answers = [shop.send_form() for _ in range(40)]
    assert {answer.status_code for answer in answers[:6]} == {303}
    assert {answer.status_code for answer in answers[6:]} == {429}
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "too often" in answers[-1].body.decode()
    assert shop.reached <= 6


DECLINED = "pm_card_chargeCustomerFail"
"""It can be saved, and every charge to it is declined."""


def posts(shop, times, path, body=None, **options):
    return [shop.at_once("POST", path, body, **options).status for _ in range(times)]


def test_declined_cards_of_one_customer(shop):
    """Saving cards by way of a merchant's server: a thousand, from one address and from two hundred."""
    customer = shop.billing.customer()
    path = f"/v1/customers/{customer}/payment_methods"
    shop.gateway.calls.clear()
    statuses = []
    for number in range(1000):
        shop.come_from(f"198.51.100.{number % 200}" if number >= 500 else "198.51.100.1")
        body = {"payment_method": "pm_card_chargeDeclined"}
        statuses.append(shop.at_once("POST", path, body).status)
    assert (statuses.count(402), statuses.count(429)) == (6, 994)
    assert shop.gateway.calls["attach_method"] == 6


def test_an_hour_of_declined_cards_of_one_customer(shop):
    customer = shop.billing.customer()
    path = f"/v1/customers/{customer}/payment_methods"
    shop.gateway.calls.clear()
    for _ in range(60):
        posts(shop, 10, path, {"payment_method": "pm_card_chargeDeclined"})
        shop.api.now += timedelta(minutes=1)
    assert shop.gateway.calls["attach_method"] <= 2 * 20  # two windows: the test does not begin on the hour


def test_an_invoice_that_keeps_being_declined(shop):
    customer = shop.billing.customer(DECLINED)
    order = {"customer": customer, "plan": "starter", "trial_days": 0}
    assert shop.billing("POST", "/v1/subscriptions", order).status == 402
    (invoice,) = shop.billing.invoices(customer)
    shop.api.now += timedelta(minutes=1)
    shop.gateway.calls.clear()
    statuses = posts(shop, 1000, f"/v1/invoices/{invoice['id']}/pay", {})
    assert (statuses.count(402), statuses.count(429)) == (6, 994)
    assert shop.gateway.calls["charge"] == 6


def test_new_subscriptions_of_one_customer_that_are_declined(shop):
    customer = shop.billing.customer()
    order = {"customer": customer, "plan": "starter", "trial_days": 0, "payment_method": DECLINED}
    shop.gateway.calls.clear()
    statuses = posts(shop, 1000, "/v1/subscriptions", order)
    assert (statuses.count(402), statuses.count(429)) == (6, 994)
    assert shop.gateway.calls["charge"] == 6


def test_retries_by_hand_that_are_declined(shop):
    """The answer is no error, and yet they count."""
    customer = shop.billing.customer("pm_card_visa")
    subscription = shop.billing.subscribe(customer)["id"]
    shop.gateway.behave(
        shop.billing.ok("GET", f"/v1/customers/{customer}/payment_methods")["data"][0]["id"], "decline"
    )
    shop.billing.advance("P32D")
    assert shop.billing.ok("GET", f"/v1/subscriptions/{subscription}")["status"] == "past_due"
    shop.gateway.calls.clear()
    statuses = posts(shop, 100, f"/v1/subscriptions/{subscription}/retry_payment")
    assert (statuses.count(200), statuses.count(429)) == (6, 94)
    assert shop.gateway.calls["charge"] == 6


def test_one_card_with_two_hundred_customers(shop):
    """In live; the card is known again whoever brings it."""
    key = shop.api.live.secret_token
    customers = [
        shop.billing.ok("POST", "/v1/customers", {"email": f"u{n}@example.com"}, key=key)["id"]
        for n in range(200)
    ]
    shop.api.now += timedelta(hours=1)
    shop.gateway.calls.clear()
    statuses = []
    for number in range(1000):
        order = {
            "customer": customers[number % 200],
            "plan": "starter",
            "trial_days": 0,
            "payment_method": DECLINED,
        }
        statuses.append(shop.at_once("POST", "/v1/subscriptions", order, key=key).status)
    assert (statuses.count(402), statuses.count(429)) == (6, 994)
    assert shop.gateway.calls["charge"] == 6


def test_payments_that_succeed_are_as_many_as_one_likes(shop):
    customer = shop.billing.customer()
    order = {"customer": customer, "plan": "starter", "trial_days": 0, "payment_method": "pm_card_visa"}
    assert set(posts(shop, 40, "/v1/subscriptions", order)) == {201}
    path = f"/v1/customers/{customer}/payment_methods"
    assert set(posts(shop, 40, path, {"payment_method": "pm_card_visa"})) == {201}


def test_many_at_once_are_no_way_around_it(shop):
    """Every place is taken before the card is tried, not counted after."""
    customer = shop.billing.customer()
    path = f"/v1/customers/{customer}/payment_methods"
    tried, attach = [], MemoryGateway.attach_method

    def meanwhile(*args):
        tried.append(args)
        if len(tried) < 50:
            shop.at_once("POST", path, {"payment_method": "pm_card_chargeDeclined"})
        return attach(*args)

    shop.patch.setattr(MemoryGateway, "attach_method", meanwhile)
    shop.at_once("POST", path, {"payment_method": "pm_card_chargeDeclined"})
    assert len(tried) == 6


def test_the_way_back_from_a_page_asks_the_processor_a_few_times(shop):
    page = shop.open_checkout().json["id"]
    shop.gateway.calls.clear()
    address = f"/checkout/return?{urlencode({'env': shop.api.sandbox.environment.id, 'session': page})}"
    statuses = {shop.api._client.http.request("GET", address).status_code for _ in range(1000)}
    assert statuses == {200}
    assert shop.gateway.calls["checkout"] == 20


def test_what_a_publishable_key_writes_is_limited_by_address(shop):
    step = {"plan": "starter", "email": "ada@example.com"}
    statuses = posts(shop, 1000, "/v1/signup_sessions", step, key=shop.pub)
    assert (statuses.count(201), statuses.count(429)) == (60, 940)
    shop.come_from("198.51.100.1")
    assert shop.at_once("POST", "/v1/signup_sessions", step, key=shop.pub).status == 201
    assert set(posts(shop, 200, "/v1/signup_sessions", step)) == {201}, "a secret key is the merchant's own"


def test_what_a_publishable_key_writes_is_limited_by_key(shop):
    shop.api.services.limits = replace(Limits(), key_writes=Rate(100, 1000))
    statuses = []
    for number in range(1000):
        shop.come_from(f"198.51.100.{number % 200}")
        statuses.append(shop.at_once("POST", "/v1/signup_sessions", {"plan": "starter"}, key=shop.pub).status)
    assert (statuses.count(201), statuses.count(429)) == (100, 900)
    signup = shop.billing.ok("GET", "/v1/signup_sessions")["data"][0]["id"]
    answer = shop.at_once("GET", f"/v1/signup_sessions/{signup}", key=shop.pub)
    assert answer.status == 200, "reading is never held up"


PAYING = [each for each in REAL if PaymentDeclinedError in each.errors]


@pytest.mark.parametrize("endpoint", PAYING, ids=lambda each: each.route)
def test_every_route_that_may_be_declined_is_limited(endpoint):
    """A new one too: it runs in `payment` or `attempt`, and says so in its description."""
    assert RateLimitedError in endpoint.errors
    assert re.search(r"with (payment|attempt)\(", inspect.getsource(endpoint.handler))
