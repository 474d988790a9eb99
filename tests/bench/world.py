"""The whole system as a bench: the emulator and the processor's stand-in in processes of their own, the
application's real adapters in this one, the live environment, and a clock that the bench moves.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chalicelib import composition
from chalicelib.application import payment_methods, subscriptions
from chalicelib.application.catalog import publish_default
from chalicelib.application.context import Context
from chalicelib.application.environments import Opened, open_environment
from chalicelib.application.ports import DueRow
from chalicelib.application.records import key_of
from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.environment import LIVE
from chalicelib.domain.journal import Actor, ActorKind
from chalicelib.domain.ordering import Order
from chalicelib.domain.schedule import DueKind, next_due
from chalicelib.domain.subscription import Subscription
from infra.local import events, resources
from infra.local.engine import start_child, start_emulator, wait_until_up
from infra.local.ports import free_ports

DECLINED = "4000000000000341"
_ACTOR = Actor(ActorKind.API, "key_bench")


@dataclass
class Bench:
    """One system. `services` are the application's own; `now` is machine and business time alike."""

    endpoint: str
    stripe: str
    services: composition.Services
    clock: list[datetime]
    live: Opened
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def now(self) -> datetime:
        return self.clock[0]

    def a_month_on(self) -> None:
        self.clock[0] += timedelta(days=32)

    def name(self) -> str:
        """One that nothing else here has."""
        return f"bench-{next(self._names)}"

    def ctx(self) -> Context:
        return Context(
            env=LIVE, now=self.now, machine_now=self.now, services=self.services, actor=_ACTOR,
            request_key=self.name(), request_print="print",
        )  # fmt: skip

    def customer(self) -> str:
        customer_id = ids.customer_id(LIVE, self.name())
        profile = Customer(
            id=customer_id, created_at=self.now, email="ada.lovelace@example.com", name="Ada Lovelace"
        )
        self.services.store.commit(LIVE, profile, Account(customer_id=customer_id))
        payment_methods.attach(self.ctx(), customer_id, "pm_card_visa")
        return customer_id

    def subscribe(self, customer_id: str) -> Subscription:
        """Three seats of Pro by the month, paid: its renewal has one line."""
        order = Order(plan="pro", currency="USD", interval=Interval.of("month"), quantity=3, trial_days=0)
        return subscriptions.create_subscription(self.ctx(), customer_id, order)

    def subscribers(self, number: int) -> list[Subscription]:
        """One who bought, and copies of them."""
        from tests.bench.crowd import copies

        original = self.subscribe(self.customer())
        return [original, *copies(self, original, number - 1)]

    def due_row(self, subscription: Subscription) -> DueRow:
        due = next_due(subscription)
        assert due is not None
        key = key_of(LIVE, subscription)
        return DueRow(LIVE, due.at, DueKind(due.kind), key.pk, key.sk)

    @property
    def sqs_of_application(self) -> Any:
        queues: Any = self.services.queues
        return queues._client

    def sqs(self) -> Any:
        """A client of the kind that Lambda's poller is: not the application's."""
        return resources.client("sqs", self.endpoint)


@contextmanager
def bench_world() -> Iterator[Bench]:
    """A system that lives as long as this block. It points this process's AWS settings at itself."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder, patch.dict(os.environ):
        state, port = Path(folder), free_ports(2)
        endpoint, stripe = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
        secrets = resources.LocalSecrets.generate()
        emulator = start_emulator(state, port)
        try:
            standin = start_child(
                "standin", "infra.local.stripe_standin", "--port", str(port + 1), "--secret-key",
                secrets.stripe_secret_key, log_folder=state,
            )  # fmt: skip
            try:
                wait_until_up([(emulator, f"{endpoint}/_ministack/health"), (standin, stripe)])
                yield from _bound(endpoint, stripe, secrets)
            finally:
                standin.stop()
        finally:
            emulator.stop()


def _bound(endpoint: str, stripe: str, secrets: resources.LocalSecrets) -> Iterator[Bench]:
    from chalicelib.settings import settings

    os.environ.update(resources.aws_environment(endpoint))
    os.environ.update(
        resources.create_resources(
            endpoint, public_url="http://127.0.0.1:8787", stripe_api_base=stripe, secrets=secrets
        )
    )
    settings.cache_clear()
    clock = [datetime.now(UTC).replace(microsecond=0)]
    services = composition.Services(machine_now=lambda: clock[0])
    with composition.use(services):
        live = open_environment(
            services.store, services.keys, name="Live", request_key="live", machine_now=clock[0], live=True
        )
        publish_default(Context(env=LIVE, now=clock[0], machine_now=clock[0], services=services))
        try:
            yield Bench(endpoint, stripe, services, clock, live)
        finally:
            settings.cache_clear()


@contextmanager
def stripe_calls() -> Iterator[list[tuple[str, str]]]:
    """(method, path) of every HTTP request to the processor in the block."""
    from chalicelib.adapters.stripe.transport import Transport

    made: list[tuple[str, str]] = []
    send = Transport.send

    def counted(self: Transport, method: str, url: str, *rest: Any, **more: Any) -> Any:
        made.append((method, "/" + url.split("/", 3)[3]))
        return send(self, method, url, *rest, **more)

    with patch.object(Transport, "send", counted):
        yield made


@contextmanager
def counted(*clients: Any) -> Iterator[Counter[str]]:
    """Requests by operation that go through these botocore clients in the block."""
    made: Counter[str] = Counter()

    def after(model: Any, **_: Any) -> None:
        made[model.name] += 1

    for client in clients:
        client.meta.events.register("after-call", after)
    try:
        yield made
    finally:
        for client in clients:
            client.meta.events.unregister("after-call", after)


def invoke(handler: Callable[[Any, Any], Any], event: Any) -> Any:
    """One invocation of a function, with a minute of its own: the time left to it ends with it."""
    return copy_context().run(handler, event, events.Context("bench", 60))


def message_event(bodies: list[str]) -> dict[str, Any]:
    """A batch as Lambda hands it to a queue's function."""
    messages = [
        {"MessageId": f"m{number}", "ReceiptHandle": "r", "Body": body, "MD5OfBody": "", "Attributes": {}}
        for number, body in enumerate(bodies)
    ]
    return events.queue_event(messages, "arn:aws:sqs:us-east-1:000000000000:DueQueue")
