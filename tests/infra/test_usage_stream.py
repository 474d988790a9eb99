"""Live usage on real engines: one insert per event, and a stream that brings each to its customer's windows."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.dynamo.meter import metered
from chalicelib.adapters.dynamo.usage import LANES, DynamoUsageLog, lane_of, position_of, read_event
from chalicelib.application.entitlements import get_entitlements
from chalicelib.domain import ids
from chalicelib.domain.meter import UsageEvent
from chalicelib.entrypoints.jobs.usage import fold_usage
from infra.local.events import Context, stream_event
from tests.infra.job_world import Jobs, usage_record
from tests.infra.test_jobs_metrics import measured
from tests.scenario.world import World

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


class TestOnRealEngines:
    """The same on engines that speak PartiQL and have streams."""

    def test_of_twenty_requests_with_one_id_one_is_new(self, real_store: Any) -> None:
        log = DynamoUsageLog(real_store.client, usage_table_beside(real_store))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: log.insert("live", [event(1), event(2)]), range(20)))
        assert sorted(len(answer) for answer in answers if answer) in ([2], [1, 1])

    def test_a_hundred_at_once(self, real_store: Any) -> None:
        log = DynamoUsageLog(real_store.client, usage_table_beside(real_store))
        assert len(log.insert("live", [event(number) for number in range(100)])) == 100
        assert log.insert("live", [event(number) for number in range(100)]) == set()

    def test_an_event_costs_one_unit_and_so_does_a_duplicate(self, real_store: Any) -> None:
        log = DynamoUsageLog(real_store.client, usage_table_beside(real_store))
        for _ in range(2):
            with metered(real_store.client) as used:
                log.insert("live", [event(number) for number in range(40)])
            assert (used.write_units, used.calls) == (40, 2)
        assert len(used.writes_by_partition) > LANES // 2


class TestJob:
    """Batches of the stream, as Lambda hands them over."""

    def deliver(self, jobs: Jobs, records: list[Any]) -> list[str]:
        with jobs.services():
            answer = fold_usage(stream_event(records, "arn"), Context("fold_usage", 60))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    @pytest.fixture
    def jobs(self) -> Jobs:
        return Jobs(World(start="2026-06-01"))

    def used(self, jobs: Jobs, customer: str) -> int:
        (grant,) = get_entitlements(jobs.world.ctx(), customer).grants
        return sum(each.used for each in grant.metered)

    def records(self, jobs: Jobs, customer: str, *numbers: int) -> list[Any]:
        world = jobs.world
        return [
            usage_record(world.env, replace(event(n), customer_id=customer, at=world.now, value=1), n)
            for n in numbers
        ]

    def test_folded_once_however_often_it_is_delivered(self, jobs: Jobs) -> None:
        customers = [jobs.world.customer() for _ in range(2)]
        for customer in customers:
            jobs.world.subscribe(customer, "free")
        batch = self.records(jobs, customers[0], *range(1, 60)) + self.records(jobs, customers[1], 60, 61)
        for _ in range(3):
            assert self.deliver(jobs, batch) == []
        assert [self.used(jobs, customer) for customer in customers] == [59, 2]

    def test_it_says_how_many_and_how_late(self, jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
        customer = jobs.world.customer()
        jobs.world.subscribe(customer, "free")
        batch = self.records(jobs, customer, 1, 2, 3)
        batch[0]["dynamodb"]["ApproximateCreationDateTime"] = jobs.world.machine.timestamp() - 90
        batch[2]["dynamodb"]["NewImage"]["doc"]["S"] = "{"
        capsys.readouterr()
        self.deliver(jobs, batch)
        assert measured(capsys.readouterr().out) == {
            "UsageEventsFolded": [2],
            "UsageLagSeconds": [90],
            "MessagesFailed": [1],
        }

    def test_one_that_cannot_be_read_holds_up_what_comes_after_it(self, jobs: Jobs) -> None:
        customer = jobs.world.customer()
        jobs.world.subscribe(customer, "free")
        batch = self.records(jobs, customer, 1, 2, 3)
        batch[1]["dynamodb"]["NewImage"]["doc"]["S"] = "{"
        assert self.deliver(jobs, batch) == ["2"]
        assert self.used(jobs, customer) == 1

    def test_a_failure_brings_the_batch_back_from_its_first_record(self, jobs: Jobs) -> None:
        customers = [jobs.world.customer() for _ in range(2)]
        for customer in customers:
            jobs.world.subscribe(customer, "free")
        batch = self.records(jobs, customers[0], 9) + self.records(jobs, customers[1], 10, 11)
        store, commit = jobs.world.parts.store, jobs.world.parts.store.commit

        def refuse(env: str, *records: Any, **more: Any) -> None:
            if any(getattr(record, "customer_id", "") == customers[1] for record in records):
                raise ConnectionError
            commit(env, *records, **more)

        store.commit = refuse
        assert self.deliver(jobs, batch) == ["10"]
        store.commit = commit
        assert self.deliver(jobs, batch) == []
        assert [self.used(jobs, customer) for customer in customers] == [1, 2]

    def test_what_is_not_new_is_not_folded(self, jobs: Jobs) -> None:
        customer = jobs.world.customer()
        jobs.world.subscribe(customer, "free")
        (record,) = self.records(jobs, customer, 1)
        assert self.deliver(jobs, [record | {"eventName": "MODIFY"}]) == []
        assert self.used(jobs, customer) == 0


def usage_table_beside(store: Any) -> str:
    name: str = store._table.replace("BillingTable", "UsageTable")
    return name
