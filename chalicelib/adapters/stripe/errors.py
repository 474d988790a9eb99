"""Failures that are bugs or broken input, never a customer's decline."""

from __future__ import annotations

from chalicelib.domain.errors import DomainError


class GatewayMisuseError(Exception):
    """The processor refused what we asked as wrong: an unknown customer, a bad parameter. A bug of ours."""


class KeyReusedError(GatewayMisuseError):
    """One idempotency key was sent with two different requests. Nothing was charged by this call."""


class MalformedNoticeError(Exception):
    """An event of a type that we use lacks a field that it must have: for the dead-letter queue."""

    def __init__(self, message: str, *, event: str = "", kind: str = "") -> None:
        super().__init__(f"{message} (event {event or '?'}, type {kind or '?'})")
        self.event = event
        self.kind = kind


class InvalidSignatureError(DomainError):
    """A webhook that the processor did not sign, or too long ago, or from the future."""

    code = "invalid_signature"
