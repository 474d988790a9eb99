"""Finds the application's event-driven functions, as Chalice would deploy them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from chalice.app import (
    BaseEventSourceConfig,
    Chalice,
    DynamoDBEventConfig,
    ScheduledEventConfig,
    SQSEventConfig,
)

from infra.local.events import Context

DEFAULT_TIMEOUT = 60
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, kw_only=True)
class Function:
    """One deployed function: its handler takes (event, context)."""

    name: str
    handler: Callable[[Any, Any], Any]
    timeout: float

    def invoke(self, event: Any) -> Any:
        return self.handler(event, Context(self.name, self.timeout))


@dataclass(frozen=True, kw_only=True)
class QueueFunction(Function):
    queue: str
    """Logical id in infra/resources.json."""
    batch_size: int
    concurrency: int | None


@dataclass(frozen=True, kw_only=True)
class StreamFunction(Function):
    table: str
    """Logical id in infra/resources.json."""
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class ScheduledFunction(Function):
    every: timedelta | None
    """None where the expression is a cron, which is not run locally."""
    expression: str


def functions_of(app: Chalice, config: Path | None = None) -> list[Function]:
    """Every queue, stream and schedule function of the app; other event sources have no local pump.

    Timeouts come from `.chalice/config.json`, from its stage `dev` where that has its own.
    """
    timeouts = _timeouts(config)
    found = []
    for source in app.event_sources:
        timeout = timeouts.get(source.name, timeouts.get("", DEFAULT_TIMEOUT))
        function = _function(source, app.handler_map[source.name], timeout)
        if function is not None:
            found.append(function)
    return found


def _function(source: BaseEventSourceConfig, handler: Callable[..., Any], timeout: float) -> Function | None:
    if isinstance(source, SQSEventConfig):
        return QueueFunction(
            name=source.name,
            handler=handler,
            timeout=timeout,
            queue=source.queue or _logical_id(source.queue_arn or ""),
            batch_size=source.batch_size,
            concurrency=source.maximum_concurrency,
        )
    if isinstance(source, DynamoDBEventConfig):
        return StreamFunction(
            name=source.name,
            handler=handler,
            timeout=timeout,
            table=_logical_id(source.stream_arn),
            batch_size=min(source.batch_size, 100),
        )
    if isinstance(source, ScheduledEventConfig):
        expression = str(source.schedule_expression)
        if not isinstance(source.schedule_expression, str):
            expression = source.schedule_expression.to_string()
        return ScheduledFunction(
            name=source.name,
            handler=handler,
            timeout=timeout,
            every=rate(expression),
            expression=expression,
        )
    return None


def rate(expression: str) -> timedelta | None:
    """`rate(5 minutes)` as a timedelta; None for a cron expression."""
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression.strip().lower())
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else None


def _logical_id(arn: str) -> str:
    """The last segment of a placeholder ARN such as `arn:aws:sqs:::DueQueue`."""
    return re.split(r"[:/]", arn)[-1]


def _timeouts(config: Path | None) -> dict[str, float]:
    if config is None or not config.exists():
        return {}
    settings = json.loads(config.read_text(encoding="utf-8"))
    stage = settings.get("stages", {}).get("dev", {})
    timeouts = {
        name: function["lambda_timeout"]
        for name, function in (
            settings.get("lambda_functions", {}) | stage.get("lambda_functions", {})
        ).items()
        if "lambda_timeout" in function
    }
    default = stage.get("lambda_timeout", settings.get("lambda_timeout"))
    return timeouts | ({"": default} if default else {})
