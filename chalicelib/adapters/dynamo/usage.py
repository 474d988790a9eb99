"""Live usage events in a table of their own: one conditional insert each, spread over LANES partitions per customer.

Its stream brings every new event once or more, in order within a partition, to `application.usage.fold`. An event
of up to 1 KB costs one write unit; so does a duplicate, which is refused.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chalicelib.adapters import codec
from chalicelib.domain import ids
from chalicelib.domain.meter import UsageEvent

LANES = 16
"""Partitions of one customer's events: 16,000 a second before any of them is hot."""
_TOGETHER = 25
"""Statements in one request."""
_ATTEMPTS = 6
_DUPLICATE = "DuplicateItem"
_TRAFFIC = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
        "InternalServerError",
    }
)
_DIGITS = 40
"""Of a sequence number at most: with leading zeros they sort as text."""


class DynamoUsageLog:
    """Safe to share between threads. `sleep` is for tests."""

    def __init__(self, client: Any, table: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._statement = f"INSERT INTO \"{table}\" VALUE {{'pk': ?, 'sk': ?, 'doc': ?}}"
        self._sleep = sleep

    def insert(self, env: str, events: Sequence[UsageEvent]) -> set[tuple[str, str]]:
        """(customer, id) of the events that were new. Requests of 25 at the same time: one round trip."""
        parts = [events[start : start + _TOGETHER] for start in range(0, len(events), _TOGETHER)]
        if len(parts) == 1:
            return self._insert(env, parts[0])
        with ThreadPoolExecutor(len(parts)) as pool:
            return set().union(*pool.map(lambda part: self._insert(env, part), parts))

    def _insert(self, env: str, events: Sequence[UsageEvent]) -> set[tuple[str, str]]:
        """Tries again what traffic kept out. An answer that was lost makes its events look like duplicates, which
        is what they are to whoever reports them again.
        """
        new: set[tuple[str, str]] = set()
        pending = list(events)
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(random.uniform(0, 0.02 * 2**attempt))
            answer = self._client.batch_execute_statement(
                Statements=[
                    {"Statement": self._statement, "Parameters": parameters_of(env, event)} for event in pending
                ]
            )
            codes = [each.get("Error", {}).get("Code") for each in answer["Responses"]]
            new |= {(e.customer_id, e.id) for e, code in zip(pending, codes, strict=True) if code is None}
            pending = [event for event, code in zip(pending, codes, strict=True) if code in _TRAFFIC]
            if strange := set(codes) - _TRAFFIC - {None, _DUPLICATE}:
                raise RuntimeError(f"usage was not inserted: {sorted(map(str, strange))}")
            if not pending:
                return new
        raise TimeoutError(f"{len(pending)} events were not inserted after {_ATTEMPTS} attempts")


def lane_of(event_id: str) -> int:
    return int(hashlib.sha256(event_id.encode()).hexdigest()[:8], 16) % LANES


def read_event(image: Mapping[str, Mapping[str, Any]]) -> tuple[str, int, UsageEvent]:
    """(environment, lane, event) of the new image in a record of the table's stream."""
    env, _, lane = image["pk"]["S"].split("#")
    document = json.loads(image["doc"]["S"])
    return env, int(lane), codec.decode(UsageEvent, {**document, "id": image["sk"]["S"]})


def position_of(sequence_number: str) -> str:
    """A place on the stream, so that a later one is greater."""
    return sequence_number.zfill(_DIGITS)


def parameters_of(env: str, event: UsageEvent) -> list[dict[str, str]]:
    """Partition key, sort key and content of the event's item."""
    document = codec.encode(event)
    del document["id"]
    partition = f"{env}#{ids.token_of(event.customer_id)}#{lane_of(event.id):02d}"
    return [{"S": partition}, {"S": event.id}, {"S": codec.dumps(document)}]
