"""Webhooks from Stripe: is it signed, is it fresh, and where does it lead. Imports no SDK: it runs in the
function that must start fast.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chalicelib.adapters.stripe.errors import InvalidSignatureError, MalformedNoticeError
from chalicelib.adapters.stripe.events import notice_from
from chalicelib.application.ports import ProcessorNotice

TOLERANCE_SECONDS = 300
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_log = logging.getLogger(__name__)


def notice_of(
    raw: bytes, header: str, secrets: Sequence[str], now: datetime, *, livemode: bool | None = None
) -> ProcessorNotice | None:
    """A delivery as the notice to queue; None: answer 2xx and forget it.

    `raw` are the bytes as they came over the wire, `header` the value of `Stripe-Signature`, `now` machine
    time. The same event may come many times: the notice's `id` tells. Raises InvalidSignatureError (answer
    4xx). An event that has lost a field that we need is answered 2xx too, and logged; its notice leads nowhere
    (`reference` is empty), so that `locate` refuses it until it rests in the dead-letter queue. Only when it
    has not even an id and a type, MalformedNoticeError (answer 5xx).
    """
    try:
        return notice_from(verify(raw, header, secrets, now), livemode=livemode)
    except MalformedNoticeError as error:
        if not (error.event and error.kind):
            raise
        _log.error("stripe event %s of type %s is malformed", error.event, error.kind)
        return ProcessorNotice(id=error.event, kind=error.kind, created=now, reference="")


def verify(raw: bytes, header: str, secrets: Sequence[str], now: datetime) -> dict[str, Any]:
    """The event, if one of `secrets` signed exactly these bytes within the tolerance before or after `now`.

    Several secrets stand for one that is being rolled. Raises InvalidSignatureError, which says nothing about
    why beyond what the sender knows anyway, and MalformedNoticeError when what was signed is no event.
    """
    timestamp, signatures = _parsed(header)
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise InvalidSignatureError("the timestamp is outside the tolerance", field="Stripe-Signature")
    if not _signed(timestamp.encode() + b"." + raw, signatures, secrets):
        raise InvalidSignatureError("no signature matches", field="Stripe-Signature")
    try:
        event = json.loads(raw)
    except ValueError:
        raise MalformedNoticeError("the body is not JSON") from None
    if not isinstance(event, dict):
        raise MalformedNoticeError("the body is not an event")
    return event


def _parsed(header: str) -> tuple[str, list[str]]:
    pairs = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]) or not signatures:
        raise InvalidSignatureError("the signature header is malformed", field="Stripe-Signature")
    return timestamps[0], signatures


def _signed(payload: bytes, signatures: Sequence[str], secrets: Sequence[str]) -> bool:
    """Every secret against every signature, each in constant time, whichever matches. The body is digested once
    per secret, however many signatures a header holds.
    """
    given = [signature.encode(errors="replace") for signature in signatures]
    matches = []
    for secret in filter(None, secrets):
        ours = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest().encode()
        matches += [hmac.compare_digest(ours, theirs) for theirs in given]
    return any(matches)
