"""Failures that are bugs or broken input, never a customer's decline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.application.ports import CustomerGone
from chalicelib.domain.errors import DomainError


class GatewayMisuseError(Exception):
    """The processor refused what we asked as wrong: an unknown customer, a bad parameter. A bug of ours."""


class CustomerGoneError(GatewayMisuseError, CustomerGone):
    """The processor's customer that we know does not exist there any more."""


class KeyReusedError(GatewayMisuseError):
    """One idempotency key was sent with two different requests. Nothing was charged by this call."""


class RefusedError(GatewayMisuseError):
    """Stripe's 4xx, reduced to what may be logged; `error` is its error object, for the adapter alone."""

    def __init__(self, status: int, error: Mapping[str, Any], request_id: str | None) -> None:
        self.status = status
        self.error = error
        self.code = error.get("code")
        self.param = error.get("param")
        super().__init__(
            f"refused with {status}: code {self.code}, parameter {self.param}, request {request_id}"
        )


class UnansweredError(Exception):
    """No answer that says what happened: a timeout, a dropped connection, a 5xx, a call still in flight."""


class MalformedNoticeError(Exception):
    """An event of a type that we use lacks a field that it must have: for the dead-letter queue."""

    def __init__(self, message: str, *, event: str = "", kind: str = "") -> None:
        super().__init__(f"{message} (event {event or '?'}, type {kind or '?'})")
        self.event = event
        self.kind = kind


class InvalidSignatureError(DomainError):
    """A webhook that the processor did not sign, or too long ago, or from the future."""

    code = "invalid_signature"
