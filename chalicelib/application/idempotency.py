"""One effect per Idempotency-Key: claim, run, keep the answer; a repeat gets the kept answer.

The claim holds for a lease slightly longer than a request can run. A run whose outcome is unknown gives its
claim back: the next same request runs again under the same request key, so that the ids it derives lead to
what the first run left behind.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.application.ops import Document, Ops
from chalicelib.domain import ids
from chalicelib.domain.errors import IdempotencyInFlightError, IdempotencyMismatchError

KEEP_FOR = timedelta(hours=48)
"""How long an answer is kept; 24 hours are promised."""
LEASE = timedelta(seconds=35)
"""Slightly above the time after which the API gives up on a request (29 s)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a request was answered: status, headers and a body (JSON text, without secrets)."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to run a request; `answer` when it has run already."""

    document: Document
    answer: Answer | None = None


def request_key_of(env: str, method: str, path: str, key: str) -> str:
    """The name of a request: the same key on another route, or in another environment, is another request."""
    return ids.token("request", env, method, path, key)


def claim_request(ops: Ops, request_key: str, fingerprint: str, *, machine_now: datetime) -> Claim:
    """The right to run, or the answer that is kept.

    Raises IdempotencyMismatchError (other content under the same key) and IdempotencyInFlightError (still
    running; `retry_after` seconds among its ids). Times are machine time.
    """
    owner = secrets.token_hex(8)
    running = {
        "state": "running",
        "print": fingerprint,
        "owner": owner,
        "lease_until": (machine_now + LEASE).isoformat(),
    }
    expires_at = machine_now + KEEP_FOR
    document = ops.create(_pk(request_key), "0", running, expires_at=expires_at)
    if document is not None:
        return Claim(document=document)
    found = ops.get(_pk(request_key))
    if found is None:  # it expired between the two calls
        raise _in_flight(1)
    if found.data["owner"] == owner:  # our own write, its answer lost and repeated by the SDK
        return Claim(document=found)
    if not _expired(found, machine_now):
        if found.data["print"] != fingerprint:
            raise IdempotencyMismatchError(
                "this Idempotency-Key was used with another request",
                field="Idempotency-Key",
                fix="use a new key",
            )
        if found.data["state"] == "done":
            return Claim(document=found, answer=_answer(found.data))
        _require_free(found, machine_now)
    taken = ops.replace(found, running, expires_at=expires_at)
    if taken is None:
        raise _in_flight(1)
    return Claim(document=taken)


def keep_answer(ops: Ops, claim: Claim, answer: Answer) -> None:
    """Repeats get this answer from now on. Without effect when the lease ran out and another run took over."""
    data = {
        **claim.document.data,
        "state": "done",
        "answer": {"status": answer.status, "headers": dict(answer.headers), "body": answer.body},
    }
    ops.replace(claim.document, data, expires_at=claim.document.expires_at)


def give_back(ops: Ops, claim: Claim) -> None:
    """The outcome is unknown: the next same request may run at once. The key stays bound to its content."""
    ops.replace(
        claim.document, {**claim.document.data, "state": "retryable"}, expires_at=claim.document.expires_at
    )


def _require_free(found: Document, machine_now: datetime) -> None:
    if found.data["state"] == "retryable":
        return
    left = (datetime.fromisoformat(found.data["lease_until"]) - machine_now).total_seconds()
    if left > 0:
        raise _in_flight(math.ceil(left))


def _in_flight(seconds: int) -> IdempotencyInFlightError:
    return IdempotencyInFlightError(
        "the first request with this Idempotency-Key is still running",
        field="Idempotency-Key",
        fix="wait, then repeat the same request",
        retry_after=str(seconds),
    )


def _expired(document: Document, machine_now: datetime) -> bool:
    return document.expires_at is not None and document.expires_at <= machine_now


def _answer(data: Mapping[str, Any]) -> Answer:
    kept = data["answer"]
    return Answer(status=kept["status"], headers=kept["headers"], body=kept["body"])


def _pk(request_key: str) -> str:
    return f"request#{request_key}"
