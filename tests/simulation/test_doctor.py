"""The doctor on installations that have been through everything: healed, they are well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.refund import RefundStatus
from chalicelib.domain.subscription import Subscription
from infra.ops.chart import Patient
from infra.ops.doctor import Report, examine
from infra.ops.processor import Received
from tests.simulation.invariants.published import refund_statuses
from tests.simulation.plan import draw
from tests.simulation.simulation import heal
from tests.simulation.tables import Tables
from tests.simulation.world import World

SEEDS = 30
CHUNK = 10


class Processor:
    """The simulated processor, as the doctor sees Stripe; without what was told while nobody listened for a month."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def received(self, since: datetime) -> Iterator[Received]:
        back: Counter[str] = Counter()
        for refund, status in refund_statuses(self._world):
            if status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED):
                back[refund.payment.reference] += refund.amount
        for payment in self._world.processor.charges():
            yield Received(
                reference=payment.reference, env=payment.request.env, invoice_id=payment.request.invoice_id,
                currency=payment.currency, amount=payment.amount, refunded=back[payment.reference],
            )  # fmt: skip


def lived(seed: int) -> Any:
    """A world as its plan leaves it, healed."""
    world = World(draw(seed), Tables())
    for step in world.plan.steps:
        world.perform(step)
    heal(world)
    return world


def examined(world: Any, lost: str = "-") -> list[Report]:
    ctx, store = world.ctx(), Forgetful(world.store, lost)

    def look() -> Patient:
        return Patient(
            env=LIVE, store=store, ops=world.ops, queues=ctx.queues, processor=Processor(world),
            now=world.clock, machine_now=ctx.machine_now, since=ctx.machine_now - timedelta(days=3_650),
        )  # fmt: skip

    return examine(look, lambda: None)


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_a_healed_installation_is_well(first: int) -> None:
    for seed in range(first, first + CHUNK):
        found = [
            (seed, each.name, finding.text) for each in examined(lived(seed)) for finding in each.findings
        ]
        assert found == []


def test_and_it_is_looked_at() -> None:
    """The same installation with an index that has lost one row, and one payment less at the processor."""
    world = lived(1)
    waiting = next(each for each in world.records(Subscription) if each.is_running and each.period)
    collected = {each.reference for invoice in world.records(Invoice) for each in invoice.payments}
    payment = [each for each in world.processor.charges() if each.reference in collected][-1]
    del world.processor.payments[payment.reference]
    found = {each.name: [finding.text for finding in each.findings] for each in examined(world, waiting.id)}
    assert [waiting.id in text for text in found["schedule"]] == [True]
    assert [payment.reference in text for text in found["processor"]] == [True]


class Forgetful:
    """A store whose index has lost the row of one record."""

    def __init__(self, store: Any, lost: str) -> None:
        self._store = store
        self._lost = lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def due(self, *asked: Any) -> list[Any]:
        return [row for row in self._store.due(*asked) if not self._lost.endswith(row.sk.partition("#")[2])]
