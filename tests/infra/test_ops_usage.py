"""The doctor on usage: windows are what their events come to, and each planted fault is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.application.catalog import publish_catalog
from chalicelib.domain.meter import Reading
from chalicelib.domain.usage import Usage
from infra.ops.chart import Patient, charts
from infra.ops.usage import Totals
from tests.scenario.test_usage_invoices import CATALOG, bought, use
from tests.scenario.world import World


@pytest.fixture
def world() -> World:
    world = World(start="2024-02-01")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    sub = bought(world)
    for quantity in (5, 7, -2):
        use(world, sub, quantity)
    world.advance(days=33)
    use(world, sub, 3)
    use(world, sub, 4, ago=timedelta(days=10))
    return world


def findings(world: World) -> list[str]:
    parts: Any = world.parts
    patient = Patient(
        env=world.env,
        store=parts.store,
        ops=parts.ops,
        queues=parts.queues,
        processor=None,
        now=world.now,
        machine_now=world.machine,
        since=world.machine,
    )
    check, found = Totals(patient), []
    for chart in charts(patient, lambda customer, error: pytest.fail(f"{customer}: {error}")):
        found += [finding.text for finding in check.see(chart)]
    assert check.said().startswith("2 windows")
    return found


def test_windows_are_what_their_events_come_to(world: World) -> None:
    assert findings(world) == []


@pytest.mark.parametrize(
    ("events", "quantity"), [(1, 10), (-1, 0), (0, 1)], ids=["twice", "left out", "another quantity"]
)
def test_a_window_that_read_something_else_is_found(world: World, events: int, quantity: int) -> None:
    (usage,) = world.everything(Usage)
    first = usage.windows[0]
    read: Reading = first.reading
    wrong = replace(read, events=read.events + events, quantity=read.quantity + quantity)
    world.edit(usage, windows=(replace(first, reading=wrong), *usage.windows[1:]))
    (found,) = findings(world)
    assert usage.id in found
