"""One batch of queue messages: each succeeds or fails alone, one lane's in order, the lanes at the same time.

Powertools' BatchProcessor has neither threads nor lanes, and raises where a whole batch failed; what is left of
the job is below.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chalicelib import composition
from chalicelib.entrypoints.log import bound, log_error, log_info

T = TypeVar("T")
Answer = dict[str, list[dict[str, str]]]
THREADS = 10
IDS = ("env", "kind", "customer_id", "subscription_id", "invoice_id", "checkout_id", "advance_id")


def ids_of(message: object) -> dict[str, Any]:
    """The ids that a message names, as fields of a log line."""
    return {name: getattr(message, name, None) for name in IDS}


def each_message(
    event: Mapping[str, Any],
    type_: type[T],
    work: Callable[[T], object],
    *,
    lane: Callable[[T], str],
    about: Callable[[T], Mapping[str, Any]] = ids_of,
    left_alone: tuple[type[Exception], ...] = (),
) -> Answer:
    """Read every record of an SQS event as a `type_` and work on it; answers the ones that failed, by message.

    Messages of one lane run in the order of the batch. What is raised fails its own message only; what cannot be
    read fails at once, so that it ends in the dead-letter queue. `left_alone` are exceptions after which the
    message is done with, because something else brings the work back. While a message is worked on, every line of
    the log carries its id, what it follows from, and what it is `about`.
    """
    failed: list[str] = []
    lanes: dict[str, list[_Received[T]]] = defaultdict(list)
    for record in event["Records"]:
        received = _read(record, type_, about)
        if received is None:
            failed.append(record["messageId"])
        else:
            lanes[lane(received.message)].append(received)

    def run(received: list[_Received[T]]) -> list[str]:
        return [each.id for each in received if not _done(each, work, left_alone)]

    if len(lanes) == 1:
        failed += run(next(iter(lanes.values())))
    elif lanes:
        with ThreadPoolExecutor(min(THREADS, len(lanes))) as pool:
            runs = [pool.submit(copy_context().run, run, received) for received in lanes.values()]
            failed += [id_ for each in runs for id_ in each.result()]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


@dataclass(frozen=True, slots=True)
class _Received(Generic[T]):
    id: str
    correlation: str | None
    message: T
    about: Mapping[str, Any]


def _read(
    record: Mapping[str, Any], type_: type[T], about: Callable[[T], Mapping[str, Any]]
) -> _Received[T] | None:
    """None, logged, for what cannot be read."""
    id_, correlation = record["messageId"], _correlation(record)
    try:
        message = composition.read_message(type_, record["body"])
        return _Received(id_, correlation, message, about(message))
    except Exception as error:
        log_error("message not understood", error, message_id=id_, correlation_id=correlation)
        return None


def _correlation(record: Mapping[str, Any]) -> str | None:
    """The id of the request or invocation that sent the message, where it says so."""
    attribute = record.get("messageAttributes", {}).get(composition.CORRELATION_ATTRIBUTE, {})
    value: str | None = attribute.get("stringValue")
    return value


def _done(
    received: _Received[T], work: Callable[[T], object], left_alone: tuple[type[Exception], ...]
) -> bool:
    correlation = received.correlation or composition.CORRELATION.get() or None
    token = composition.CORRELATION.set(correlation or "")
    try:
        with bound(message_id=received.id, correlation_id=correlation, **received.about):
            return _worked(received.message, work, left_alone)
    finally:
        composition.CORRELATION.reset(token)


def _worked(message: T, work: Callable[[T], object], left_alone: tuple[type[Exception], ...]) -> bool:
    try:
        work(message)
    except left_alone as error:
        log_info("left for later", error=type(error).__name__)
    except Exception as error:
        log_error("message failed", error)
        return False
    return True
