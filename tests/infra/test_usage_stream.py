"""Live usage on real engines: one insert per event, and a stream that brings each to its customer's windows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.dynamo.usage import LANES, DynamoUsageLog, lane_of, position_of, read_event
from chalicelib.domain import ids
from chalicelib.domain.meter import UsageEvent

NOW = datetime(2026, 6, 5, 12, tzinfo=UTC)
CUSTOMER = ids.customer_id("usage")


def event(number: int, **more: Any) -> UsageEvent:
    one = UsageEvent(id=f"evt-{number}", customer_id=CUSTOMER, name="api_calls", at=NOW, recorded_at=NOW)
    return replace(one, value=number, properties={"region": "eu"}, **more)


class Engine:
    """Answers statements as DynamoDB does: an insert of what exists is refused on its own."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}
        self.requests: list[int] = []
        self.trouble: list[str] = []

    def batch_execute_statement(self, *, Statements: list[Any]) -> dict[str, Any]:
        self.requests.append(len(Statements))
        return {"Responses": [self._answer(statement["Parameters"]) for statement in Statements]}

    def _answer(self, parameters: list[Any]) -> dict[str, Any]:
        pk, sk, doc = (value["S"] for value in parameters)
        if self.trouble:
            return {"Error": {"Code": self.trouble.pop()}}
        if (pk, sk) in self.items:
            return {"Error": {"Code": "DuplicateItem"}}
        self.items[pk, sk] = doc
        return {"TableName": "usage"}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def log(engine: Engine) -> DynamoUsageLog:
    return DynamoUsageLog(engine, "usage", sleep=lambda _: None)


def test_a_hundred_events_are_four_requests(engine: Engine, log: DynamoUsageLog) -> None:
    assert len(log.insert("live", [event(number) for number in range(100)])) == 100
    assert sorted(engine.requests) == [25] * 4


def test_only_what_is_new_is_answered(log: DynamoUsageLog) -> None:
    log.insert("live", [event(1), event(2)])
    assert log.insert("live", [event(2), event(3)]) == {(CUSTOMER, "evt-3")}


def test_traffic_is_tried_again_and_other_trouble_is_loud(engine: Engine, log: DynamoUsageLog) -> None:
    engine.trouble = ["ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"]
    assert len(log.insert("live", [event(1), event(2)])) == 2
    engine.trouble = ["ValidationError"]
    with pytest.raises(RuntimeError, match="ValidationError"):
        log.insert("live", [event(3)])
    engine.trouble = ["ThrottlingError"] * 50
    with pytest.raises(TimeoutError):
        log.insert("live", [event(4)])


def test_a_heavy_customers_events_spread() -> None:
    lanes = [lane_of(f"request-{number}") for number in range(16_000)]
    assert max(lanes.count(lane) for lane in range(LANES)) < 1.2 * 1000


def test_an_image_reads_back(engine: Engine, log: DynamoUsageLog) -> None:
    log.insert("live", [event(7)])
    ((pk, sk), doc) = next(iter(engine.items.items()))
    image = {"pk": {"S": pk}, "sk": {"S": sk}, "doc": {"S": doc}}
    assert read_event(image) == ("live", lane_of("evt-7"), event(7))
    assert len(json.dumps(image)) < 1024, "one write unit"


def test_positions_sort_as_numbers() -> None:
    assert position_of("9") < position_of("10") < position_of("100000000000000000000000000000000000000")
