"""Idempotency keys, ordered failures, restarts and the command line of the Stripe stand-in."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from infra.local.stripe_standin import params
from infra.local.stripe_standin.embedded import KEY, standin

CHARGE: dict = {
    "amount": 2900,
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": True,
    "off_session": True,
    "allowed_payment_method_types": ["card"],
}


@pytest.fixture(scope="module")
def running():
    with standin() as it:
        yield it


@pytest.fixture
def v1(running):
    running.control("reset", {})
    return running.client().v1


def charges(running):
    return running.control("state")["counts"]["charge"]


# --- Idempotency keys --------------------------------------------------------------------------------------


def test_a_key_replays_the_first_outcome(running, v1):
    first = v1.payment_intents.create(CHARGE, {"idempotency_key": "inv_1:1"})
    again = v1.payment_intents.create(CHARGE, {"idempotency_key": "inv_1:1"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Request-Id"] != first.last_response.headers["Request-Id"]
    assert charges(running) == 1
    assert v1.events.retrieve(v1.events.list().data[0].id).request.idempotency_key == "inv_1:1"


def test_a_decline_is_replayed_too(running, v1):
    declined = {**CHARGE, "payment_method": "pm_card_chargeDeclined"}
    ids = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            v1.payment_intents.create(declined, {"idempotency_key": "inv_1:1"})
        ids.add(refused.value.error.payment_intent.id)
    assert len(ids) == 1
    assert refused.value.headers["Idempotent-Replayed"] == "true"
    assert charges(running) == 1


@pytest.mark.parametrize("other", ["body", "path"])
def test_a_key_is_bound_to_its_request(v1, other):
    v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    changed = {
        "body": lambda: v1.payment_intents.create({**CHARGE, "amount": 3000}, {"idempotency_key": "k"}),
        "path": lambda: v1.customers.create({}, {"idempotency_key": "k"}),
    }
    with pytest.raises(stripe.IdempotencyError) as refused:
        changed[other]()
    assert (refused.value.http_status, refused.value.error.type) == (400, "idempotency_error")


def test_parallel_calls_with_one_key_charge_once(running, v1):
    def call(_):
        with contextlib.suppress(stripe.APIError):  # 409 while another one is in flight
            return running.client().v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}).id
        return None

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(call, range(48))) - {None}
    assert len(ids) == 1
    assert charges(running) == 1


def test_a_key_in_flight_answers_409_and_the_sdk_retries_it(running, v1):
    running.control("faults", {"kind": "slow", "path": "/v1/payment_intents", "seconds": 0.4})
    slow = threading.Thread(target=lambda: v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}))
    slow.start()
    deadline = time.monotonic() + 2
    while running.control("faults")["faults"] and time.monotonic() < deadline:
        time.sleep(0.005)
    with pytest.raises(stripe.StripeError) as refused:
        running.client().v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    assert (refused.value.http_status, refused.value.error.code) == (409, "idempotency_key_in_use")
    assert refused.value.headers["Stripe-Should-Retry"] == "true"
    assert (
        running.client(retries=2).v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}).status
        == "succeeded"
    )
    slow.join()
    assert charges(running) == 1


def test_an_expired_key_charges_again(running, v1):
    v1.payment_intents.create(CHARGE, {"idempotency_key": "charge:1"})
    v1.payment_intents.create(CHARGE, {"idempotency_key": "other:1"})
    assert running.control("idempotency/expire", {"prefix": "charge:"}) == {"expired": 1}
    v1.payment_intents.create(CHARGE, {"idempotency_key": "charge:1"})
    v1.payment_intents.create(CHARGE, {"idempotency_key": "other:1"})
    assert charges(running) == 3


def test_refusals_of_an_endpoint_are_kept_but_invalid_parameters_are_not(running, v1):
    paid = v1.payment_intents.create(CHARGE)
    for replayed in (None, "true"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            v1.payment_intents.cancel(paid.id, {}, {"idempotency_key": "c"})
        assert refused.value.headers.get("Idempotent-Replayed") == replayed
    with pytest.raises(stripe.InvalidRequestError):
        v1.customers.create({"nonsense": 1}, {"idempotency_key": "d"})
    assert v1.customers.create({}, {"idempotency_key": "d"}).id


# --- Ordered failures --------------------------------------------------------------------------------------


def order(running, kind, **more):
    running.control("faults", {"kind": kind, "path": "/v1/payment_intents", "method": "POST", **more})


def test_a_lost_response_is_charged_once_and_replayed(running, v1):
    order(running, "lose_response")
    with pytest.raises(stripe.APIConnectionError):
        v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    assert charges(running) == 1
    replayed = v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    assert replayed.status == "succeeded"
    assert replayed.last_response.headers["Idempotent-Replayed"] == "true"
    assert charges(running) == 1


def test_the_sdk_itself_gets_over_a_lost_response(running, v1):
    order(running, "lose_response")
    assert running.client(retries=1).v1.payment_intents.create(CHARGE).status == "succeeded"
    assert charges(running) == 1


def test_a_call_dropped_before_does_nothing(running, v1):
    order(running, "drop_before", count=2)
    v1.customers.create({})  # other paths are untouched
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    assert charges(running) == 0
    assert v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}).status == "succeeded"


@pytest.mark.parametrize(("kind", "code"), [("429", "rate_limit"), ("lock_timeout", "lock_timeout")])
def test_limits_are_not_kept(running, v1, kind, code):
    order(running, kind)
    with pytest.raises(stripe.RateLimitError) as refused:
        v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    assert (refused.value.http_status, refused.value.error.code) == (429, code)
    assert refused.value.headers.get("Stripe-Should-Retry") == ("true" if code == "lock_timeout" else None)
    assert charges(running) == 0
    assert v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}).status == "succeeded"


@pytest.mark.parametrize(("kind", "made"), [("500", 0), ("500_after", 1)])
def test_a_500_is_kept_like_stripe_keeps_it(running, v1, kind, made):
    order(running, kind)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as refused:
            v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
        assert refused.value.http_status == 500
    assert refused.value.headers["Idempotent-Replayed"] == "true"
    assert refused.value.headers["Stripe-Should-Retry"] == "false"
    assert charges(running) == made


def test_an_outage_is_not_kept_and_orders_can_be_taken_back(running, v1):
    order(running, "503")
    with pytest.raises(stripe.APIError) as refused:
        v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
    assert refused.value.http_status == 503
    order(running, "503", count=50)
    running.control("faults", method="DELETE")
    assert v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}).status == "succeeded"


def test_a_slow_answer(running, v1):
    order(running, "slow_after", seconds=0.2)
    began = time.monotonic()
    v1.payment_intents.create(CHARGE)
    assert time.monotonic() - began >= 0.2


def test_orders_that_make_no_sense_are_refused(running):
    for path, body in (
        ("faults", {"kind": "boom"}),
        ("webhooks", {"mode": "x"}),
        ("nonsense", {}),
        ("disputes", {}),
    ):
        with pytest.raises(AssertionError, match=r"40[04]"):
            running.control(path, body)


def test_a_foreign_page_cannot_send_orders(running):
    request = urllib.request.Request(f"{running.url}/_control/reset", b"{}", {"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 415


# --- Restart and command line ------------------------------------------------------------------------------


def test_a_restart_keeps_objects_keys_and_behaviour(tmp_path):
    with standin(state=tmp_path) as first:
        v1 = first.client().v1
        customer = v1.customers.create({"email": "ada@example.com"})
        bad = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
        paid = v1.payment_intents.create(CHARGE, {"idempotency_key": "k"})
        session = v1.checkout.sessions.create(
            {"mode": "setup", "currency": "usd", "success_url": "https://x.example"}
        )
    with standin(state=tmp_path) as second:
        v1 = second.client().v1
        assert v1.customers.retrieve(customer.id).email == "ada@example.com"
        assert v1.payment_intents.create(CHARGE, {"idempotency_key": "k"}).id == paid.id
        assert v1.checkout.sessions.retrieve(session.id).status == "open"
        assert [m.id for m in v1.payment_methods.list({"customer": customer.id}).data] == [bad.id]
        with pytest.raises(stripe.CardError):
            v1.payment_intents.create(CHARGE | {"customer": customer.id, "payment_method": bad.id})
        assert charges(second) == 2
        assert v1.events.list({"limit": 100}).data[-1].type == "customer.created"
        second.control("reset", {})
    with standin(state=tmp_path) as third:
        assert third.control("state")["counts"]["customer"] == 0


def test_what_is_kept_holds_no_card_number(tmp_path):
    with standin(state=tmp_path) as it:
        card = {"number": "4000000000000341", "exp_month": 1, "exp_year": 2040, "cvc": "987"}
        it.client().v1.payment_methods.create({"type": "card", "card": card})
    kept = "".join(
        str(row) for row in sqlite3.connect(tmp_path / "stripe.sqlite3").execute("select * from objects")
    )
    assert "0341" in kept
    assert "4000000000000341" not in kept
    assert '"cvc"' not in kept


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments):
    line = [sys.executable, "-m", "infra.local.stripe_standin", "--secret-key", KEY, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def test_the_command_starts_quickly_and_survives_a_kill(tmp_path):
    port = free_port()
    began = time.monotonic()
    process = command("--port", port, "--state", tmp_path)
    assert f"http://127.0.0.1:{port}" in process.stdout.readline()
    assert time.monotonic() - began < 3  # well under a second on a quiet machine
    client = stripe.StripeClient(KEY, base_addresses={"api": f"http://127.0.0.1:{port}"})
    id = client.v1.customers.create({}).id
    deadline = time.monotonic() + 5
    while kept_rows(tmp_path) == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    process = command("--port", port, "--state", tmp_path)
    process.stdout.readline()
    assert client.v1.customers.retrieve(id).id == id
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


def kept_rows(folder):
    return sqlite3.connect(folder / "stripe.sqlite3").execute("select count(*) from objects").fetchone()[0]


@pytest.mark.parametrize("fault", ["folder", "file", "port"])
def test_a_bad_start_says_why_in_one_line(tmp_path, fault, running):
    arguments = ["--port", free_port(), "--state", tmp_path]
    if fault == "folder":
        (tmp_path / "x").write_text("")
        arguments[3] = tmp_path / "x"
    elif fault == "file":
        (tmp_path / "stripe.sqlite3").write_text("not a database" * 100)
    else:
        arguments[1] = running.server.server_address[1]
    process = command(*arguments)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("Stripe stand-in: ")


def test_the_sdks_classes_are_read_only_when_needed():
    fresh = (
        "import sys; from infra.local.stripe_standin import __main__, params; print('stripe' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", fresh], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False"
    assert params.load("refund_create").fields("RefundCreateParams")["amount"][0].scalars == {"int"}
