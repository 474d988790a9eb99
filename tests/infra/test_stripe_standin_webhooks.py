"""Webhooks of the Stripe stand-in: signed, retried, and disturbed on order."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe

from infra.local.stripe_standin.embedded import WEBHOOK_SECRET, standin


class Endpoint:
    """A webhook endpoint that notes what it gets and answers with the next of `statuses`, then 200."""

    def __init__(self):
        self.got, self.statuses, self.bodies = [], [], []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                endpoint.bodies.append((body, self.headers["Stripe-Signature"]))
                endpoint.got.append(
                    stripe.Webhook.construct_event(body, endpoint.bodies[-1][1], WEBHOOK_SECRET)
                )
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/webhooks/stripe"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def types(self):
        return [event.type for event in self.got]


@pytest.fixture
def endpoint():
    it = Endpoint()
    yield it
    it.server.shutdown()
    it.server.server_close()


@pytest.fixture
def running(endpoint):
    with standin(webhook_url=endpoint.url) as it:
        yield it


@pytest.fixture
def v1(running):
    return running.client().v1


def rename(v1, customer, name):
    v1.customers.update(customer.id, {"name": name})


def flush(running):
    assert running.control("webhooks/flush", {"timeout": 10})["idle"]


def names(endpoint):
    return [event.data.object["name"] for event in endpoint.got]


def test_events_are_signed_and_only_wanted_types_are_sent(running, endpoint, v1):
    customer = v1.customers.create({"email": "ada@example.com"})  # customer.created is not delivered
    v1.customers.update(customer.id, {"name": "Adá"})
    flush(running)
    assert endpoint.types() == ["customer.updated"]
    event = endpoint.got[0]
    assert (event.api_version, event.livemode, event.pending_webhooks) == ("2026-10-28.endive", False, 1)
    assert event.data.object["name"] == "Adá"
    assert event.id == v1.events.list({"type": "customer.updated"}).data[0].id
    body, header = endpoint.bodies[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body.replace(b"customer", b"costumer"), header, WEBHOOK_SECRET)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_other")


def test_a_failed_delivery_is_retried_until_it_is_accepted(running, endpoint, v1):
    endpoint.statuses = [500, 404, 302]
    customer = v1.customers.create({})
    rename(v1, customer, "a")
    flush(running)
    assert names(endpoint) == ["a"] * 4
    assert len({event.id for event in endpoint.got}) == 1
    shown = running.control("webhooks")
    assert (shown["delivered"], shown["failed_attempts"], shown["waiting"]) == (1, 3, 0)


def test_an_endpoint_that_is_down_is_given_up_in_the_end(endpoint):
    with standin(webhook_url="http://127.0.0.1:9/", retry_wait=0.001, retry_limit=2) as running:
        v1 = running.client().v1
        rename(v1, v1.customers.create({}), "a")
        flush(running)
        assert running.control("webhooks")["gave_up"] == 1
        running.control("webhooks", {"mode": "normal", "url": endpoint.url})
        rename(v1, v1.customers.create({}), "b")
        flush(running)
        assert names(endpoint) == ["b"]


def test_duplicates(running, endpoint, v1):
    running.control("webhooks", {"mode": "duplicate", "copies": 3})
    rename(v1, v1.customers.create({}), "a")
    flush(running)
    assert len(endpoint.got) == 3
    assert len({event.id for event in endpoint.got}) == 1


def test_drops_leave_the_event_to_be_listed(running, endpoint, v1):
    running.control("webhooks", {"mode": "drop", "types": ["customer.updated"]})
    customer = v1.customers.create({})
    rename(v1, customer, "a")
    v1.customers.delete(customer.id)
    flush(running)
    assert endpoint.types() == ["customer.deleted"]
    assert running.control("webhooks")["dropped"] == 1
    assert v1.events.list({"type": "customer.updated"}).data[0].data.object["name"] == "a"


def test_delays_hold_until_due_or_flushed(running, endpoint, v1):
    running.control("webhooks", {"mode": "delay", "seconds": 30})
    rename(v1, v1.customers.create({}), "a")
    time.sleep(0.05)
    assert (endpoint.got, running.control("webhooks")["waiting"]) == ([], 1)
    flush(running)
    assert names(endpoint) == ["a"]


def test_reordering_sends_the_latest_first(running, endpoint, v1):
    running.control("webhooks", {"mode": "reorder", "size": 50})
    customer = v1.customers.create({})
    for name in "abcd":
        rename(v1, customer, name)
    assert running.control("webhooks")["held"] == 4
    flush(running)
    assert sorted(names(endpoint)) == ["a", "b", "c", "d"]
    assert names(endpoint) != ["a", "b", "c", "d"]


def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path, endpoint):
    with standin(state=tmp_path, webhook_url=endpoint.url) as running:
        v1 = running.client().v1
        running.control("webhooks", {"mode": "delay", "seconds": 60})
        rename(v1, v1.customers.create({}), "a")
    assert endpoint.got == []
    with standin(state=tmp_path, webhook_url=endpoint.url) as running:
        flush(running)
        assert names(endpoint) == ["a"]


def test_money_events_reach_the_endpoint(running, endpoint, v1):
    customer = v1.customers.create({})
    charge = {"amount": 500, "currency": "usd", "customer": customer.id, "confirm": True, "off_session": True,
              "allowed_payment_method_types": ["card"]}  # fmt: skip
    paid = v1.payment_intents.create({**charge, "payment_method": "pm_card_visa"})
    with pytest.raises(stripe.CardError):
        v1.payment_intents.create({**charge, "payment_method": "pm_card_chargeDeclined"})
    v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    opened = running.control("disputes", {"payment_intent": paid.id})
    running.control(f"disputes/{opened['id']}/close", {"status": "lost"})
    flush(running)
    assert sorted(endpoint.types()) == [
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.refunded",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
        "refund.created",
    ]
