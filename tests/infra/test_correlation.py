"""One id from a request through the queue to the worker's log, and no field in a log that is not on the list."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import composition
from chalicelib.adapters.sqs import SqsQueues
from chalicelib.application.ports import DueRow, ProcessorNotice
from chalicelib.domain.schedule import DueKind
from chalicelib.entrypoints.jobs import due, notices
from chalicelib.entrypoints.log import FIELDS, bind, bound, log_info, logger
from infra.local.events import Context, queue_event
from infra.local.resources import create_queues
from tests.infra.http_world import http_world
from tests.infra.job_world import failures
from tests.infra.test_jobs_work import a_month_on, live

STANDARD = {"level", "location", "message", "timestamp", "service"}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application's log as it is kept, line by line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger().registered_formatter)
    monkeypatch.setattr(logging.getLogger("perennial"), "handlers", [handler])
    logger().thread_safe_clear_keys()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger().thread_safe_clear_keys()


@pytest.fixture
def sqs() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "sqs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        yield client, create_queues(client)


def queues_of(client: Any, urls: dict[str, str]) -> SqsQueues:
    return SqsQueues(
        client, due=urls["DueQueue"], notices=urls["WebhookQueue"], mail=urls["MailQueue"], clock=urls["ClockQueue"],
        correlation=(composition.CORRELATION_ATTRIBUTE, composition.CORRELATION.get),
    )  # fmt: skip


def received(client: Any, url: str) -> dict[str, Any]:
    answer = client.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    return queue_event(answer["Messages"], "arn")


def test_from_a_ticks_invocation_to_the_workers_log(sqs: Any, lines: Any) -> None:
    client, urls = sqs
    world, jobs, subscriptions = live(2)
    broken = subscriptions[0]
    a_month_on(world)
    parts: Any = world.parts
    parts.queues = queues_of(client, urls)
    jobs.tick()
    cause = lines()[-1]["request_id"]

    def explode(env: str, records: Any) -> None:
        if any(getattr(record, "customer_id", "") == broken.customer_id for record in records):
            raise RuntimeError("a bug")

    parts.store.before_commit = explode
    event, context = received(client, urls["DueQueue"]), Context("work_due", 60)
    with jobs.services():
        answer = due.work_due(event, context)
    (failed,) = [line for line in lines() if line["message"] == "message failed"]
    assert failed["correlation_id"] == cause != failed["request_id"] == context.aws_request_id
    assert failed["message_id"] == answer["batchItemFailures"][0]["itemIdentifier"]
    assert (failed["env"], failed["kind"], failed["subject_id"]) == ("live", "renewal", broken.id)
    assert failed["function"] == "work_due"
    log_info("after")
    assert "message_id" not in lines()[-1]
    assert lines()[-1].get("subject_id") is None


def test_from_a_request_to_what_its_message_causes(sqs: Any, lines: Any) -> None:
    """The processor's webhook: what is queued carries the request's id, also to what cannot be applied."""
    client, urls = sqs
    with http_world() as world:
        services: Any = world.services
        services.queues = queues_of(client, urls)
        services.notice_of = lambda raw, signature: composition.read_message(ProcessorNotice, raw.decode())
        body = {"id": "evt_9", "kind": "payment_intent.succeeded", "created": "2026-11-20T12:00:00+00:00",
                "reference": "pi_9", "env": "sbx_nobody", "customer_id": "cus_9"}  # fmt: skip
        answer = world.call("POST", "/v1/webhooks/stripe", body)
        assert answer.status_code == 200, answer.body
        request = answer.headers["X-Request-Id"]
        context = Context("apply_notices", 60)
        notices.apply_notices(received(client, urls["WebhookQueue"]), context)
    by_message = {line["message"]: line for line in lines()}
    assert by_message["request"]["request_id"] == by_message["request"]["correlation_id"] == request
    failed = by_message["message failed"]
    assert (failed["correlation_id"], failed["event_id"]) == (request, "evt_9")
    assert failed["request_id"] == context.aws_request_id


def test_a_message_that_does_not_say_follows_from_its_invocation(lines: Any) -> None:
    world, jobs, _ = live(1)
    nobody = DueRow("live", world.now, DueKind.COLLECT, "live#nobody", "I#nothing")
    from chalicelib.adapters.codec import dumps, encode

    with jobs.services():
        assert failures(due.work_due, [dumps(encode(nobody))])
    failed = lines()[-1]
    assert failed["message"] == "message failed"
    assert failed["correlation_id"] == failed["request_id"]


def test_only_listed_fields_are_kept(lines: Any) -> None:
    with pytest.raises(ValueError, match="email"), bound(email="ada@example.com"):
        pass
    with pytest.raises(ValueError, match="email"):
        bind(email="ada@example.com")
    bind(request_id="r1")
    with bound(message_id="m1"):
        log_info("inside", kind="renewal")
    log_info("outside")
    inside, outside = lines()
    assert (inside["request_id"], inside["message_id"]) == ("r1", "m1")
    assert outside["request_id"] == "r1"
    assert "message_id" not in outside
    assert inside.keys() - STANDARD <= FIELDS
