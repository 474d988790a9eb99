"""What schedulers, indexes and crowds do wrong, and that nobody is billed twice or forgotten for it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from time import sleep
from typing import Any

import pytest

from chalicelib.application.ports import DueRow
from chalicelib.domain.subscription import Status, Subscription
from tests.infra.job_world import Jobs
from tests.infra.test_jobs_work import LiveWorld, live
from tests.scenario.world import World, assert_books

SUBSCRIBERS = 12
STEP = timedelta(hours=3)


def two_months(world: LiveWorld, jobs: Jobs) -> None:
    """Machine time in steps, with one tick at each."""
    for _ in range(62 * 8):
        world.machine += STEP
        jobs.tick()
        assert jobs.work() == []


def bills(world: World, subscriptions: list[Subscription]) -> list[list[tuple[Any, int, str, int]]]:
    """Per subscription and period: what it cost, how it stands, how often it was charged."""
    return [
        [
            (
                invoice.period.start,
                invoice.total,
                invoice.status,
                len(world.parts.gateway.charges(invoice.id)),
            )
            for invoice in world.invoices(subscription)
        ]
        for subscription in subscriptions
    ]


@cache
def on_time() -> list[list[tuple[Any, int, str, int]]]:
    world, jobs, subscriptions = live(SUBSCRIBERS)
    two_months(world, jobs)
    found = bills(world, subscriptions)
    assert all(len(of) == 3 for of in found)
    assert {entry[2:] for of in found for entry in of} == {("paid", 1)}
    return found


class Disordered:
    """A queue that keeps some rows for later and gives the rest in any order."""

    def __init__(self, world: LiveWorld, chance: random.Random) -> None:
        self._world, self._chance, self._kept = world, chance, list[DueRow]()

    def shuffle(self) -> None:
        rows = self._world.parts.queues.due_rows
        rows.extend(self._kept)
        self._chance.shuffle(rows)
        cut = self._chance.randint(0, len(rows))
        self._kept, rows[:] = rows[:cut], rows[cut:]


@pytest.mark.parametrize("seed", range(2))
def test_ticks_twice_not_at_all_and_late_bill_the_same(seed: int) -> None:
    chance = random.Random(seed)
    world, jobs, subscriptions = live(SUBSCRIBERS)
    queue, skip = Disordered(world, chance), 0
    for _ in range(62 * 8):
        world.machine += STEP
        skip = skip - 1 if skip else chance.choice([0, 0, 2])
        for _ in range(0 if skip else chance.choice([1, 2, 3])):
            jobs.tick()
        queue.shuffle()
        assert jobs.work() == []
    for _ in range(3):
        jobs.tick()
        assert jobs.work() == []
    assert bills(world, subscriptions) == on_time()
    assert_books(world)


class Lagging:
    """A due index that leaves half its rows out and offers rows of the past again."""

    def __init__(self, store: Any, chance: random.Random) -> None:
        self._store, self._chance, self._past = store, chance, list[DueRow]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        rows = self._store.due(env, shard, until, limit)
        shown = [row for row in rows if self._chance.random() < 0.5]
        stale = self._chance.sample(self._past, min(2, len(self._past)))
        self._past.extend(rows)
        return [*shown, *stale]


@pytest.mark.parametrize("seed", range(2))
def test_an_index_that_omits_and_repeats_rows_skips_nobody_and_bills_nobody_twice(seed: int) -> None:
    world, jobs, subscriptions = live(SUBSCRIBERS)
    steady = world.parts.store
    world.parts.store = Lagging(steady, random.Random(seed))
    two_months(world, jobs)
    for _ in range(20):
        jobs.tick()
        assert jobs.work() == []
    world.parts.store = steady
    assert bills(world, subscriptions) == on_time()
    assert_books(world)


def side_by_side(rows: list[DueRow]) -> None:
    """Batches of ten such that a customer's two rows lie in neighbouring ones, which run at the same time."""
    rows.sort(key=lambda row: (row.pk, row.sk))
    tens = [rows[start : start + 20] for start in range(0, len(rows), 20)]
    rows[:] = [row for ten in tens for half in (ten[::2], ten[1::2]) for row in half]


def test_500_customers_at_once_have_gapless_numbers_of_their_own() -> None:
    world, jobs, _ = live()
    customers = [world.customer("pm_card_visa") for _ in range(500)]
    for customer in customers:
        for plan in ("starter", "pro"):
            world.subscribe(customer, plan, trial_days=0)
    world.machine += timedelta(days=31)
    jobs.tick()
    assert len(world.parts.queues.due_rows) == 1_000
    side_by_side(world.parts.queues.due_rows)
    world.parts.store.before_commit = lambda *_: sleep(0)  # others go first
    jobs.work(parallel=8)
    jobs.tick()
    jobs.work()
    numbers = Counter[str]()
    for customer in customers:
        invoices = world.invoices(customer)
        assert [invoice.sequence for invoice in invoices] == [1, 2, 3, 4]
        assert {invoice.status for invoice in invoices} == {"paid"}
        numbers.update(invoice.number for invoice in invoices)
    assert len(numbers) == 2_000
    assert set(numbers.values()) == {1}
    assert_books(world)


def test_two_customers_with_one_e_mail_address_stay_apart() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    same = "ada@example.com"
    ada, eve = world.customer("pm_card_visa", email=same), world.customer(email=same)
    assert ada != eve
    sub = world.subscribe(ada, "starter", trial_days=0)
    assert world.account(eve).payment_method is None
    assert world.account(eve).processor_customer is None
    assert world.invoices(eve) == []
    world.card(eve, "pm_card_chargeCustomerFail")
    assert world.account(ada).processor_customer != world.account(eve).processor_customer
    world.advance(days=31)
    assert world.reload(sub).status is Status.ACTIVE
    assert {charge.customer for charge in world.parts.gateway.charges()} == {
        world.account(ada).processor_customer
    }
