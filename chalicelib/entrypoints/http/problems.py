"""Errors as RFC 9457 problems: the one table from a domain error's code to an HTTP status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalice.app import Response

from chalicelib.domain.errors import DomainError, InvalidDocumentError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a code means over HTTP. `repeat`: the outcome is open, so the same request may be sent again."""

    status: int
    title: str
    repeat: bool = False


KINDS: dict[str, Kind] = {
    "invalid_request": Kind(400, "The request breaks a rule"),
    "malformed_body": Kind(400, "The body is not JSON"),
    "card_number": Kind(400, "The body holds a card number"),
    "invalid_signature": Kind(400, "The webhook is not signed"),
    "currency_mismatch": Kind(400, "Currencies do not match"),
    "unauthenticated": Kind(401, "No valid API key"),
    "payment_declined": Kind(402, "The payment was declined"),
    "forbidden": Kind(403, "The API key does not cover this"),
    "captcha_required": Kind(403, "The captcha is not solved", repeat=True),
    "not_found": Kind(404, "Not found"),
    "method_not_allowed": Kind(405, "This method is not possible here"),
    "preview_stale": Kind(409, "Not what the preview showed any more"),
    "conflict": Kind(409, "Changed by somebody else", repeat=True),
    "already_exists": Kind(409, "The value is taken"),
    "invalid_state": Kind(409, "Not possible in the present state"),
    "quote_required": Kind(409, "Sold by quote"),
    "payment_pending": Kind(409, "The payment's outcome is not known yet", repeat=True),
    "idempotency_in_flight": Kind(409, "The first request is still running", repeat=True),
    "precondition_failed": Kind(412, "Another version is current"),
    "body_too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body must be JSON"),
    "idempotency_mismatch": Kind(422, "The Idempotency-Key belongs to another request"),
    "precondition_required": Kind(428, "Say which version you build upon"),
    "rate_limited": Kind(429, "Too many requests", repeat=True),
    "internal": Kind(500, "Something went wrong here", repeat=True),
    "error": Kind(500, "Something went wrong here", repeat=True),
    "gateway_unavailable": Kind(503, "The payment provider cannot be asked", repeat=True),
    "captcha_unavailable": Kind(503, "The captcha cannot be checked", repeat=True),
}
"""Every code that an answer may carry. A new DomainError needs its row here; a test says so."""

_RETRY_AFTER = {
    "payment_pending": "2",
    "gateway_unavailable": "5",
    "captcha_unavailable": "5",
    "rate_limited": "1",
    "conflict": "1",
}


class MalformedBodyError(DomainError):
    """Not JSON, or not JSON that can be kept; the message says where."""

    code = "malformed_body"


class CardNumberError(DomainError):
    """Card numbers go to the payment provider's page, never here."""

    code = "card_number"


class BodyTooLargeError(DomainError):
    """Above 256 KB."""

    code = "body_too_large"


class UnsupportedMediaTypeError(DomainError):
    """A body of a type that this route does not read."""

    code = "unsupported_media_type"


class MethodNotAllowedError(DomainError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"


class InvalidFieldsError(DomainError):
    """One or more fields are wrong; `errors` names each of them with its path."""

    code = "invalid_request"

    def __init__(self, errors: list[dict[str, str]], *, fix: str | None = None) -> None:
        super().__init__(errors[0]["detail"], field=errors[0]["field"], fix=fix)
        self.errors = errors


def kind_of(error: DomainError) -> Kind:
    return KINDS.get(error.code, KINDS["internal"])


def problem_of(error: DomainError, *, base: str, request_id: str) -> Response:
    """The answer to a refusal. `base` is the installation's public address."""
    kind = kind_of(error)
    ids = dict(error.ids)
    headers = (
        {"Retry-After": retry} if (retry := ids.pop("retry_after", _RETRY_AFTER.get(error.code))) else {}
    )
    if kind.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="Perennial"'
    errors = _errors(error)
    return problem(
        error.code,
        detail=error.message,
        base=base,
        request_id=request_id,
        headers=headers,
        extra={"field": error.field, "fix": error.fix, "errors": errors, "ids": ids or None},
    )


def _errors(error: DomainError) -> list[dict[str, str]] | None:
    """Each of several things that are wrong, by its path."""
    match error:
        case InvalidFieldsError():
            errors = error.errors
        case InvalidDocumentError():
            errors = [
                {"field": each.field, "detail": each.message, **({"fix": each.fix} if each.fix else {})}
                for each in error.problems
            ]
        case _:
            return None
    return errors if len(errors) > 1 else None


def internal_problem(*, base: str, request_id: str) -> Response:
    """An unexpected error: the answer says nothing about it but the id under which it was logged."""
    return problem(
        "internal",
        detail="This was not expected; it was logged under the request id.",
        base=base,
        request_id=request_id,
        extra={
            "fix": "repeat the same request, with its Idempotency-Key; if it persists, report the request id"
        },
    )


def problem(
    code: str,
    *,
    detail: str,
    base: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    kind = KINDS.get(code, KINDS["internal"])
    body = {
        "type": f"{base}/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": detail,
        **{name: value for name, value in (extra or {}).items() if value is not None},
        "request_id": request_id,
    }
    return Response(
        body=json.dumps(body),
        status_code=kind.status,
        headers={"Content-Type": MEDIA_TYPE, **(headers or {})},
    )
