"""One batch of queue messages: each succeeds or fails alone, one lane's in order, the lanes at the same time.

Powertools' BatchProcessor has neither threads nor lanes, and raises where a whole batch failed; what is left of
the job is below.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from chalicelib import composition
from chalicelib.entrypoints.log import log_error, log_info

T = TypeVar("T")
Answer = dict[str, list[dict[str, str]]]
THREADS = 10


def each_message(
    event: Mapping[str, Any],
    type_: type[T],
    work: Callable[[T], object],
    *,
    lane: Callable[[T], str],
    left_alone: tuple[type[Exception], ...] = (),
) -> Answer:
    """Read every record of an SQS event as a `type_` and work on it; answers the ones that failed, by message.

    Messages of one lane run in the order of the batch. What is raised fails its own message only; what cannot be
    read fails at once, so that it ends in the dead-letter queue. `left_alone` are exceptions after which the
    message is done with, because something else brings the work back.
    """
    failed: list[str] = []
    lanes: dict[str, list[tuple[str, T]]] = defaultdict(list)
    for record in event["Records"]:
        try:
            message = composition.read_message(type_, record["body"])
            lanes[lane(message)].append((record["messageId"], message))
        except Exception as error:
            log_error("message not understood", error, message_id=record["messageId"])
            failed.append(record["messageId"])

    def run(messages: list[tuple[str, T]]) -> list[str]:
        return [id_ for id_, message in messages if not _done(id_, message, work, left_alone)]

    if len(lanes) == 1:
        failed += run(next(iter(lanes.values())))
    elif lanes:
        with ThreadPoolExecutor(min(THREADS, len(lanes))) as pool:
            runs = [pool.submit(copy_context().run, run, messages) for messages in lanes.values()]
            failed += [id_ for each in runs for id_ in each.result()]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def _done(id_: str, message: T, work: Callable[[T], object], left_alone: tuple[type[Exception], ...]) -> bool:
    kind = getattr(message, "kind", None)
    try:
        work(message)
    except left_alone as error:
        log_info("left for later", message_id=id_, kind=kind, error=type(error).__name__)
    except Exception as error:
        log_error("message failed", error, message_id=id_, kind=kind)
        return False
    return True
