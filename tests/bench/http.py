"""Requests over HTTP: round trips behind each, and how an entitlement check compares with a bare read."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import app as application
from chalicelib.domain.environment import LIVE
from infra.local.ports import free_ports
from infra.local.server import create_server
from tests.bench.world import Bench, counted, stripe_calls

Ask = Callable[..., tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Trips:
    """Requests that the application made, by service and operation, to answer one."""

    made: tuple[str, ...]

    @property
    def number(self) -> int:
        return len(self.made)

    @property
    def summary(self) -> str:
        times = Counter(self.made)
        return ", ".join(name if n == 1 else f"{n} {name}" for name, n in times.items())


@contextmanager
def served(bench: Bench) -> Iterator[Ask]:
    """The application over HTTP in this process: `ask(method, path, body, headers)` on one kept connection."""
    port = free_ports(1)
    server = create_server(application.app, port)
    thread = threading.Thread(target=server.server.serve_forever, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(
        method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {bench.live.secret_token}", **(headers or {})}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, raw, sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    try:
        yield ask
    finally:
        connection.close()
        server.server.shutdown()
        server.server.server_close()
        thread.join()


def entitlement_trips(bench: Bench, ask: Ask, customer: str) -> Trips:
    path = f"/v1/customers/{customer}/entitlements"
    return _second(bench, lambda: ask("GET", path), 200)


def webhook_trips(bench: Bench, ask: Ask, customer: str) -> Trips:
    secret = bench.services.secrets.get("stripe_webhook_secrets").split(",")[0]

    def send() -> tuple[int, Any]:
        raw = json.dumps(_event(bench, customer)).encode()
        at = int(bench.now.timestamp())
        signed = hmac.new(secret.encode(), f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={at},v1={signed}"}
        return ask("POST", "/v1/webhooks/stripe", raw, headers)

    return _second(bench, send, 200)


def checkout_trips(bench: Bench, ask: Ask) -> Trips:
    body = {
        "plan": "pro", "quantity": 3, "currency": "USD", "interval": "month", "trial_days": 0,
        "customer_email": "grace@example.com",
        "success_url": "http://127.0.0.1:8787/yes", "cancel_url": "http://127.0.0.1:8787/no",
    }  # fmt: skip
    return _second(bench, lambda: ask("POST", "/v1/checkout_sessions", body), 201)


def entitlement_ratio(bench: Bench, ask: Ask, customer: str, number: int = 400) -> tuple[float, float, float]:
    """(ratio, ours, bare) at p50, in milliseconds; the two take turns, so that the machine's moods cancel out."""
    client, table = bench.services.tables.client, bench.services.settings.billing_table
    token = customer.partition("_")[2]
    key = {"pk": {"S": f"{LIVE}#{token}"}, "sk": {"S": "0A"}}
    path = f"/v1/customers/{customer}/entitlements"
    ours, bare = [], []
    for _ in range(number):
        bare.append(_timed(lambda: client.get_item(TableName=table, Key=key)))
        ours.append(_timed(lambda: ask("GET", path)))
    ours_p50, bare_p50 = statistics.median(ours), statistics.median(bare)
    return ours_p50 / bare_p50, ours_p50, bare_p50


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _second(bench: Bench, send: Callable[[], tuple[int, Any]], status: int) -> Trips:
    """What the second request costs: keys, secrets and the live environment are cached by then."""
    from chalicelib.adapters.stripe.transport import Transport  # noqa: F401 (loaded before it is counted)

    for _ in range(2):
        with counted(*_clients(bench)) as aws, stripe_calls() as stripe:
            answer = send()
        assert answer[0] == status, answer
    made = [name for name, times in sorted(aws.items()) for _ in range(times)]
    return Trips((*made, *(f"Stripe {method.upper()} {path}" for method, path in stripe)))


def _clients(bench: Bench) -> list[Any]:
    return [bench.services.tables.client, bench.sqs_of_application]


def _event(bench: Bench, customer: str) -> dict[str, Any]:
    metadata = {"env": LIVE, "customer": customer, "invoice": "inv_bench", "attempt": "1"}
    return {
        "id": "evt_bench", "object": "event", "type": "payment_intent.succeeded", "livemode": False,
        "created": int(bench.now.timestamp()), "api_version": "2026-10-28.endive",
        "data": {"object": {"id": "pi_bench", "object": "payment_intent", "metadata": metadata}},
    }  # fmt: skip
