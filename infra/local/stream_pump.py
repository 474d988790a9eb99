"""Feeds a table's stream to its function, as Lambda's DynamoDB event source mapping does."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.activity import Activity
from infra.local.events import Record, failed_identifiers, stream_event
from infra.local.functions import StreamFunction

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Tries of one batch before it is split in two, and of one record before it is parked."""


class StreamPump:
    """Reads every record in order, from the oldest one on a fresh state, and remembers where it was.

    A failing batch is tried again, then halved, until the one record that fails is found: that one is
    parked in the dead-letter queue (as Lambda does: where it is, not what is in it) and the rest goes on.
    The position is written after each batch, so a stop in between hands a record out twice, never skips it.
    """

    def __init__(
        self,
        function: StreamFunction,
        streams: Any,
        *,
        table_name: str,
        position_file: Path,
        park: Callable[[str], None],
        activity: Activity,
        retry_seconds: float = 0.2,
    ) -> None:
        self._function = function
        self._streams = streams
        self._table_name = table_name
        self._position = _Position(position_file)
        self._park = park
        self._activity = activity
        self._retry_seconds = retry_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=function.name, daemon=True)
        self._stream_arn = ""
        self._shard = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the batch at work; what is still on the stream is read after the next start."""
        self._stopping.set()
        self._activity.touch()
        self._thread.join()

    def _run(self) -> None:
        iterator: str | None = None
        while not self._stopping.is_set():
            try:
                iterator = iterator or self._open()
                answer = self._streams.get_records(ShardIterator=iterator, Limit=self._function.batch_size)
                records = answer["Records"]
                if records:
                    self._deliver(records)
                else:
                    self._activity.wait()
                iterator = answer.get("NextShardIterator")
            except (BotoCoreError, ClientError) as error:
                if not self._stopping.is_set():
                    log.warning("%s: cannot read the stream: %s", self._function.name, error)
                    self._stopping.wait(1)
                iterator = None

    def _open(self) -> str:
        self._stream_arn = self._streams.list_streams(TableName=self._table_name)["Streams"][0]["StreamArn"]
        description = self._streams.describe_stream(StreamArn=self._stream_arn)["StreamDescription"]
        self._shard = description["Shards"][0]["ShardId"]
        where = {"StreamArn": self._stream_arn, "ShardId": self._shard}
        sequence = self._position.read(self._stream_arn)
        if sequence is not None:
            try:
                return self._iterator(where, "AFTER_SEQUENCE_NUMBER", SequenceNumber=sequence)
            except ClientError as error:  # Older than a day: the stream begins after it.
                if error.response["Error"]["Code"] != "TrimmedDataAccessException":
                    raise
        return self._iterator(where, "TRIM_HORIZON")

    def _iterator(self, where: dict[str, str], kind: str, **more: str) -> str:
        answer = self._streams.get_shard_iterator(**where, ShardIteratorType=kind, **more)
        iterator: str = answer["ShardIterator"]
        return iterator

    def _deliver(self, records: Sequence[Record]) -> None:
        """Hands the records over, all of them, however often it takes; returns early only when stopping."""
        pending = list(records)
        failures = 0
        while pending and not self._stopping.is_set():
            done = self._invoke(pending)
            if done:
                self._position.write(self._stream_arn, _sequence(pending[done - 1]))
                pending, failures = pending[done:], 0
                continue
            failures += 1
            if failures < ATTEMPTS:
                self._stopping.wait(self._retry_seconds * 2 ** (failures - 1))
            elif len(pending) == 1:
                self._set_aside(pending.pop())
            else:
                middle = len(pending) // 2
                self._deliver(pending[:middle])
                self._deliver(pending[middle:])
                return

    def _invoke(self, records: Sequence[Record]) -> int:
        """How many of the records, counted from the first, are done."""
        sequences = [_sequence(record) for record in records]
        try:
            answer = self._function.invoke(stream_event(records, self._stream_arn))
        except Exception:
            log.exception("%s: a batch of %d failed", self._function.name, len(records))
            return 0
        failed = failed_identifiers(answer, sequences)
        return next((index for index, sequence in enumerate(sequences) if sequence in failed), len(records))

    def _set_aside(self, record: Record) -> None:
        sequence = _sequence(record)
        log.error("%s: parked the record %s", self._function.name, sequence)
        self._park(
            json.dumps(
                {
                    "requestContext": {
                        "functionArn": self._function.name,
                        "condition": "RetryAttemptsExhausted",
                    },
                    "version": "1.0",
                    "DDBStreamBatchInfo": {
                        "shardId": self._shard,
                        "startSequenceNumber": sequence,
                        "endSequenceNumber": sequence,
                        "batchSize": 1,
                        "streamArn": self._stream_arn,
                    },
                    "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                }
            )
        )
        self._position.write(self._stream_arn, sequence)


class _Position:
    """The last sequence number done, in a file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, stream_arn: str) -> str | None:
        try:
            saved = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        sequence: str | None = saved.get("sequence") if saved.get("stream_arn") == stream_arn else None
        return sequence

    def write(self, stream_arn: str, sequence: str) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({"stream_arn": stream_arn, "sequence": sequence}), encoding="utf-8")
        os.replace(draft, self._path)


def _sequence(record: Record) -> str:
    sequence: str = record["dynamodb"]["SequenceNumber"]
    return sequence
