"""Queue pump, stream pump and scheduler against a real engine: as Lambda's event sources, failures included."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.local.activity import Activity
from infra.local.engine import running_emulator
from infra.local.events import Context, failed_identifiers, stream_event
from infra.local.functions import (
    QueueFunction,
    ScheduledFunction,
    StreamFunction,
    functions_of,
    rate,
)
from infra.local.queue_pump import QueuePump, local_backoff
from infra.local.resources import client, create_queues, create_tables
from infra.local.scheduler import Scheduler
from infra.local.stream_pump import StreamPump
from tests.infra.sample_app import make_app
from tests.infra.test_resources import free_port

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: Any) -> Iterator[str]:
    with running_emulator(tmp_path_factory.mktemp("state"), free_port()) as url:
        yield url


@pytest.fixture
def prefix() -> str:
    return f"{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def queues(endpoint: str, prefix: str) -> dict[str, str]:
    return create_queues(client("sqs", endpoint), prefix=prefix)


class Calls:
    """What a handler was called with, and a way to wait for it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._changed = threading.Condition()

    def add(self, batch: list[str]) -> None:
        with self._changed:
            self.batches.append(batch)
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, 10), self.batches

    @property
    def items(self) -> list[str]:
        return [item for batch in self.batches for item in batch]


def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def queue_function(handler: Callable[[Any, Any], Any], batch_size: int = 10) -> QueueFunction:
    return QueueFunction(
        name="worker", handler=handler, timeout=60, queue="DueQueue", batch_size=batch_size, concurrency=None
    )


def send(sqs: Any, url: str, bodies: list[str]) -> None:
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[start : start + 10])
        ]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counts[name]) for name in names)


def received(sqs: Any, url: str) -> list[str]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return sorted(message["Body"] for message in answer.get("Messages", []))


def run_queue(
    endpoint: str, queues: dict[str, str], handler: Callable[[Any, Any], Any], bodies: list[str]
) -> tuple[list[str], int]:
    """Pumps DueQueue until all bodies are gone from it; answers what its dead-letter queue then holds."""
    sqs = client("sqs", endpoint)
    send(sqs, queues["DueQueue"], bodies)
    pump = QueuePump(queue_function(handler), sqs, queues["DueQueue"], backoff=lambda _: 0)
    pump.start()
    try:
        eventually(lambda: waiting(sqs, queues["DueQueue"]) == 0)
    finally:
        pump.stop()
    return received(sqs, queues["DueDeadLetterQueue"]), waiting(sqs, queues["DueQueue"])


def test_only_the_failed_messages_of_a_batch_come_back(endpoint: str, queues: dict[str, str]) -> None:
    calls = Calls()

    def handler(event: Any, _context: Any) -> dict[str, Any]:
        records = event["Records"]
        calls.add([record["body"] for record in records])
        failed = [record["messageId"] for record in records if record["body"].startswith("poison")]
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}

    bodies = [f"fine-{index}" for index in range(28)] + ["poison-1", "poison-2"]
    parked, left = run_queue(endpoint, queues, handler, bodies)
    times = Counter(calls.items)
    assert parked == ["poison-1", "poison-2"]
    assert left == 0
    assert {times[body] for body in bodies[:28]} == {1}
    assert {times[body] for body in bodies[28:]} == {5}  # exactly the template's maxReceiveCount
    assert max(len(batch) for batch in calls.batches) <= 10


def test_an_exception_fails_the_whole_batch(endpoint: str, queues: dict[str, str]) -> None:
    calls = Calls()

    def handler(event: Any, _context: Any) -> None:
        calls.add([record["body"] for record in event["Records"]])
        raise RuntimeError("boom")

    parked, _ = run_queue(endpoint, queues, handler, ["a", "b", "c"])
    assert parked == ["a", "b", "c"]
    assert Counter(calls.items) == {"a": 5, "b": 5, "c": 5}


def test_an_unknown_identifier_fails_the_whole_batch(endpoint: str, queues: dict[str, str]) -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "nobody"}]}
    parked, _ = run_queue(endpoint, queues, lambda _event, _context: answer, ["a", "b"])
    assert parked == ["a", "b"]


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, {"1"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"1", "2"}),
        ({"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "3"}]}, {"1", "2"}),
        ({"batchItemFailures": [{"id": "1"}]}, {"1", "2"}),
        ({"batchItemFailures": ["1"]}, {"1", "2"}),
    ],
)
def test_answers_are_read_as_lambda_reads_them(answer: Any, failed: set[str]) -> None:
    assert failed_identifiers(answer, ["1", "2"]) == failed


def test_failed_messages_wait_longer_each_time_but_never_long() -> None:
    assert [local_backoff(receives) for receives in (1, 2, 3, 4, 5, 50)] == [1, 2, 4, 8, 16, 30]


def test_several_batches_run_at_once_and_stop_waits_for_them(endpoint: str, queues: dict[str, str]) -> None:
    sqs = client("sqs", endpoint)
    together, done = threading.Barrier(2), Calls()

    def handler(event: Any, _context: Any) -> None:
        together.wait(5)  # passes only if a second batch is being worked on at the same time
        done.add([record["body"] for record in event["Records"]])

    send(sqs, queues["DueQueue"], ["a", "b"])
    pump = QueuePump(queue_function(handler, batch_size=1), sqs, queues["DueQueue"])
    pump.start()
    done.until(lambda: bool(done.batches))
    pump.stop()
    assert sorted(done.items) == ["a", "b"]
    assert waiting(sqs, queues["DueQueue"]) == 0


def test_a_handler_gets_what_lambda_sends(endpoint: str, queues: dict[str, str]) -> None:
    sqs = client("sqs", endpoint)
    calls: list[tuple[Any, Any]] = []
    attributes = {"kind": {"DataType": "String", "StringValue": "renewal"}}
    sqs.send_message(QueueUrl=queues["DueQueue"], MessageBody="x", MessageAttributes=attributes)
    pump = QueuePump(
        queue_function(lambda event, context: calls.append((event, context))), sqs, queues["DueQueue"]
    )
    pump.start()
    eventually(lambda: calls)
    pump.stop()
    (event, context), (record,) = calls[0], calls[0][0]["Records"]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith("DueQueue")
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["kind"]["stringValue"] == "renewal"
    assert json.loads(json.dumps(event)) == event
    assert 50_000 < context.get_remaining_time_in_millis() <= 60_000
    assert uuid.UUID(context.aws_request_id)


def test_time_left_never_goes_below_nothing() -> None:
    assert Context("f", timeout_seconds=-1).get_remaining_time_in_millis() == 0


# --- Stream ------------------------------------------------------------------------------------------


class StreamWorld:
    """One table with a stream, and pumps on it that remember in one file."""

    def __init__(self, endpoint: str, prefix: str, folder: Path) -> None:
        self.dynamodb = client("dynamodb", endpoint)
        self.streams = client("dynamodbstreams", endpoint)
        self.table = create_tables(self.dynamodb, prefix=prefix)["BillingTable"]
        self.folder = folder
        self.parked: list[dict[str, Any]] = []
        self.activity = Activity()
        self.calls = Calls()
        self.fails: Callable[[str], bool] = lambda _key: False

    def put(self, *keys: str) -> None:
        for key in keys:
            item = {"pk": {"S": "p"}, "sk": {"S": key}, "raw": {"B": b"\x00"}}
            self.dynamodb.put_item(TableName=self.table, Item=item)
        self.activity.touch()

    def handle(self, event: Any, _context: Any) -> None:
        keys = [record["dynamodb"]["NewImage"]["sk"]["S"] for record in event["Records"]]
        if any(self.fails(key) for key in keys):
            raise RuntimeError(f"cannot take {keys}")
        self.calls.add(keys)

    def pump(
        self, handler: Callable[[Any, Any], Any] | None = None, *, file: str = "position.json"
    ) -> StreamPump:
        function = StreamFunction(
            name="projector", handler=handler or self.handle, timeout=60, table="BillingTable", batch_size=100
        )
        return StreamPump(
            function,
            self.streams,
            table_name=self.table,
            position_file=self.folder / file,
            park=lambda body: self.parked.append(json.loads(body)),
            activity=self.activity,
            retry_seconds=0.001,
        )

    def run_until(self, condition: Callable[[], bool], handler: Any = None) -> None:
        pump = self.pump(handler)
        pump.start()
        try:
            self.calls.until(condition)
        finally:
            pump.stop()


@pytest.fixture
def stream(endpoint: str, prefix: str, tmp_path: Path) -> StreamWorld:
    return StreamWorld(endpoint, prefix, tmp_path)


def test_a_fresh_pump_reads_from_the_beginning_and_a_later_one_goes_on(stream: StreamWorld) -> None:
    stream.put("1", "2")
    stream.run_until(lambda: len(stream.calls.items) == 2)
    stream.put("3")  # nobody is reading
    stream.run_until(lambda: len(stream.calls.items) == 3)
    assert stream.calls.items == ["1", "2", "3"]


def test_a_pump_that_stopped_within_a_batch_hands_it_out_again(stream: StreamWorld) -> None:
    stream.put("1", "2")
    seen = Calls()

    def fail(event: Any, _context: Any) -> None:
        seen.add([record["dynamodb"]["Keys"]["sk"]["S"] for record in event["Records"]])
        raise RuntimeError("not now")

    pump = stream.pump(fail)
    pump._retry_seconds = 30
    pump.start()
    seen.until(lambda: bool(seen.batches))
    pump.stop()
    stream.run_until(lambda: len(stream.calls.items) == 2)
    assert stream.calls.items == seen.batches[0] == ["1", "2"]


def test_one_record_that_always_fails_is_parked_and_the_rest_goes_on(stream: StreamWorld) -> None:
    keys = [f"{index:02}" for index in range(20)]
    stream.fails = lambda key: key == "13"
    stream.put(*keys)
    stream.run_until(lambda: len(stream.calls.items) == 19)
    assert stream.calls.items == [key for key in keys if key != "13"]  # in order, each once
    (parked,) = stream.parked
    assert parked["DDBStreamBatchInfo"]["batchSize"] == 1
    assert parked["DDBStreamBatchInfo"]["streamArn"].startswith("arn:aws:dynamodb:")


def test_what_fails_for_a_while_is_retried_and_not_parked(stream: StreamWorld) -> None:
    tries = Counter[str]()

    def flaky(key: str) -> bool:
        tries[key] += 1
        return tries[key] < 3

    stream.fails = flaky
    stream.put("1")
    stream.run_until(lambda: stream.calls.items == ["1"])
    assert stream.parked == []


def test_partial_answers_move_the_position_up_to_the_failure(stream: StreamWorld) -> None:
    stream.put("1", "2", "3")
    failing = {"2"}

    def partly(event: Any, _context: Any) -> Any:
        batch = []
        for record in event["Records"]:
            key = record["dynamodb"]["Keys"]["sk"]["S"]
            if key in failing:
                failing.clear()
                stream.calls.add(batch)
                sequence = record["dynamodb"]["SequenceNumber"]
                return {"batchItemFailures": [{"itemIdentifier": sequence}]}
            batch.append(key)
        stream.calls.add(batch)
        return {}

    stream.run_until(lambda: len(stream.calls.items) == 3, partly)
    assert stream.calls.batches == [["1"], ["2", "3"]]


def test_a_position_that_the_stream_forgot_starts_at_its_beginning(stream: StreamWorld) -> None:
    stream.put("1")
    arn = stream.streams.list_streams(TableName=stream.table)["Streams"][0]["StreamArn"]
    forgotten = json.dumps({"stream_arn": arn, "sequence": "000000000000000000000000000001"})
    (stream.folder / "position.json").write_text(forgotten, encoding="utf-8")
    stream.run_until(lambda: stream.calls.items == ["1"])


def test_stream_events_are_plain_json() -> None:
    record = {
        "eventID": "1",
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": {"pk": {"B": b"k"}},
            "NewImage": {
                "set": {"BS": [b"a"]},
                "map": {"M": {"inner": {"L": [{"B": b"b"}, {"N": "1"}, {"NULL": True}]}}},
            },
            "SequenceNumber": "1",
        },
    }
    (sent,) = stream_event([record], "arn")["Records"]
    assert json.loads(json.dumps(sent)) == sent
    assert sent["dynamodb"]["Keys"] == {"pk": {"B": "aw=="}}
    assert sent["dynamodb"]["NewImage"]["map"]["M"]["inner"]["L"][0] == {"B": "Yg=="}


def test_records_not_yet_read_and_messages_at_work_survive_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with running_emulator(tmp_path, port) as url:
        world = StreamWorld(url, "restart-", tmp_path)
        sqs = client("sqs", url)
        queue = create_queues(sqs)["DueQueue"]
        world.put("1")
        world.run_until(lambda: world.calls.items == ["1"])
        world.put("2", "3")
        sqs.send_message(QueueUrl=queue, MessageBody="at work")
        sqs.receive_message(QueueUrl=queue, VisibilityTimeout=400)  # and the worker dies
    with running_emulator(tmp_path, port) as url:
        world = StreamWorld(url, "restart-", tmp_path)
        world.run_until(lambda: len(world.calls.items) == 2)
        assert world.calls.items == ["2", "3"]
        assert received(client("sqs", url), create_queues(client("sqs", url))["DueQueue"]) == ["at work"]


# --- Schedules and discovery ---------------------------------------------------------------------------


def scheduled(every: timedelta, handler: Callable[[Any, Any], Any]) -> ScheduledFunction:
    return ScheduledFunction(name="tick", handler=handler, timeout=60, every=every, expression="rate(…)")


def test_a_schedule_fires_again_and_again_but_never_twice_at_once() -> None:
    calls, release = Calls(), threading.Event()
    running: list[int] = []

    def handler(event: Any, _context: Any) -> None:
        running.append(1)
        calls.add([event["detail-type"]])
        if len(calls.batches) == 2:
            release.wait(5)  # stays at work over many turns
        assert len(running) == 1
        running.pop()

    scheduler = Scheduler([scheduled(timedelta(milliseconds=5), handler)], first_after=0)
    scheduler.start()
    calls.until(lambda: len(calls.batches) == 2)
    threading.Event().wait(0.1)
    assert len(calls.batches) == 2
    release.set()
    calls.until(lambda: len(calls.batches) >= 4)
    scheduler.stop()
    after = len(calls.batches)
    assert set(calls.items) == {"Scheduled Event"}
    threading.Event().wait(0.05)
    assert len(calls.batches) == after


def test_a_failing_schedule_keeps_its_turns() -> None:
    calls = Calls()

    def handler(_event: Any, _context: Any) -> None:
        calls.add(["tick"])
        raise RuntimeError("boom")

    scheduler = Scheduler([scheduled(timedelta(milliseconds=5), handler)], first_after=0)
    scheduler.start()
    calls.until(lambda: len(calls.batches) >= 3)
    scheduler.stop()


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(1 hour)", 3600), ("rate(2 days)", 172800)],
)
def test_rates(expression: str, seconds: int) -> None:
    assert rate(expression) == timedelta(seconds=seconds)


def test_a_cron_is_not_a_rate() -> None:
    assert rate("cron(0 * * * ? *)") is None


def test_functions_are_found_in_the_app_with_their_deployed_timeouts(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    functions = {"due_worker": {"lambda_timeout": 42}}
    stage = {"lambda_timeout": 7, "lambda_functions": functions}
    config.write_text(json.dumps({"stages": {"dev": stage}}), encoding="utf-8")
    found = {function.name: function for function in functions_of(make_app(), config)}
    due, project, tick = found["due_worker"], found["project_journal"], found["tick"]
    assert isinstance(due, QueueFunction)
    assert (due.queue, due.batch_size, due.timeout) == ("DueQueue", 10, 42)
    assert isinstance(project, StreamFunction)
    assert (project.table, project.timeout) == ("BillingTable", 7)
    assert isinstance(tick, ScheduledFunction)
    assert tick.every == timedelta(minutes=1)


def test_while_the_system_stops_no_invocation_has_time_left() -> None:
    context = Context("clock", 300)
    assert context.get_remaining_time_in_millis() > 0
    Context.stopping.set()
    try:
        assert context.get_remaining_time_in_millis() == 0
    finally:
        Context.stopping.clear()
