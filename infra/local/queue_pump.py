"""Feeds queues to their functions, as Lambda's SQS event source mapping does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.events import Record, failed_identifiers, queue_event
from infra.local.functions import QueueFunction
from infra.local.resources import queue_arn

log = logging.getLogger(__name__)

LONG_POLL_SECONDS = 1
"""Long enough to cost an idle system nothing, short enough for Ctrl-C."""
DEFAULT_CONCURRENCY = 4


def local_backoff(receives: int) -> int:
    """Seconds that a failed message waits: AWS makes it wait for the whole visibility timeout, minutes."""
    return min(30, 1 << min(receives - 1, 5))


class QueuePump:
    """Receives batches and runs several of them at once; deletes exactly what succeeded.

    A failed message becomes visible again after `backoff(receives)` seconds, until the queue's own
    redrive policy moves it to the dead-letter queue.
    """

    def __init__(
        self,
        function: QueueFunction,
        sqs: Any,
        url: str,
        *,
        on_activity: Callable[[], None] = lambda: None,
        backoff: Callable[[int], int] = local_backoff,
    ) -> None:
        self._function = function
        self._sqs = sqs
        self._url = url
        self._arn = queue_arn(sqs, url)
        self._on_activity = on_activity
        self._backoff = backoff
        concurrency = function.concurrency or DEFAULT_CONCURRENCY
        self._slots = threading.Semaphore(concurrency)
        self._workers = ThreadPoolExecutor(concurrency, thread_name_prefix=function.name)
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name=f"{function.name}-poll", daemon=True)

    def start(self) -> None:
        self._poller.start()

    def stop(self) -> None:
        """Takes no more messages and waits for the batches at work."""
        self._stopping.set()
        self._poller.join()
        self._workers.shutdown(wait=True)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._slots.acquire()
            messages = self._receive()
            if messages:
                self._workers.submit(self._work, messages)
            else:
                self._slots.release()

    def _receive(self) -> list[Record]:
        if self._stopping.is_set():
            return []
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(self._function.batch_size, 10),
                WaitTimeSeconds=LONG_POLL_SECONDS,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            if not self._stopping.is_set():
                log.warning("%s: cannot receive: %s", self._function.name, error)
                self._stopping.wait(1)
            return []
        messages: list[Record] = answer.get("Messages", [])
        return messages

    def _work(self, messages: Sequence[Record]) -> None:
        try:
            failed = self._invoke(messages)
            self._delete([message for message in messages if message["MessageId"] not in failed])
            self._retry_later([message for message in messages if message["MessageId"] in failed])
        except (BotoCoreError, ClientError) as error:
            log.warning("%s: cannot settle a batch: %s", self._function.name, error)
        finally:
            self._slots.release()
            self._on_activity()

    def _invoke(self, messages: Sequence[Record]) -> set[str]:
        identifiers = [message["MessageId"] for message in messages]
        started = time.monotonic()
        try:
            answer = self._function.invoke(queue_event(messages, self._arn))
        except Exception:
            log.exception("%s: a batch of %d failed", self._function.name, len(messages))
            return set(identifiers)
        if time.monotonic() - started > self._function.timeout:
            log.warning("%s: took longer than its %g s", self._function.name, self._function.timeout)
        return failed_identifiers(answer, identifiers)

    def _delete(self, messages: Sequence[Record]) -> None:
        if messages:
            self._sqs.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(messages)
                ],
            )

    def _retry_later(self, messages: Sequence[Record]) -> None:
        if messages:
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {
                        "Id": str(index),
                        "ReceiptHandle": message["ReceiptHandle"],
                        "VisibilityTimeout": self._backoff(_receives(message)),
                    }
                    for index, message in enumerate(messages)
                ],
            )


def _receives(message: Record) -> int:
    return int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
