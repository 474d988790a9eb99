"""Who may tell us of payments: deliveries as API Gateway hands them on, forged in every way that came to mind."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib import composition
from chalicelib.adapters.memory import MemoryStore
from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.ops import MemoryOps
from infra.local.events import Context
from tests.infra.http_world import copy_of_app

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
SECRET, ROLLED = "whsec_now", "whsec_before"
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": int(NOW.timestamp()),
    "livemode": False,
    "data": {
        "object": {
            "id": "pi_1",
            "object": "payment_intent",
            "metadata": {"env": "live", "customer": "cus_1", "invoice": "inv_1", "attempt": "1"},
        }
    },
}
PLAIN = json.dumps(EVENT).encode()
BODIES = {
    "plain": PLAIN,
    "not ASCII": json.dumps({**EVENT, "note": "Zażółć gęślą — 請求書 🧾"}, ensure_ascii=False).encode(),
    "escaped slashes": json.dumps({**EVENT, "url": "https://x"}).replace("/", "\\/").encode(),
    "CRLF": json.dumps(EVENT, indent=2).replace("\n", "\r\n").encode(),
    "a line at the end": PLAIN + b"\n",
}


class Secrets:
    def get(self, name: str) -> str:
        return {"stripe_secret_key": "sk_test_x", "stripe_webhook_secrets": f"{ROLLED},{SECRET}"}[name]


class Gate:
    """`gate(body, header)`: status, and what was queued."""

    def __init__(self) -> None:
        self.app = copy_of_app()
        self.queues = MemoryQueues()
        self.services = composition.Services(
            store=MemoryStore(),
            ops=MemoryOps(),
            queues=self.queues,
            secrets=Secrets(),
            pepper=b"p" * 32,
            public_url="https://billing.test",
            machine_now=lambda: NOW,
        )

    def __call__(self, body: bytes, header: str | None, *, encoded: bool = False, **event: Any) -> Any:
        headers = {
            "content-type": "application/json",
            **({} if header is None else {"Stripe-Signature": header}),
        }
        request = {
            "resource": "/v1/webhooks/stripe",
            "path": "/v1/webhooks/stripe",
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": "/v1/webhooks/stripe",
                "httpMethod": "POST",
                "requestId": "r",
                "identity": {"sourceIp": "198.51.100.1"},
            },
            "body": base64.b64encode(body).decode() if encoded else body.decode(),
            "isBase64Encoded": encoded,
        } | event
        with composition.use(self.services):
            return self.app(request, Context("api", 29))

    @property
    def queued(self) -> list[str]:
        return [notice.id for notice in self.queues.processor_notices]


@pytest.fixture
def gate() -> Gate:
    return Gate()


def mac(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    return hmac.new(secret.encode(), f"{int(at.timestamp())}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    return f"t={int(at.timestamp())},v1={mac(body, secret, at)}"


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
def test_what_is_signed_passes_however_the_gateway_wraps_it(gate: Gate, body: bytes, encoded: bool) -> None:
    assert gate(body, signed(body), encoded=encoded)["statusCode"] == 200
    assert gate.queued == ["evt_1"]


@pytest.mark.parametrize("name", ["stripe-signature", "Stripe-Signature", "STRIPE-SIGNATURE"])
def test_the_headers_case_does_not_matter(gate: Gate, name: str) -> None:
    headers = {"content-type": "application/json", name: signed(PLAIN)}
    given = {"headers": headers, "multiValueHeaders": {key: [value] for key, value in headers.items()}}
    assert gate(PLAIN, None, **given)["statusCode"] == 200


@pytest.mark.parametrize(
    "header",
    [
        signed(PLAIN, ROLLED),
        f"{signed(PLAIN, 'whsec_other')},v1={mac(PLAIN)}",
        f"{signed(PLAIN)},v1={mac(PLAIN, 'whsec_other')}",
        f"t={int(NOW.timestamp())},v1={mac(PLAIN, ROLLED)},v1={mac(PLAIN)}",
        f"t={int(NOW.timestamp())}, v0=00, v1={mac(PLAIN)}",
    ],
    ids=[
        "the old secret",
        "ours among others",
        "others after ours",
        "both during a roll",
        "an older scheme too",
    ],
)
def test_one_good_signature_is_enough(gate: Gate, header: str) -> None:
    assert gate(PLAIN, header)["statusCode"] == 200
    assert gate.queued == ["evt_1"]


def late(seconds: int) -> str:
    return signed(PLAIN, at=NOW + timedelta(seconds=seconds))


FORGED: dict[str, tuple[bytes, str | None]] = {
    "no signature": (PLAIN, None),
    "an empty one": (PLAIN, ""),
    "somebody else's secret": (PLAIN, signed(PLAIN, "whsec_other")),
    "no secret": (PLAIN, signed(PLAIN, "")),
    "the API key as secret": (PLAIN, signed(PLAIN, "sk_test_x")),
    "another body's": (PLAIN, signed(PLAIN + b" ")),
    "a changed body": (PLAIN.replace(b"evt_1", b"evt_2"), signed(PLAIN)),
    "a truncated body": (PLAIN[:-1], signed(PLAIN)),
    "more after the body": (PLAIN + b"{}", signed(PLAIN)),
    "no body": (b"", signed(PLAIN)),
    "other line ends": (BODIES["CRLF"].replace(b"\r\n", b"\n"), signed(BODIES["CRLF"])),
    "escaped otherwise": (json.dumps(json.loads(BODIES["not ASCII"])).encode(), signed(BODIES["not ASCII"])),
    "too old": (PLAIN, late(-301)),
    "from the future": (PLAIN, late(301)),
    "from the year 33658": (PLAIN, signed(PLAIN).replace(str(int(NOW.timestamp())), "9" * 12)),
    "a replay with its time moved": (PLAIN, f"t={int(NOW.timestamp()) + 1},v1={mac(PLAIN)}"),
    "two times, one signed": (PLAIN, f"t={int(NOW.timestamp()) - 9999},{signed(PLAIN)}"),
    "the older scheme": (PLAIN, signed(PLAIN).replace("v1=", "v0=")),
    "in upper case": (PLAIN, signed(PLAIN).replace(mac(PLAIN), mac(PLAIN).upper())),
    "half a signature": (PLAIN, signed(PLAIN)[:-32]),
    "a signature and more": (PLAIN, signed(PLAIN) + "00"),
    "not hexadecimal": (PLAIN, f"t={int(NOW.timestamp())},v1=é🧾"),
    "half a character": (PLAIN, f"t={int(NOW.timestamp())},v1=\ud800"),
    "digits of another script": (PLAIN, signed(PLAIN).replace(str(int(NOW.timestamp())), "١٢٣٤")),
    "a negative time": (PLAIN, f"t=-{int(NOW.timestamp())},v1={mac(PLAIN)}"),
    "thousands of signatures": (PLAIN, f"t={int(NOW.timestamp())}" + f",v1={'0' * 64}" * 5000),
    "thousands of commas": (PLAIN, "," * 100_000),
}


@pytest.mark.parametrize(("body", "header"), FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
def test_a_forgery_is_refused_and_queued_nowhere(
    gate: Gate, body: bytes, header: str | None, encoded: bool
) -> None:
    answer = gate(body, header, encoded=encoded)
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["code"] == "invalid_signature"
    assert gate.queued == []
    for secret in (SECRET, ROLLED, mac(PLAIN)):
        assert secret not in json.dumps(answer)


@pytest.mark.parametrize("order", [1, -1])
def test_two_headers_are_no_way_around_it(gate: Gate, order: int) -> None:
    """Whichever of them counts: one that was signed by nobody never lets the other's body through."""
    pair = [signed(PLAIN), f"t={int(NOW.timestamp())},v1={'0' * 64}"][::order]
    forged = PLAIN.replace(b"evt_1", b"evt_2")
    headers = {"content-type": "application/json", "Stripe-Signature": pair[-1]}
    both = {"content-type": ["application/json"], "Stripe-Signature": pair}
    assert gate(forged, None, headers=headers, multiValueHeaders=both)["statusCode"] == 400
    assert gate.queued == []


def test_a_huge_body_is_refused_before_it_is_digested(gate: Gate) -> None:
    huge = PLAIN + b" " * 300_000
    for encoded in (False, True):
        assert gate(huge, signed(huge), encoded=encoded)["statusCode"] == 413
    assert gate.queued == []


def test_many_signatures_do_not_make_many_digests(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    made: list[bytes] = []
    original: Callable[..., Any] = hmac.new

    def counted(key: bytes, *args: Any) -> Any:
        made.append(key)
        return original(key, *args)

    monkeypatch.setattr("chalicelib.adapters.stripe.webhook.hmac.new", counted)
    gate(PLAIN, f"t={int(NOW.timestamp())}" + f",v1={'0' * 64}" * 200)
    assert len(made) == 2, "one for each secret"


@pytest.mark.parametrize(
    "change",
    [{"livemode": True}, {"account": "acct_other"}, {"type": "payout.paid"}],
    ids=["the other mode", "another account", "of no use"],
)
def test_what_is_signed_but_not_for_us_is_taken_and_forgotten(gate: Gate, change: dict[str, Any]) -> None:
    body = json.dumps(EVENT | change).encode()
    assert gate(body, signed(body))["statusCode"] == 200
    assert gate.queued == []


def test_a_replay_leads_where_the_first_led_and_holds_no_more(gate: Gate) -> None:
    """It passes within the tolerance: what it does is absolute and conditional, so twice is once."""
    for seconds in (0, 100, 299):
        gate.services.machine_now = lambda seconds=seconds: NOW + timedelta(seconds=seconds)  # type: ignore[method-assign,misc]
        assert gate(PLAIN, signed(PLAIN))["statusCode"] == 200
    assert gate.queued == ["evt_1"] * 3
    assert len({repr(notice) for notice in gate.queues.processor_notices}) == 1
    gate.services.machine_now = lambda: NOW + timedelta(seconds=301)  # type: ignore[method-assign]
    assert gate(PLAIN, signed(PLAIN))["statusCode"] == 400


def test_nothing_of_the_body_but_ids_is_queued(gate: Gate) -> None:
    secret = "pi_1_secret_canary"
    body = json.dumps(EVENT).replace('"pi_1"', f'"pi_1", "client_secret": "{secret}"').encode()
    assert gate(body, signed(body))["statusCode"] == 200
    assert "canary" not in repr(gate.queues.processor_notices)
