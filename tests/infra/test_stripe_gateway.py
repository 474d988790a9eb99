"""The Stripe gateway on bad days: dropped sockets, slow answers, refusals, little time; and who may see what."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.adapters.stripe import client, transport
from chalicelib.adapters.stripe.errors import KeyReusedError, RefusedError
from chalicelib.adapters.stripe.events import USED
from chalicelib.adapters.stripe.gateway import StripeGateway
from chalicelib.adapters.stripe.webhook import notice_of
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.dispute import DisputeStatus
from chalicelib.domain.errors import GatewayUnavailableError, ValidationError
from chalicelib.domain.payment import ChargeResult, Outcome
from tests.infra.gateway_worlds import RETURN_URL, StandinWorld, charge_request, new_customer

CANARY = "canary_secret_7f3a"
PAID = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 2900,
    "amount_received": 2900,
    "currency": "usd",
    "client_secret": f"pi_1_secret_{CANARY}",
    "latest_charge": None,
    "payment_method": "pm_1",
    "metadata": {},
}


class Scripted:
    """A server on loopback that answers each request with the next step: an answer, or a dropped socket."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def do_GET(self) -> None:
                self.answer(b"")

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def answer(self, body: bytes) -> None:
                outer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                step = outer.steps.pop(0) if outer.steps else PAID
                if callable(step):
                    step = step()
                if step == "drop":
                    self.close_connection = True
                    return
                status, content = step if isinstance(step, tuple) else (200, step)
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\nRequest-Id: req_1\r\n\r\n"
                self.wfile.write(head.encode() + data)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def gateway(self, budget: Callable[[], float] = lambda: 30.0) -> StripeGateway:
        return StripeGateway("sk_test_1", return_url=RETURN_URL, api_base=self.url, budget=budget)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def stripe() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


@pytest.fixture(scope="module")
def standin() -> Iterator[StandinWorld]:
    world = StandinWorld()
    yield world
    world.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe.HTTPClient._sleep_time_seconds", lambda self, tries: 0.0)


def error(kind: str = "invalid_request_error", **fields: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": CANARY, **fields}}


def test_what_goes_over_the_wire(stripe: Scripted) -> None:
    request = charge_request("cus_1", "pm_1", invoice="inv_1")
    gateway = stripe.gateway()
    assert gateway.charge(request).outcome is Outcome.SUCCEEDED
    gateway.charge(replace(request, attempt=replace(request.attempt, tries=2)))
    (path, headers, body), (_, again, repeated) = stripe.requests
    assert path == "/v1/payment_intents"
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert headers["idempotency-key"] == again["idempotency-key"] == "charge:sbx_contract:inv_1:1"
    assert body == repeated
    assert not [name for name in [*headers, *again] if "telemetry" in name]
    sent = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    assert sent == {
        "amount": "2900",
        "currency": "usd",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "confirm": "true",
        "off_session": "true",
        "return_url": RETURN_URL,
        "description": "Perennial Starter",
        "expand[0]": "latest_charge",
        "metadata[env]": "sbx_contract",
        "metadata[customer]": "cus_contract",
        "metadata[subscription]": "sub_contract",
        "metadata[invoice]": "inv_1",
        "metadata[attempt]": "1",
    }
    assert stripe.connections == 1


@pytest.mark.parametrize(
    "step",
    [
        "drop",
        (500, error("api_error")),
        (502, "<html>Bad Gateway</html>"),
        (200, '{"id": "pi_1", "stat'),
        (409, error("idempotency_error", code="idempotency_key_in_use")),
        (424, error("api_error")),
    ],
)
def test_an_answer_that_says_nothing_is_unknown_and_asked_once(stripe: Scripted, step: Any) -> None:
    stripe.steps = [step]
    assert stripe.gateway().charge(charge_request("cus_1", "pm_1")) == ChargeResult(outcome=Outcome.UNKNOWN)
    assert len(stripe.requests) == 1


@pytest.mark.parametrize(
    "step",
    [
        (429, error("rate_limit_error")),
        (429, error("invalid_request_error", code="lock_timeout")),
        (401, error()),
        (403, error()),
    ],
)
def test_what_is_not_the_customers_fault_is_an_outage(stripe: Scripted, step: Any) -> None:
    stripe.steps = [step]
    with pytest.raises(GatewayUnavailableError):
        stripe.gateway().charge(charge_request("cus_1", "pm_1"))
    assert len(stripe.requests) == 1


def test_a_changed_body_is_a_bug_and_no_decline(stripe: Scripted) -> None:
    stripe.steps = [(400, error("idempotency_error"))]
    with pytest.raises(KeyReusedError):
        stripe.gateway().charge(charge_request("cus_1", "pm_1"))


@pytest.mark.parametrize("owner", [None, "cus_other"])
def test_a_refusal_without_a_parameter_may_be_about_the_method(stripe: Scripted, owner: str | None) -> None:
    stripe.steps = [(400, error()), {"id": "pm_1", "type": "card", "customer": owner}]
    result = stripe.gateway().charge(charge_request("cus_1", "pm_1"))
    assert result.decline is not None
    assert result.decline.code == "payment_method_missing"
    stripe.steps = [(400, error()), {"id": "pm_1", "type": "card", "customer": "cus_1"}]
    with pytest.raises(RefusedError):
        stripe.gateway().charge(charge_request("cus_1", "pm_1"))


def test_a_method_attached_before_is_described(stripe: Scripted) -> None:
    stripe.steps = [(400, error()), {"id": "pm_1", "type": "card", "customer": "cus_1"}]
    assert stripe.gateway().attach_method("cus_1", "pm_1").id == "pm_1"
    stripe.steps = [(400, error()), {"id": "pm_1", "type": "card", "customer": "cus_2"}]
    with pytest.raises(ValidationError):
        stripe.gateway().attach_method("cus_1", "pm_1")


def test_a_broken_event_does_not_hide_the_others(stripe: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    def event(id: str, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        return {"id": id, "type": kind, "created": 1_772_000_000, "data": {"object": item}}

    ours = {"id": "pi_1", "metadata": {"env": "live", "customer": "cus_1"}}
    events = [
        event("evt_4", "charge.dispute.created", {"id": "du_1", "payment_intent": "pi_gone", "metadata": {}}),
        event("evt_3", "payment_intent.succeeded", {"id": "pi_2"}),
        event("evt_2", "payment_intent.succeeded", ours),
        event("evt_1", "payment_intent.processing", ours),
    ]
    gone = (404, error(code="resource_missing", param="intent"))
    stripe.steps = [{"object": "list", "data": events, "has_more": True}, gone]
    notices, cursor = stripe.gateway().notices_since(datetime.now(UTC), None)
    assert [notice.id for notice in notices] == ["evt_1", "evt_2"]
    assert cursor == "0:evt_1"
    assert [id for id in ("evt_3", "evt_4") if id in caplog.text] == ["evt_3", "evt_4"]


def test_nobody_listens(stripe: Scripted) -> None:
    gateway = stripe.gateway()
    stripe.close()
    with pytest.raises(GatewayUnavailableError):
        gateway.charge(charge_request("cus_1", "pm_1"))


def test_too_little_time_starts_nothing(stripe: Scripted) -> None:
    gateway = stripe.gateway(lambda: 4.9)
    with pytest.raises(GatewayUnavailableError):
        gateway.charge(charge_request("cus_1", "pm_1"))
    gateway = stripe.gateway(lambda: 2.4)
    with pytest.raises(GatewayUnavailableError):
        gateway.checkout("cs_1")
    assert stripe.requests == []


def test_a_slow_answer_is_not_waited_for(stripe: Scripted) -> None:
    released = threading.Event()
    stripe.steps = [lambda: released.wait(10) and PAID]
    left = iter([5.0, 2.15])
    started = time.monotonic()
    result = stripe.gateway(lambda: next(left)).charge(charge_request("cus_1", "pm_1"))
    took = time.monotonic() - started
    released.set()
    assert result.outcome is Outcome.UNKNOWN
    assert 0.1 < took < 1.5


@pytest.mark.parametrize("seconds", [3.0, 6.0, 15.0, 29.0, 900.0])
@pytest.mark.parametrize("retries", [0, 1])
def test_every_try_and_wait_fits_the_time_left(
    monkeypatch: pytest.MonkeyPatch, seconds: float, retries: int
) -> None:
    given: list[float] = []

    def lose(*args: Any, timeout: float) -> Any:
        given.append(timeout)
        raise transport.AnswerLostError

    waits: list[float] = []
    monkeypatch.undo()
    monkeypatch.setattr(transport.Transport, "send", lambda self, *args, **more: lose(*args, **more))
    monkeypatch.setattr("stripe._http_client.time.sleep", waits.append)
    caller = client.Client("sk_test_1", api_base="http://127.0.0.1:9", budget=lambda: seconds)
    with pytest.raises(Exception, match=r"^$"):
        caller.call("get", "/v1/events", retries=retries)
    assert len(given) == retries + 1
    assert 0 < sum(given) + sum(waits) <= min(seconds - 2, 25) + 1e-9


def test_other_calls_are_repeated_once_with_their_key(stripe: Scripted) -> None:
    stripe.steps = ["drop", {"id": "cus_9"}]
    assert stripe.gateway().ensure_customer("live", new_customer()) == "cus_9"
    keys = [headers["idempotency-key"] for _, headers, _ in stripe.requests]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    stripe.steps = ["drop", (503, error("api_error"))]
    with pytest.raises(GatewayUnavailableError):
        stripe.gateway().ensure_customer("live", new_customer())


def test_a_saved_500_keeps_no_customer_from_paying_for_long(standin: StandinWorld) -> None:
    ana = new_customer()
    standin.order("faults", {"kind": "500", "path": "/v1/customers", "method": "POST"})
    with pytest.raises(GatewayUnavailableError):
        standin.gateway.ensure_customer("sbx_contract", ana)
    later = datetime.now(UTC) + timedelta(minutes=10)
    standin.gateway._now = lambda: later
    assert standin.gateway.ensure_customer("sbx_contract", ana)


def test_a_cancellation_waits_for_calls_that_may_be_under_way(stripe: Scripted) -> None:
    request = charge_request("cus_1", "pm_1")
    nothing = {"object": "list", "data": [], "has_more": False}
    stripe.steps = [nothing, nothing]
    young = stripe.gateway().cancel_charge(request)
    assert young is not None
    assert young.outcome is Outcome.UNKNOWN
    old = replace(request.attempt, written_at=datetime.now(UTC) - timedelta(minutes=3))
    assert stripe.gateway().cancel_charge(replace(request, attempt=old)) is None


def test_an_attempt_is_found_on_a_later_page(stripe: Scripted) -> None:
    request = charge_request("cus_1", "pm_1", invoice="inv_1")
    mine = {"env": "sbx_contract", "invoice": "inv_1", "attempt": "1"}
    others = [{**PAID, "id": f"pi_{n}", "metadata": {**mine, "attempt": str(n)}} for n in (2, 10, 11)]
    found = {**PAID, "id": "pi_m", "metadata": {**mine, "customer": "cus_contract"}}
    stripe.steps = [
        {"object": "list", "data": others, "has_more": True},
        {"object": "list", "data": [found], "has_more": False},
    ]
    result = stripe.gateway().find_charge(request)
    assert result is not None
    assert result.reference == "pi_m"
    queries = [parse_qs(path.partition("?")[2]) for path, _, _ in stripe.requests]
    assert queries[0]["customer"] == ["cus_1"]
    earliest = int(request.attempt.written_at.timestamp()) - 3600
    assert queries[0]["created[gte]"] == [str(earliest)]
    assert [query.get("starting_after") for query in queries] == [None, ["pi_11"]]


def test_paid_while_it_was_being_cancelled(stripe: Scripted) -> None:
    waiting = {**PAID, "status": "requires_action", "amount_received": 0}
    stripe.steps = [waiting, (400, error(code="payment_intent_unexpected_state")), PAID]
    request = charge_request("cus_1", "pm_1", reference="pi_1")
    result = stripe.gateway().cancel_charge(request)
    assert result is not None
    assert (result.outcome, result.charged) == (Outcome.SUCCEEDED, 2900)


def test_nothing_secret_is_logged_or_raised(stripe: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("stripe").setLevel(logging.DEBUG)  # whatever it was set to before
    gateway = stripe.gateway()
    stripe.steps = [
        PAID,
        (400, error(param="amount", code="resource_missing")),
        (500, error("api_error")),
        (401, error()),
    ]
    raised = []
    for _ in range(4):
        try:
            gateway.charge(charge_request("cus_1", "pm_1"))
        except Exception as failure:
            raised.append(failure)
    assert [type(failure) for failure in raised] == [RefusedError, GatewayUnavailableError]
    assert all(failure.__cause__ is None and failure.__suppress_context__ for failure in raised)
    assert CANARY not in caplog.text + "".join(map(str, raised))
    assert "sk_test_1" not in caplog.text
    assert "req_1" in caplog.text


def test_connections_are_shared_and_do_not_rest_long(
    stripe: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = stripe.gateway()

    def charge(_: int = 0) -> ChargeResult:
        return gateway.charge(charge_request("cus_1", "pm_1"))

    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:  # new threads each time, as for each batch
            assert {result.outcome for result in pool.map(charge, range(12))} == {Outcome.SUCCEEDED}
    assert stripe.connections <= 4
    before = stripe.connections
    monkeypatch.setattr(transport, "IDLE_SECONDS", -1.0)
    charge()
    assert stripe.connections == before + 1


def test_ten_threads_with_one_key_charge_once(standin: StandinWorld) -> None:
    customer = standin.gateway.ensure_customer("sbx_contract", new_customer())
    request = charge_request(customer, standin.card(customer, "ok"), amount=1234, currency="SEK")
    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda _: standin.gateway.charge(request), range(10)))
    assert {result.outcome for result in results} <= {Outcome.SUCCEEDED, Outcome.UNKNOWN}
    assert standin.gateway.charge(request).outcome is Outcome.SUCCEEDED
    assert standin.charged("SEK") == 1234


def test_a_saved_500_stays_unknown_and_is_looked_up(standin: StandinWorld) -> None:
    customer = standin.gateway.ensure_customer("sbx_contract", new_customer())
    request = charge_request(customer, standin.card(customer, "ok"), amount=777)
    standin.fault("500_after")
    assert standin.gateway.charge(request).outcome is Outcome.UNKNOWN
    assert standin.gateway.charge(request).outcome is Outcome.UNKNOWN
    found = standin.gateway.find_charge(request)
    assert found is not None
    assert (found.outcome, found.charged) == (Outcome.SUCCEEDED, 777)


def test_all_types_are_read_back_twenty_at_a_time(stripe: Scripted) -> None:
    asked: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        stripe.steps = [{"object": "list", "data": [], "has_more": False}]
        _, cursor = stripe.gateway().notices_since(datetime.now(UTC), cursor)
        query = parse_qs(urlsplit(stripe.requests[-1][0]).query)
        types = [value for name, values in query.items() if name.startswith("types") for value in values]
        assert 0 < len(types) <= 20
        asked += types
        pages += 1
    assert sorted(asked) == sorted(USED)


def test_a_dispute_as_it_stands(standin: StandinWorld) -> None:
    customer = standin.gateway.ensure_customer("sbx_contract", new_customer())
    reference = standin.gateway.charge(charge_request(customer, standin.card(customer, "ok"))).reference
    assert reference is not None
    assert standin.gateway.disputes(reference) == []
    made = standin.order("disputes", {"payment_intent": reference, "amount": 900})
    (state,) = standin.gateway.disputes(reference)
    assert (state.reference, state.status, state.amount, state.withdrawn) == (
        made["id"], DisputeStatus.NEEDS_RESPONSE, 900, 900,
    )  # fmt: skip
    assert (state.currency, state.fee, state.fee_currency, state.reason) == ("USD", 1500, "USD", "fraudulent")
    assert state.evidence_due_at is not None
    standin.order(f"disputes/{made['id']}/close", {"status": "won"})
    (state,) = standin.gateway.disputes(reference)
    assert (state.status, state.amount, state.withdrawn, state.fee) == (DisputeStatus.WON, 900, 0, 1500)


def test_an_inquiry_has_withdrawn_nothing(standin: StandinWorld) -> None:
    customer = standin.gateway.ensure_customer("sbx_contract", new_customer())
    reference = standin.gateway.charge(charge_request(customer, standin.card(customer, "ok"))).reference
    made = standin.order("disputes", {"payment_intent": reference, "inquiry": True})
    (state,) = standin.gateway.disputes(str(reference))
    assert (state.status, state.withdrawn, state.fee) == (DisputeStatus.INQUIRY, 0, 0)
    standin.order(f"disputes/{made['id']}/close", {"status": "lost"})
    assert standin.gateway.disputes(str(reference))[0].status is DisputeStatus.INQUIRY_CLOSED


def test_a_dispute_leads_home(standin: StandinWorld) -> None:
    customer = standin.gateway.ensure_customer("sbx_contract", new_customer())
    request = charge_request(customer, standin.card(customer, "ok"))
    reference = standin.gateway.charge(request).reference
    standin.order("disputes", {"payment_intent": reference})
    notices, _ = standin.gateway.notices_since(datetime.now(UTC) - timedelta(minutes=1), None)
    dispute = [notice for notice in notices if notice.kind == "charge.dispute.created"][-1]
    assert (dispute.reference, dispute.env, dispute.invoice_id, dispute.attempt) == (
        reference,
        "sbx_contract",
        request.invoice_id,
        1,
    )


def test_a_replaced_card_leads_to_its_customer(standin: StandinWorld) -> None:
    customer = new_customer()
    method = standin.card(standin.gateway.ensure_customer("sbx_contract", customer), "ok")
    bare = ProcessorNotice(
        id="evt_1",
        kind="payment_method.automatically_updated",
        created=datetime.now(UTC),
        reference=method,
    )
    located = standin.gateway.locate(bare)
    assert located is not None
    assert (located.env, located.customer_id) == ("sbx_contract", customer.id)
    assert standin.gateway.locate(located) == located


def test_webhooks_arrive_signed_and_lead_home(standin: StandinWorld) -> None:
    arrived: list[tuple[bytes, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append((raw, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{receiver.server_address[1]}/v1/webhooks/stripe"
        standin.order("webhooks", {"mode": "normal", "url": url})
        customer = standin.gateway.ensure_customer("sbx_contract", new_customer())
        request = charge_request(customer, standin.card(customer, "ok"))
        reference = standin.gateway.charge(request).reference
        assert standin.order("webhooks/flush", {"timeout": 5})["idle"]
    finally:
        standin.order("webhooks", {"mode": "normal", "url": ""})
        receiver.shutdown()
        receiver.server_close()
    notices = [notice_of(raw, header, ["whsec_standin"], datetime.now(UTC)) for raw, header in arrived]
    mine = [notice for notice in notices if notice and notice.reference == reference]
    assert [(notice.kind, notice.invoice_id) for notice in mine] == [
        ("payment_intent.succeeded", request.invoice_id)
    ]


def test_only_the_gateway_loads_the_sdk() -> None:
    modules = "webhook events errors declines currencies params answers transport"
    script = "import importlib, sys\n" + "".join(
        f"importlib.import_module('chalicelib.adapters.stripe.{name}')\n" for name in modules.split()
    )
    script += "import chalicelib.adapters.memory.gateway\n"
    script += "assert 'stripe' not in sys.modules, 'the SDK was loaded'\n"
    script += "import chalicelib.adapters.stripe.gateway\n"
    script += "assert 'stripe' in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
