"""What AWS Lambda hands to a function: contexts, and events of queues, streams and schedules."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.local.resources import REGION

Event = dict[str, Any]
Record = Mapping[str, Any]


class Context:
    """The part of Lambda's context object that code relies on.

    While the local system stops, no invocation has time left: long work saves how far it came and ends.
    """

    stopping = threading.Event()

    def __init__(self, function_name: str, timeout_seconds: float, memory_mb: int = 512) -> None:
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = memory_mb
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:000000000000:function:{function_name}"
        self.aws_request_id = str(uuid.uuid4())
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = "local"
        self.identity = None
        self.client_context = None
        self._deadline = time.monotonic() + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        if self.stopping.is_set():
            return 0
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def queue_event(messages: Sequence[Record], queue_arn: str) -> Event:
    """The event for messages as `receive_message` answered them (with all attributes)."""
    return {"Records": [_queue_record(message, queue_arn) for message in messages]}


def _queue_record(message: Record, queue_arn: str) -> Event:
    attributes = {
        name: {key[0].lower() + key[1:]: value for key, value in attribute.items()}
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


def stream_event(records: Sequence[Record], stream_arn: str) -> Event:
    """The event for records as `get_records` answered them; binary values become base64, as in Lambda."""
    return {"Records": [_stream_record(record, stream_arn) for record in records]}


def _stream_record(record: Record, stream_arn: str) -> Event:
    change = dict(record["dynamodb"])
    created = change.get("ApproximateCreationDateTime")
    if isinstance(created, datetime):
        change["ApproximateCreationDateTime"] = created.timestamp()
    for part in ("Keys", "NewImage", "OldImage"):
        if part in change:
            change[part] = {name: _plain(value) for name, value in change[part].items()}
    return {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": record.get("eventVersion", "1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    }


def _plain(attribute: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, value),) = attribute.items()
    if kind == "B":
        return {kind: base64.b64encode(value).decode()}
    if kind == "BS":
        return {kind: [base64.b64encode(item).decode() for item in value]}
    if kind == "M":
        return {kind: {name: _plain(item) for name, item in value.items()}}
    if kind == "L":
        return {kind: [_plain(item) for item in value]}
    return {kind: value}


def schedule_event(rule: str) -> Event:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:000000000000:rule/{rule}"],
        "detail": {},
    }


def failed_identifiers(answer: Any, sent: Sequence[str]) -> set[str]:
    """Which of the identifiers sent have failed, from a handler's answer.

    As Lambda reads `batchItemFailures`: nothing there means that all succeeded; an identifier that is
    missing, empty or was never sent makes the whole batch fail.
    """
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not failures:
        return set()
    identifiers = {item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures}
    return set(sent) if identifiers - set(sent) else {str(identifier) for identifier in identifiers}
