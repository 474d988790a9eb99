"""Dead letters go back through the queue they came from, and nothing is charged twice, however late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import composition
from chalicelib.adapters.sqs import SqsQueues
from chalicelib.application.feed import read_events
from chalicelib.application.ports import Letter, ProcessorNotice
from chalicelib.entrypoints.jobs import due
from infra.local.events import Context, queue_event
from infra.local.resources import create_queues, load_resources, of_type
from infra.ops import redrive
from infra.ops.__main__ import main, send_back
from infra.ops.target import NoTargetError, Target, deployed
from tests.infra.test_jobs_work import live

NOW = datetime.now(UTC)


@pytest.fixture
def sqs() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "sqs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        yield client, create_queues(client)


def options(queue: str = "", *, yes: bool = False) -> Any:
    class Options:
        pass

    given = Options()
    given.queue, given.yes = queue, yes  # type: ignore[attr-defined]
    return given


def target(sqs: Any, services: Any = None) -> Target:
    client, urls = sqs
    return Target(name="a test", again="STATE=x", services=services, sqs=client, queues=urls)


def sent_back(where: Target, queue: str = "", *, yes: bool = False) -> tuple[int, str]:
    said: list[str] = []
    status = send_back(where, options(queue, yes=yes), said.append)
    return status, "\n".join(said)


def waiting(sqs: Any, name: str) -> int:
    client, urls = sqs
    names = ["ApproximateNumberOfMessages"]
    answer = client.get_queue_attributes(QueueUrl=urls[name], AttributeNames=names)
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def received(sqs: Any, name: str) -> list[Any]:
    client, urls = sqs
    answer = client.receive_message(
        QueueUrl=urls[name], MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    found: list[Any] = answer.get("Messages", [])
    return found


def dead_queues(sqs: Any, correlation: str = "r-1") -> SqsQueues:
    """What would be sent to work goes to the dead letters at once."""
    client, urls = sqs
    return SqsQueues(
        client, due=urls["DueDeadLetterQueue"], notices=urls["WebhookDeadLetterQueue"],
        mail=urls["MailDeadLetterQueue"], clock=urls["ClockDeadLetterQueue"],
        correlation=(composition.CORRELATION_ATTRIBUTE, lambda: correlation),
    )  # fmt: skip


def test_a_letter_of_the_day_before_charges_nothing_a_second_time(sqs: Any) -> None:
    """The worker died after the processor had charged; the message died; 25 hours on its key is forgotten."""
    world, jobs, (subscription,) = live(1)
    gateway = world.parts.gateway
    world.machine += timedelta(days=31)
    jobs.tick()
    rows = list(world.parts.queues.due_rows)
    gateway.script(["lost_after_charge"])

    def dies(env: str, records: Any) -> None:
        if gateway.calls["charge"] > 1:
            raise SystemExit

    world.parts.store.before_commit = dies
    with pytest.raises(SystemExit):
        jobs.work()
    world.parts.store.before_commit = None
    (invoice,) = [each for each in world.invoices(subscription) if each.status == "open"]
    assert len(gateway.charges(invoice.id)) == 1
    dead_queues(sqs).due(rows)
    world.machine += timedelta(hours=25)
    gateway.expire_keys()
    status, said = sent_back(target(sqs), "due", yes=True)
    assert (status, "1 sent back to DueQueue, 0 stay" in said) == (0, True)
    messages = received(sqs, "DueQueue")
    with jobs.services():
        assert due.work_due(queue_event(messages, "arn"), Context("work_due", 60)) == {
            "batchItemFailures": []
        }
    jobs.tick()
    assert jobs.work() == []
    assert len(gateway.charges(invoice.id)) == 1
    assert [each.status for each in world.invoices(subscription)] == ["paid", "paid"]


def test_without_a_yes_nothing_moves(sqs: Any) -> None:
    queues = dead_queues(sqs)
    queues.notices([notice(number) for number in range(12)])
    for _ in range(2):
        status, said = sent_back(target(sqs))
        assert status == 0
        assert "webhook: 12 dead letters" in said
        assert "charge.refunded                12" in said
        assert "make redrive QUEUE=webhook STATE=x YES=1" in said
        assert "due: 0 dead letters" in said
    assert (waiting(sqs, "WebhookDeadLetterQueue"), waiting(sqs, "WebhookQueue")) == (12, 0)


def test_poison_stays_and_is_said(sqs: Any) -> None:
    client, urls = sqs
    dead_queues(sqs).mail([Letter(id="evt_1", env="live", customer_id="cus_1", template="receipt")])
    client.send_message(QueueUrl=urls["MailDeadLetterQueue"], MessageBody="{canary")
    client.send_message(QueueUrl=urls["MailDeadLetterQueue"], MessageBody='{"template": "canary"}')
    status, said = sent_back(target(sqs), "mail", yes=True)
    assert status == 1
    assert "not readable                    2" in said
    assert "1 sent back to MailQueue, 2 stay" in said
    assert "canary" not in said
    assert (waiting(sqs, "MailDeadLetterQueue"), waiting(sqs, "MailQueue")) == (2, 1)


def test_a_letter_keeps_what_it_follows_from(sqs: Any) -> None:
    dead_queues(sqs, "request-7").notices([notice(1)])
    sent_back(target(sqs), "webhook", yes=True)
    (message,) = received(sqs, "WebhookQueue")
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "request-7"


def test_it_ends_when_letters_come_faster_than_it_reads(sqs: Any) -> None:
    """Each answer brings a message again or a new one: at most so many are taken."""
    client, urls = sqs

    class Endless:
        calls = 0

        def receive_message(self, **asked: Any) -> Any:
            self.calls += 1
            client.send_message(QueueUrl=urls["DueDeadLetterQueue"], MessageBody=f"{self.calls}")
            return client.receive_message(**asked)

    endless = Endless()
    lane = redrive.LANES["due"]
    found = redrive.receive(endless, urls["DueDeadLetterQueue"], lane, now=NOW, most=25)
    assert len(found) == 25
    assert endless.calls == 25


def test_what_sqs_does_not_take_stays(sqs: Any) -> None:
    client, urls = sqs
    dead_queues(sqs).notices([notice(number) for number in range(3)])
    lane, dead = redrive.LANES["webhook"], urls["WebhookDeadLetterQueue"]
    letters = redrive.receive(client, dead, lane, now=NOW)

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def send_message_batch(self, QueueUrl: str, Entries: Any) -> Any:
            return client.send_message_batch(QueueUrl=QueueUrl, Entries=Entries[:2])

    assert redrive.move(Refusing(), letters, dead=dead, work=urls["WebhookQueue"]) == 2
    redrive.release(client, letters[2:], dead=dead)
    assert (waiting(sqs, "WebhookDeadLetterQueue"), waiting(sqs, "WebhookQueue")) == (1, 2)


def test_what_the_stream_set_aside_is_published_from_the_journal(sqs: Any) -> None:
    client, urls = sqs
    world, jobs, _ = live(2)
    client.send_message(QueueUrl=urls["StreamDeadLetterQueue"], MessageBody='{"DDBStreamBatchInfo": {}}')
    with jobs.services() as services:
        status, said = sent_back(target(sqs, services), "stream", yes=True)
    assert status == 0
    entries = len(world.journal())
    assert f"published {entries} journal entries that were missing" in said
    assert len(read_events(world.parts.ops, "live", limit=1000).events) >= entries
    assert waiting(sqs, "StreamDeadLetterQueue") == 0


def test_every_dead_letter_queue_has_its_lane() -> None:
    queues = of_type(load_resources(), "AWS::SQS::Queue")
    assert {lane.dead for lane in redrive.LANES.values()} == {name for name in queues if "DeadLetter" in name}
    for lane in redrive.LANES.values():
        if lane.work:
            policy = queues[lane.work]["RedrivePolicy"]
            assert policy["deadLetterTargetArn"] == {"Fn::GetAtt": [lane.dead, "Arn"]}


def test_a_queue_must_be_named_to_be_moved(sqs: Any) -> None:
    with pytest.raises(NoTargetError, match="QUEUE="):
        sent_back(target(sqs), yes=True)


def test_a_state_where_nothing_runs_is_one_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redrive", "--state", str(tmp_path)]) == 2
    (tmp_path / "env").write_text("export URL=http://127.0.0.1:9\n", encoding="utf-8")
    assert main(["doctor", "--state", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("make run STATE=" in line for line in lines)


def test_a_deployed_stage_is_found_by_its_stack() -> None:
    """Names come from the stack: nothing else knows how CloudFormation called the queues."""
    with mock_aws():
        session = boto3.Session("test", "test", region_name="us-east-1")
        resources = {
            name: body
            for name, body in load_resources().items()
            if body["Type"] in ("AWS::SQS::Queue", "AWS::DynamoDB::Table")
        }
        outputs = {"PublicUrl": {"Value": "https://billing.example.com"}}
        template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, "Outputs": outputs}
        stack = session.client("cloudformation")
        stack.create_stack(StackName="perennial-prod", TemplateBody=json.dumps(template))
        found = deployed("prod", session)
        settings = found.services.settings
        assert settings.public_url == "https://billing.example.com"
        assert settings.parameter_prefix == "/perennial/prod"
        tables = session.client("dynamodb").list_tables()["TableNames"]
        assert {settings.billing_table, settings.ops_table} <= set(tables)
        urls = session.client("sqs").list_queues()["QueueUrls"]
        assert sorted(found.queues.values()) == sorted(urls)
        assert settings.due_queue_url == found.queues["DueQueue"]
        with pytest.raises(NoTargetError, match="stage nowhere"):
            deployed("nowhere", session)


def notice(number: int) -> ProcessorNotice:
    return ProcessorNotice(
        id=f"evt_{number}", kind="charge.refunded", created=NOW, reference="pi_1", env="live"
    )
