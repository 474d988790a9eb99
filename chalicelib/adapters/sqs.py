"""Queues on SQS: batches of ten, JSON by the codec; what a batch leaves behind is sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chalicelib.adapters.codec import dumps, encode
from chalicelib.application.ports import DueRow, Letter, ProcessorNotice

BATCH = 10
MAX_BYTES = 255 * 1024
"""Of one batch's bodies, whatever SQS may take today; the attributes have the rest."""
_ATTEMPTS = 4
_PAUSE = 0.1


class SendError(Exception):
    """Messages that SQS did not take, however often they were sent. The caller's work is repeated as a whole:
    every message may arrive twice anyway.
    """


class SqsQueues:
    """`client` is a botocore SQS client; the queues are given by their URLs. `correlation` is the
    attribute that tells what a message follows from, and who is asked for its value as one is sent. `sleep` is for
    tests.
    """

    def __init__(
        self,
        client: Any,
        *,
        due: str,
        notices: str,
        mail: str,
        clock: str,
        correlation: tuple[str, Callable[[], str]] = ("", str),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._due, self._notices, self._mail, self._clock = due, notices, mail, clock
        self._correlation = correlation
        self._sleep = sleep

    def due(self, rows: Sequence[DueRow]) -> None:
        self._send(self._due, [dumps(encode(row)) for row in rows])

    def due_waiting(self) -> int:
        answer = self._client.get_queue_attributes(
            QueueUrl=self._due, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def notices(self, notices: Sequence[ProcessorNotice]) -> None:
        self._send(self._notices, [dumps(encode(notice)) for notice in notices])

    def mail(self, messages: Sequence[Letter]) -> None:
        self._send(self._mail, [dumps(encode(letter)) for letter in messages])

    def wake_advance(self, env: str, advance_id: str) -> None:
        self._send(self._clock, [dumps({"env": env, "advance_id": advance_id})])

    def _send(self, url: str, bodies: Sequence[str]) -> None:
        for batch in _batches(bodies):
            self._send_batch(url, {str(index): body for index, body in enumerate(batch)})

    def _send_batch(self, url: str, left: dict[str, str]) -> None:
        failed: list[dict[str, Any]] = []
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(_PAUSE * 2**attempt)
            entries = [{"Id": id_, "MessageBody": body, **self._attributes()} for id_, body in left.items()]
            failed = self._client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
            left = {each["Id"]: left[each["Id"]] for each in failed}
            if not left:
                return
            if any(each.get("SenderFault") for each in failed):
                break
        raise SendError(f"{len(left)} messages not sent: {failed[0].get('Code', 'unknown')}")

    def _attributes(self) -> dict[str, Any]:
        name, ask = self._correlation
        value = ask()
        given = {name: {"DataType": "String", "StringValue": value}}
        return {"MessageAttributes": given} if value else {}


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    """In order, at most ten messages and MAX_BYTES each; a larger message travels alone and SQS judges it."""
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == BATCH or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch
