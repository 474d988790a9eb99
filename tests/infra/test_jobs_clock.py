"""A clock advance that outlives its request: carried on by the job, woken by the tick, finished once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.adapters.codec import dumps
from chalicelib.application import clock
from chalicelib.application.clock import Drive, drive_advance, start_advance
from chalicelib.application.records import environment_key
from chalicelib.domain.invoice import Invoice
from chalicelib.entrypoints.jobs import advance
from tests.infra.job_world import Jobs
from tests.scenario.world import World, assert_books


@pytest.fixture
def world():
    made = World(start="2026-01-31")
    made.subscribe(made.customer("pm_card_visa"), "pro", trial_days=0)
    made.facts()
    return made


@pytest.fixture
def jobs(world):
    return Jobs(world)


def begun(world, *, passes: int = 0):
    """An advance of a year whose first driver had time for so many passes."""
    ctx = world.ctx()
    found = start_advance(ctx, world.parts.ops, world.now + timedelta(days=365))
    left = iter([1.0] * passes + [0.0] * 10)
    if passes:
        drive_advance(
            ctx,
            world.parts.ops,
            found.id,
            Drive(time_left=lambda: next(left), machine_now=lambda: world.machine),
        )
    return found


def state(world, found):
    return clock.get_advance(world.ctx(), world.parts.ops, found.id)


def test_the_tick_wakes_what_was_left_and_the_job_finishes_it(world, jobs):
    found = begun(world, passes=3)
    assert state(world, found).status == "running"
    jobs.tick()
    assert world.parts.queues.advances == [(world.env, found.id)]
    assert jobs.drive() == []
    assert state(world, found).status == "done"
    assert len(world.parts.store.records(Invoice)) == 13
    assert len(world.parts.gateway.charges()) == 13
    jobs.tick()
    assert world.parts.queues.advances == []
    assert world.parts.ops.query("advances#running") == []
    assert_books(world)


def test_an_advance_under_a_lease_is_left_alone_until_it_runs_out(world, jobs):
    found = begun(world)
    document = world.parts.ops.get(f"advance#{world.env}", found.id)
    lease = (world.machine + clock.LEASE).isoformat()
    world.parts.ops.replace(document, {**document.data, "lease": lease})
    jobs.tick()
    assert world.parts.queues.advances == []
    world.machine += clock.LEASE + timedelta(seconds=1)
    jobs.tick()
    assert world.parts.queues.advances == [(world.env, found.id)]


def test_waking_it_twice_bills_once(world, jobs):
    found = begun(world)
    jobs.tick()
    jobs.tick()
    assert len(world.parts.queues.advances) == 2
    assert jobs.drive() == []
    assert state(world, found).status == "done"
    assert len(world.parts.gateway.charges()) == 13


def test_the_job_stops_in_time_and_sends_nothing_to_its_own_queue(world, jobs, monkeypatch):
    found = begun(world)
    monkeypatch.setattr(advance, "MARGIN", 60.0)
    body = dumps({"env": world.env, "advance_id": found.id})
    assert jobs.batch(advance.advance_clock, [body]) == []
    assert state(world, found).status == "running"
    assert world.parts.queues.advances == []
    jobs.tick()
    assert world.parts.queues.advances == [(world.env, found.id)]


def test_what_is_no_advance_fails(world, jobs):
    bodies = [
        dumps({"env": world.env, "advance_id": "adv_none"}),
        dumps({"env": "sbx_gone", "advance_id": "x"}),
        "[]",
    ]
    for body in bodies:
        assert jobs.batch(advance.advance_clock, [body]) == [body]


def test_left_over_work_waits_while_an_advance_runs(world, jobs):
    world.parts.ops.create("environments", world.env, {"name": "world"})
    begun(world, passes=1)
    environment = world.parts.store.get(environment_key(world.env))
    world.edit(environment, clock=environment.clock + timedelta(days=40))
    jobs.reconcile()
    assert world.parts.queues.due_rows == []
    jobs.tick()
    jobs.drive()
    world.edit(world.parts.store.get(environment_key(world.env)), clock=world.now + timedelta(days=40))
    jobs.reconcile()
    assert [row.kind for row in world.parts.queues.due_rows] == ["renewal"]
