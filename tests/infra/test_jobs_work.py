"""Tick and worker: whatever is queued however often, each subscription is billed once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from chalicelib.adapters.codec import dumps, encode
from chalicelib.application import sweep
from chalicelib.application.ports import DueRow
from chalicelib.application.records import environment_key
from chalicelib.domain.environment import LIVE
from chalicelib.domain.schedule import DueKind
from chalicelib.domain.subscription import Subscription
from chalicelib.entrypoints.jobs import due
from tests.infra.job_world import Jobs
from tests.scenario.world import Parts, World, assert_books


class LiveWorld(World):
    """A world in the live environment, whose time is the machine's."""

    @property
    def now(self):
        return self.machine


def live(subscribers: int = 0, parts: Parts | None = None) -> tuple[LiveWorld, Jobs, list[Subscription]]:
    given = {} if parts is None else {"parts": parts}
    world = LiveWorld(env=LIVE, start="2026-11-20T12:00:00+00:00", **given)
    world.edit(world.parts.store.get(environment_key(LIVE)), clock=None)
    return world, Jobs(world), [subscribed(world) for _ in range(subscribers)]


def subscribed(world: World) -> Subscription:
    return world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)


def a_month_on(world: LiveWorld) -> None:
    world.machine += timedelta(days=31)


def assert_billed_once(world, subscriptions) -> None:
    for subscription in subscriptions:
        first, second = world.invoices(subscription)
        assert [first.status, second.status] == ["paid", "paid"]
        assert first.period.end == second.period.start
        assert len(world.parts.gateway.charges(second.id)) == 1
        assert world.reload(subscription).cycle == 1
    assert_books(world)


def test_three_ticks_before_eight_workers_bill_each_subscription_once():
    world, jobs, subscriptions = live(25)
    a_month_on(world)
    for _ in range(3):
        jobs.tick()
    assert len(world.parts.queues.due_rows) == 75
    assert jobs.work(parallel=8) == []
    assert_billed_once(world, subscriptions)
    jobs.tick()
    assert world.parts.queues.due_rows == []


def test_a_tick_without_a_live_environment_does_nothing():
    world = World()
    jobs = Jobs(world)
    jobs.tick()
    assert world.parts.queues.due_rows == []


def test_a_poison_message_fails_alone():
    world, jobs, subscriptions = live(8)
    a_month_on(world)
    jobs.tick()
    rows = [dumps(encode(row)) for row in world.parts.queues.due_rows]
    stranger = DueRow(LIVE, world.now, DueKind.RENEWAL, "live#nobody", "0S#nothing")
    unknown = encode(stranger) | {"kind": "dance"}
    poison = ["{not json", json.dumps(unknown)]
    assert sorted(jobs.batch(due.work_due, [*rows[:4], *poison, *rows[4:]])) == sorted(poison)
    assert_billed_once(world, subscriptions)


def test_an_unexpected_error_fails_its_own_message_only():
    world, jobs, subscriptions = live(5)
    a_month_on(world)
    jobs.tick()
    broken = world.parts.queues.due_rows[2]

    def explode(env, records):
        if any(
            getattr(record, "customer_id", "").endswith(broken.pk.partition("#")[2]) for record in records
        ):
            raise RuntimeError("a bug")

    world.parts.store.before_commit = explode
    bodies = [dumps(encode(row)) for row in world.parts.queues.due_rows]
    assert jobs.work() == [bodies[2]]
    world.parts.store.before_commit = None
    assert jobs.batch(due.work_due, [bodies[2]]) == []
    assert_billed_once(world, subscriptions)


def test_an_outage_of_the_processor_costs_no_message_and_the_next_tick_brings_it_back():
    world, jobs, subscriptions = live(3)
    a_month_on(world)
    jobs.tick()
    world.parts.gateway.script(["unavailable"] * 3)
    assert jobs.work() == []
    assert len(world.parts.gateway.charges()) == 3
    jobs.tick()
    assert len(world.parts.queues.due_rows) == 3
    assert jobs.work() == []
    assert_billed_once(world, subscriptions)


def test_rows_of_one_customer_run_in_order_and_customers_in_parallel(monkeypatch):
    world, jobs, _ = live()
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(due, "perform", lambda ctx, row: seen.append((row.pk, row.sk)))
    rows = [DueRow(LIVE, world.now, DueKind.RENEWAL, f"live#c{n % 3}", f"0S#{n}") for n in range(9)]
    assert jobs.batch(due.work_due, [dumps(encode(row)) for row in rows]) == []
    for lane in range(3):
        assert [sk for pk, sk in seen if pk == f"live#c{lane}"] == [f"0S#{n}" for n in range(lane, 9, 3)]


def test_a_sandbox_works_at_its_own_clock():
    world = World(start="2026-01-31")
    jobs = Jobs(world)
    subscription = subscribed(world)
    environment = world.parts.store.get(environment_key(world.env))
    world.parts.store.commit(world.env, replace(environment, clock=environment.clock + timedelta(days=29)))
    jobs.reconcile()
    assert [row.kind for row in world.parts.queues.due_rows] == []  # it is not on the list of sandboxes yet
    world.parts.ops.create("environments", world.env, {"name": "world"})
    jobs.reconcile()
    assert [row.kind for row in world.parts.queues.due_rows] == ["renewal"]
    assert jobs.work() == []
    assert world.invoices(subscription)[1].issued_at == world.now


def test_the_queue_is_topped_up_to_its_bound_oldest_first(monkeypatch):
    world, jobs, _ = live(12)
    a_month_on(world)
    monkeypatch.setattr(sweep, "CAPACITY", 5)
    jobs.tick()
    ats = [row.at for row in world.parts.queues.due_rows]
    assert len(ats) <= 5
    assert ats == sorted(ats)
    jobs.tick()
    assert len(world.parts.queues.due_rows) <= 5
    for _ in range(12):
        jobs.work()
        jobs.tick()
    assert world.parts.queues.due_rows == []
    assert len(world.parts.gateway.charges()) == 24


def test_the_environment_of_a_message_must_exist():
    world, jobs, _ = live()
    row = DueRow("sbx_gone", world.now, DueKind.RENEWAL, "sbx_gone#x", "0S#y")
    body = dumps(encode(row))
    assert jobs.batch(due.work_due, [body]) == [body]
