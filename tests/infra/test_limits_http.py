"""Card testing from one address and from two hundred: few attempts reach the processor, and the window moves on."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from chalicelib.adapters.memory.gateway import MemoryGateway
from tests.infra.billing_api import billing_on

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
        self._monkeypatch = monkeypatch

    def come_from(self, address):
        self._monkeypatch.setattr("chalice.local.LambdaEventConverter.LOCAL_SOURCE_IP", address)

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


def test_declined_cards_of_one_customer_count_more(shop):
    customer = shop.billing.customer()
    path = f"/v1/customers/{customer}/payment_methods"
    shop.gateway.calls.clear()
    statuses = [
        shop.at_once("POST", path, {"payment_method": "pm_card_chargeDeclined"}).status for _ in range(50)
    ]
    assert statuses.count(429) == 48
    assert shop.gateway.calls["attach_method"] == 2


def test_one_customers_invoice_is_tried_a_few_times_a_minute(shop):
    customer = shop.billing.customer("pm_card_visa")
    shop.api.now += timedelta(minutes=1)
    subscription = shop.billing.subscribe(customer)
    (invoice,) = shop.billing.invoices(customer)
    assert subscription["status"] == "active"
    statuses = [shop.at_once("POST", f"/v1/invoices/{invoice['id']}/pay", {}).status for _ in range(50)]
    assert statuses.count(429) == 44
