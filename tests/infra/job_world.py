"""The jobs over memory adapters: a world of customers, and Lambda's events for what is on its queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chalicelib import composition
from chalicelib.adapters.codec import dumps, encode
from chalicelib.adapters.dynamo.items import item_of
from chalicelib.adapters.dynamo.usage import parameters_of
from chalicelib.adapters.mail.render import render
from chalicelib.adapters.memory.fakes import MemoryMailer
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.meter import UsageEvent
from chalicelib.entrypoints.jobs import advance, due, mailer, notices, projector, reconciler, tick
from chalicelib.settings import Settings
from infra.local.events import Context, queue_event, schedule_event, stream_event
from tests.scenario.world import World

_message = count(1)


@dataclass
class Jobs:
    """Runs the real handlers, by the events that AWS would send, over the world's ports."""

    world: World
    mailer: Any = field(default_factory=MemoryMailer)
    projected: int = 0

    @contextmanager
    def services(self):
        parts = self.world.parts
        bound = composition.Services(
            store=parts.store, ops=parts.ops, gateway=parts.gateway, queues=parts.queues, catalogs=parts.catalogs,
            mailer=self.mailer, render=render, public_url=parts.public_url, pepper=parts.pepper,
            machine_now=lambda: self.world.machine, settings=Settings(index_settle_seconds=0),
        )  # fmt: skip
        with composition.use(bound):
            yield bound

    def tick(self) -> None:
        with self.services():
            tick.tick(schedule_event("tick"), Context("tick", 60))

    def reconcile(self) -> None:
        with self.services():
            reconciler.reconcile(schedule_event("reconcile"), Context("reconcile", 900))

    def work(self, *, parallel: int = 1) -> list[str]:
        """All that is on the due queue, in batches of ten; answers what failed."""
        return self._drain(due.work_due, self.world.parts.queues.due_rows, parallel)

    def apply_notices(self, given: Iterable[Any] | None = None) -> list[str]:
        rows = self.world.parts.queues.processor_notices if given is None else list(given)
        return self._drain(notices.apply_notices, rows)

    def mail(self) -> list[str]:
        return self._drain(mailer.send_mail, self.world.parts.queues.letters)

    def drive(self) -> list[str]:
        bodies = [
            dumps({"env": env, "advance_id": advance_id})
            for env, advance_id in self.world.parts.queues.advances
        ]
        self.world.parts.queues.advances.clear()
        return [failed for body in bodies for failed in self.batch(advance.advance_clock, [body])]

    def project(self, *, again: int = 0) -> None:
        """The journal since the last call (and `again` entries before it) through the projector."""
        entries = self.world.journal()
        fresh = entries[max(0, self.projected - again) :]
        self.projected = len(entries)
        self.deliver(fresh)

    def deliver(self, entries: Iterable[JournalEntry]) -> Any:
        records = [stream_record(self.world.env, entry) for entry in entries]
        with self.services():
            return projector.project_journal(stream_event(records, "arn"), Context("project_journal", 60))

    def batch(self, handler: Callable[..., Any], bodies: list[str]) -> list[str]:
        with self.services():
            return failures(handler, bodies)

    def _drain(self, handler: Callable[..., Any], waiting: list[Any], parallel: int = 1) -> list[str]:
        bodies = [dumps(encode(each)) for each in waiting]
        waiting.clear()
        batches = [bodies[start : start + 10] for start in range(0, len(bodies), 10)]
        with self.services(), ThreadPoolExecutor(parallel) as pool:
            return [
                failed
                for each in pool.map(lambda batch: failures(handler, batch), batches)
                for failed in each
            ]


def failures(handler: Callable[..., Any], bodies: list[str]) -> list[str]:
    """The bodies of the messages that a handler reports as failed."""
    messages = [
        {
            "MessageId": f"m{next(_message)}",
            "ReceiptHandle": "r",
            "Body": body,
            "MD5OfBody": "",
            "Attributes": {},
        }
        for body in bodies
    ]
    answer = handler(queue_event(messages, "arn"), Context("job", 60))
    failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
    return [str(message["Body"]) for message in messages if message["MessageId"] in failed]


def usage_record(env: str, event: UsageEvent, number: int) -> dict[str, Any]:
    """What the usage table's stream says of an event just inserted, the `number`th on it."""
    pk, sk, doc = parameters_of(env, event)
    return {
        "eventID": str(number),
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": {"pk": pk, "sk": sk},
            "NewImage": {"pk": pk, "sk": sk, "doc": doc},
            "SequenceNumber": str(number),
        },
    }


def stream_record(env: str, record: Any) -> dict[str, Any]:
    """What the table's stream says of a record just written."""
    number = next(_message)
    image = item_of(env, record, "mark")
    return {
        "eventID": str(number),
        "eventName": "INSERT",
        "dynamodb": {
            "Keys": {"pk": image["pk"], "sk": image["sk"]},
            "NewImage": image,
            "SequenceNumber": f"{number:021d}",
        },
    }
