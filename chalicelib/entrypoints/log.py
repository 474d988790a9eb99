"""Structured logs of allow-listed fields: ids, names and numbers, never what a customer or a caller wrote."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

FIELDS = frozenset(
    {
        "request_id", "method", "route", "status", "code", "env", "key_id", "milliseconds", "error", "frames",
        "function", "customer_id", "subscription_id", "invoice_id", "checkout_id", "event_id", "message_id",
        "advance_id", "kind", "count", "correlation_id", "subject_id", "sequence",
    }
)  # fmt: skip


@cache
def logger() -> Logger:
    """Powertools' logger, made on first use: nothing happens at import."""
    from aws_lambda_powertools import Logger

    return Logger(service="perennial")


def bind(**fields: Any) -> None:
    """Put these on every line of the present invocation, its copied contexts in pool threads included."""
    logger().thread_safe_append_keys(**_allowed(fields))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """The same for the block only."""
    before = dict(logger().thread_safe_get_current_keys())
    bind(**fields)
    try:
        yield
    finally:
        logger().thread_safe_clear_keys()
        logger().thread_safe_append_keys(**before)


def log_info(message: str, **fields: Any) -> None:
    """`message` is a constant; a field that is not in FIELDS is a bug (ValueError)."""
    logger().info(message, extra=_allowed(fields), stacklevel=3)


def log_error(message: str, error: BaseException, **fields: Any) -> None:
    """An unexpected error: its type and where it came from. Its message may quote data, so it stays out."""
    fields = {**fields, "error": type(error).__name__, "frames": _frames(error)}
    logger().error(message, extra=_allowed(fields), stacklevel=3)


def _allowed(fields: dict[str, Any]) -> dict[str, Any]:
    unknown = fields.keys() - FIELDS
    if unknown:
        raise ValueError(f"not on the list of loggable fields: {sorted(unknown)}")
    return {name: value for name, value in fields.items() if value is not None}


def _frames(error: BaseException) -> list[str]:
    steps = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{PurePath(step.filename).name}:{step.lineno} {step.name}" for step in steps]
