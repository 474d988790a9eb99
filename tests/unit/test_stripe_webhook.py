"""Who may tell us something."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.stripe.errors import InvalidSignatureError, MalformedNoticeError
from chalicelib.adapters.stripe.webhook import notice_of, verify
from chalicelib.domain.errors import DomainError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_now"
EVENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "created": 1_772_366_400,
    "livemode": False,
    "data": {"object": {"id": "pi_1", "metadata": {"env": "live", "customer": "cus_1"}}},
}
BODIES = [
    json.dumps(EVENT).encode(),
    json.dumps({**EVENT, "note": "Zażółć gęślą — 請求書 🧾"}, ensure_ascii=False).encode(),
    json.dumps({**EVENT, "url": "https:\\/\\/x"}).replace("/", "\\/").encode(),
    json.dumps(EVENT, indent=2).replace("\n", "\r\n").encode(),
]


def signature(raw: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    return hmac.new(secret.encode(), f"{int(at.timestamp())}.".encode() + raw, hashlib.sha256).hexdigest()


def header(raw: bytes, *secrets: str, at: datetime = NOW) -> str:
    signed = "".join(f",v1={signature(raw, secret, at)}" for secret in secrets or (SECRET,))
    return f"t={int(at.timestamp())}{signed},v0=00"


@pytest.mark.parametrize("raw", BODIES, ids=["plain", "not ASCII", "escaped slashes", "CRLF"])
def test_the_bytes_are_what_is_signed(raw: bytes) -> None:
    assert verify(raw, header(raw), [SECRET], NOW)["id"] == "evt_1"
    for changed in (raw + b" ", raw.replace(b"evt_1", b"evt_2"), raw.strip(b"}") + b"} }"):
        with pytest.raises(InvalidSignatureError):
            verify(changed, header(raw), [SECRET], NOW)


def test_the_sdk_agrees() -> None:
    import stripe

    raw = BODIES[1]
    assert stripe.WebhookSignature.verify_header(raw.decode(), header(raw), SECRET, tolerance=None)


def test_a_secret_that_is_being_rolled() -> None:
    raw = BODIES[0]
    assert verify(raw, header(raw, "whsec_old"), [SECRET, "whsec_old"], NOW)
    assert verify(raw, header(raw, "whsec_old", SECRET), [SECRET], NOW)
    assert verify(raw, header(raw, SECRET, "whsec_old"), [SECRET], NOW)
    with pytest.raises(InvalidSignatureError):
        verify(raw, header(raw, "whsec_other"), [SECRET, "whsec_old"], NOW)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_within_the_tolerance(seconds: int) -> None:
    raw = BODIES[0]
    assert verify(raw, header(raw, at=NOW + timedelta(seconds=seconds)), [SECRET], NOW)


@pytest.mark.parametrize("seconds", [-301, 301, 10**9])
def test_too_old_or_from_the_future(seconds: int) -> None:
    raw = BODIES[0]
    with pytest.raises(InvalidSignatureError):
        verify(raw, header(raw, at=NOW + timedelta(seconds=seconds)), [SECRET], NOW)


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "t=",
        "nonsense",
        f"t={int(NOW.timestamp())}",
        f"v1={signature(BODIES[0])}",
        f"t=x,v1={signature(BODIES[0])}",
        f"t=-1,v1={signature(BODIES[0])}",
        f"t={'9' * 5000},v1={signature(BODIES[0])}",
        f"t=١٢٣,v1={signature(BODIES[0])}",
        f"t={int(NOW.timestamp())},v0={signature(BODIES[0])}",
        f"t={int(NOW.timestamp())},v1=",
        f"t={int(NOW.timestamp())},v1=é",
        f"t={int(NOW.timestamp())},t={int(NOW.timestamp())},v1={signature(BODIES[0])}",
    ],
)
def test_broken_headers(broken: str) -> None:
    with pytest.raises(InvalidSignatureError):
        verify(BODIES[0], broken, [SECRET], NOW)


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_without_a_secret_nobody_is_believed(secrets: list[str]) -> None:
    raw = BODIES[0]
    with pytest.raises(InvalidSignatureError):
        verify(raw, header(raw, ""), secrets, NOW)


def test_the_refusal_has_a_stable_code_and_tells_no_secret() -> None:
    with pytest.raises(DomainError) as caught:
        verify(BODIES[0], header(BODIES[0], "whsec_other"), [SECRET], NOW)
    assert caught.value.code == "invalid_signature"
    assert "whsec" not in str(caught.value)
    assert signature(BODIES[0]) not in str(caught.value)


def test_a_delivery_becomes_a_notice() -> None:
    notice = notice_of(BODIES[0], header(BODIES[0]), [SECRET], NOW)
    assert notice is not None
    assert (notice.id, notice.reference, notice.env) == ("evt_1", "pi_1", "live")
    other = json.dumps({**EVENT, "type": "payout.paid"}).encode()
    assert notice_of(other, header(other), [SECRET], NOW) is None
    assert notice_of(BODIES[0], header(BODIES[0]), [SECRET], NOW, livemode=True) is None


def test_a_broken_event_becomes_a_notice_that_leads_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    raw = json.dumps({**EVENT, "data": {"object": {"id": "pi_1", "secret": "canary"}}}).encode()
    notice = notice_of(raw, header(raw), [SECRET], NOW)
    assert notice is not None
    assert (notice.id, notice.kind, notice.reference, notice.env) == (
        "evt_1", "payment_intent.succeeded", "", None,
    )  # fmt: skip
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "evt_1" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff\xfe", b'"evt"', b'{"type": "payment_intent.succeeded"}'])
def test_what_is_signed_but_no_event_at_all(raw: bytes) -> None:
    with pytest.raises(MalformedNoticeError):
        notice_of(raw, header(raw), [SECRET], NOW)
