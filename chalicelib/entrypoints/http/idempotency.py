"""`Idempotency-Key` over HTTP: run once, keep the answer without its secrets, repeat it with them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from chalice.app import Response

from chalicelib.application.idempotency import (
    Answer,
    Claim,
    claim_request,
    give_back,
    keep_answer,
    request_key_of,
)
from chalicelib.domain import ids
from chalicelib.domain.errors import DomainError, ValidationError
from chalicelib.entrypoints.http.endpoints import Call, Endpoint
from chalicelib.entrypoints.http.problems import kind_of

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_LENGTH = 255


def key_in(headers: Mapping[str, str]) -> str | None:
    """The caller's key: 1 to 255 printable ASCII characters, or None."""
    key = headers.get(HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
        raise ValidationError(
            f"an {HEADER} has 1 to {MAX_LENGTH} printable ASCII characters", field=HEADER, fix="use a UUID"
        )
    return key


def request_key(env: str, endpoint: Endpoint, path: str, key: str | None) -> str:
    """The name of this request; without a key each request is its own."""
    return request_key_of(env, endpoint.method, path, key or f"\x00{secrets.token_hex(32)}")


def once(
    endpoint: Endpoint,
    call: Call[Any],
    run: Callable[[], Response],
    refuse: Callable[[DomainError], Response],
) -> Response:
    """The kept answer, or that of `run`, kept for the next time.

    Refusals are answers too and are kept, except those after which the same request may be sent again:
    those, and whatever was not expected, leave the key free to run again under the same request key.
    """
    ops = call.services.ops
    claim = claim_request(ops, call.request_key, call.request_print, machine_now=call.machine_now)
    if claim.answer is not None:
        return _replay(endpoint, call, claim.answer)
    try:
        response = run()
    except DomainError as error:
        if kind_of(error).repeat or kind_of(error).status >= 500:
            give_back(ops, claim)
        else:
            _keep(endpoint, call, claim, refuse(error))
        raise
    except BaseException:
        give_back(ops, claim)
        raise
    _keep(endpoint, call, claim, response)
    return response


def _keep(endpoint: Endpoint, call: Call[Any], claim: Claim, response: Response) -> None:
    body = response.body if isinstance(response.body, str) else ""
    if endpoint.secrets and response.status_code < 400:
        content = json.loads(body)
        body = _text({name: value for name, value in content.items() if name not in endpoint.secrets})
    headers = {name: str(value) for name, value in response.headers.items()}
    keep_answer(call.services.ops, claim, Answer(status=response.status_code, headers=headers, body=body))


def _replay(endpoint: Endpoint, call: Call[Any], answer: Answer) -> Response:
    body = answer.body
    if endpoint.secrets and answer.status < 400:
        content = json.loads(body)
        body = _text(content | {name: make(call, content) for name, make in endpoint.secrets.items()})
    return Response(body=body, status_code=answer.status, headers={**answer.headers, REPLAYED: "true"})


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def fresh_key() -> str:
    """The name of a request that cannot be repeated."""
    return ids.token("request", secrets.token_hex(32))
