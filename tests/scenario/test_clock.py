"""A sandbox's clock under trouble: drivers that die, meet or are overtaken, an index that lags, work that is stuck."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application import clock, clock_work
from chalicelib.application.clock import Advance, Drive, drive_advance, forsaken, get_advance, start_advance
from chalicelib.application.context import Context
from chalicelib.application.ports import DueRow
from chalicelib.application.work import perform
from chalicelib.domain.errors import ConflictError, NotFoundError, ValidationError
from chalicelib.domain.schedule import DueKind
from tests.scenario.world import ENV, Parts, World, assert_books

START = "2026-01-31T10:00:00+00:00"


class Killed(BaseException):
    """The process died here: nothing catches it on the way."""


def begin(world: World, days: int = 90, request: str = "") -> Advance:
    return start_advance(world.ctx(request), world.parts.ops, world.now + timedelta(days=days))


def drive(world: World, advance: Advance, **changes: Any) -> Advance:
    how = {"time_left": lambda: 60.0, "machine_now": lambda: world.machine} | changes
    return drive_advance(world.ctx(), world.parts.ops, advance.id, Drive(**how))


def read(world: World, advance: Advance) -> Advance:
    return get_advance(world.ctx(), world.parts.ops, advance.id)


def two_subscriptions(world: World) -> str:
    customer = world.customer("pm_card_visa")
    world.subscribe(customer, "starter", trial_days=0)
    world.subscribe(customer, "pro", trial_days=0, quantity=3)
    return customer


def assert_billed_once(world: World, customer: str, invoices: int) -> None:
    found = world.invoices(customer)
    assert len(found) == invoices
    assert {invoice.status for invoice in found} == {"paid"}
    charged = [charge.request.invoice_id for charge in world.parts.gateway.charges()]
    assert sorted(charged) == sorted(invoice.id for invoice in found)
    assert_books(world)


class TestDeath:
    def test_killed_at_any_write_and_succeeded_by_another(self) -> None:
        """Before and after every commit, and at every save of the advance itself."""
        survived = False
        for step in range(1, 100):
            world = World(start=START)
            customer = two_subscriptions(world)
            before = Counter(fact.type for entry in world.journal() for fact in entry.facts)
            advance = begin(world)
            trap = Trap(world, step)
            with suppress(Killed):
                drive(world, advance)
                survived = True
            trap.disarm()
            if not survived:
                assert drive(world, advance).status in (
                    "running",
                    "done",
                )  # the dead one's lease still stands
            world.machine += clock.LEASE + timedelta(seconds=1)
            done = drive(world, advance)
            assert done.status == "done"
            assert world.now == advance.to
            assert_billed_once(world, customer, 2 + 2 * 3)
            happened = Counter(fact.type for entry in world.journal() for fact in entry.facts) - before
            assert not Counter(done.counts) - happened, "counted more than happened"
            assert forsaken(world.parts.ops, world.machine) == []
            if survived:
                assert Counter(done.counts) == happened
                assert step > 20, "the trap caught too little: the test proves nothing"
                return
        raise AssertionError("never ran through")

    def test_what_a_dead_driver_had_saved_stays_counted_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock_work, "CHUNK", 1)
        world = World(start=START)
        customer = two_subscriptions(world)
        world.facts()
        advance = begin(world)
        jobs = iter(range(100))

        def fourth_dies(ctx: Context, row: DueRow) -> None:
            if next(jobs) == 3:
                raise Killed
            perform(ctx, row)

        with pytest.raises(Killed):
            drive(world, advance, perform=fourth_dies)
        assert read(world, advance).counts["subscription.renewed"] == 3
        world.machine += clock.LEASE + timedelta(seconds=1)
        assert forsaken(world.parts.ops, world.machine) == [(world.env, advance.id)]
        done = drive(world, advance)
        assert done.counts == dict(Counter(world.facts()))
        assert done.counts["subscription.renewed"] == 6
        assert_billed_once(world, customer, 8)

    def test_a_request_that_died_before_it_drove_is_found(self) -> None:
        world = World(start=START)
        advance = begin(world)
        assert forsaken(world.parts.ops, world.machine) == [(world.env, advance.id)]
        assert drive(world, advance).status == "done"
        assert forsaken(world.parts.ops, world.machine) == []

    def test_time_running_out_gives_the_lease_back_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock_work, "CHUNK", 1)
        world = World(start=START)
        customer = two_subscriptions(world)
        world.facts()
        advance = begin(world)
        for _ in range(20):
            left = iter([1.0, 0.0])
            reached = read(world, advance).reached
            after = drive(world, advance, time_left=lambda left=left: next(left))
            assert after.reached >= reached
            assert world.now == after.reached or after.status == "done"
        assert after.status == "done"
        assert after.counts == dict(Counter(world.facts()))
        assert_billed_once(world, customer, 8)


class TestTwoDrivers:
    def test_the_second_leaves_a_leased_advance_alone(self) -> None:
        world = World(start=START)
        customer = two_subscriptions(world)
        advance = begin(world)
        at_work, go_on = threading.Event(), threading.Event()

        def slowly(ctx: Context, row: DueRow) -> None:
            at_work.set()
            assert go_on.wait(10)
            perform(ctx, row)

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(drive, world, advance, perform=slowly)
            assert at_work.wait(10)
            assert drive(world, advance).status == "running"
            go_on.set()
            assert first.result().status == "done"
        assert_billed_once(world, customer, 8)

    def test_one_whose_lease_ran_out_under_it_is_overtaken_and_adds_nothing(self) -> None:
        world = World(start=START)
        customer = two_subscriptions(world)
        world.facts()
        advance = begin(world)
        at_work, go_on = threading.Event(), threading.Event()

        def stalled(ctx: Context, row: DueRow) -> None:
            at_work.set()
            assert go_on.wait(10)
            perform(ctx, row)

        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(drive, world, advance, perform=stalled)
            assert at_work.wait(10)
            world.machine += clock.LEASE + timedelta(seconds=1)
            done = drive(world, advance)
            go_on.set()
            assert slow.result() == done
        assert done.status == "done"
        assert read(world, advance) == done
        assert done.counts == dict(Counter(world.facts()))
        assert_billed_once(world, customer, 8)

    def test_four_at_once_without_any_lease(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Even where leases do nothing, every period is billed once: the records decide."""
        monkeypatch.setattr(clock, "LEASE", timedelta(seconds=-1))
        world = World(start=START)
        customers = [two_subscriptions(world) for _ in range(4)]
        advance = begin(world)
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                for drive_ in [pool.submit(drive, world, advance) for _ in range(4)]:
                    drive_.result()
        assert read(world, advance).status == "done"
        assert_books(world)
        for customer in customers:
            assert [invoice.status for invoice in world.invoices(customer)] == ["paid"] * 8
        assert len(world.parts.gateway.charges()) == 32


class TestBeginning:
    def test_one_at_a_time(self) -> None:
        world = World(start=START)
        first = begin(world)
        with pytest.raises(ConflictError) as refused:
            begin(world)
        assert refused.value.ids == {"advance": first.id}
        drive(world, first)
        assert begin(world).start == first.to

    def test_the_same_request_begins_once(self) -> None:
        world = World(start=START)
        first = begin(world, request="the-one")
        assert begin(world, request="the-one").id == first.id
        drive(world, first)
        assert begin(world, request="the-one").status == "done"

    def test_of_many_at_once_one_begins(self) -> None:
        world = World(start=START)
        contexts = [world.ctx() for _ in range(8)]
        barrier = threading.Barrier(8)

        def start(ctx: Context) -> Advance | None:
            barrier.wait()
            with suppress(ConflictError):
                return start_advance(ctx, world.parts.ops, world.now + timedelta(days=1))
            return None

        with ThreadPoolExecutor(8) as pool:
            begun = [each for each in pool.map(start, contexts) if each is not None]
        assert len(begun) == 1
        assert forsaken(world.parts.ops, world.machine) == [(world.env, begun[0].id)]

    def test_a_long_history_hides_no_running_one(self) -> None:
        world = World(start=START)
        for _ in range(120):
            drive(world, begin(world, days=0))
        running = begin(world)
        with pytest.raises(ConflictError):
            begin(world)
        assert [each.id for each in clock.unfinished(world.parts.ops, world.env)] == [running.id]

    def test_the_past_is_refused(self) -> None:
        world = World(start=START)
        with pytest.raises(ValidationError):
            begin(world, days=-1)
        assert clock.unfinished(world.parts.ops, world.env) == []

    @pytest.mark.parametrize("id_", ["adv_nothing", "x" * 3000, "cus_" + "0" * 26, "adv_" + "0" * 42])
    def test_no_such_advance(self, id_: str) -> None:
        world = World(start=START)
        with pytest.raises(NotFoundError):
            get_advance(world.ctx(), world.parts.ops, id_)


class TestOrder:
    def test_holds_per_customer_across_subscriptions(self) -> None:
        world = World(start="2026-01-01T00:00:00+00:00")
        customers = [world.customer("pm_card_visa") for _ in range(12)]
        for minute in range(5):
            for customer in customers:
                world.subscribe(customer, "starter", trial_days=0)
            world.advance(minutes=minute % 2)  # some begin at the same instant, some a minute later
        order, perform_ = recorded()
        done = drive(world, begin(world, days=100), perform=perform_)
        assert done.status == "done"
        assert len(order) == 12
        for rows in order.values():
            assert len(rows) == 5 * 3
            assert [row.at for row in rows] == sorted(row.at for row in rows)
        assert_books(world)

    @pytest.mark.parametrize("shows_done", [True, False])
    @pytest.mark.parametrize("faults", [[], ["unavailable"]])
    def test_holds_while_the_index_lags(self, shows_done: bool, faults: list[str]) -> None:
        """Until somebody waits for it, it shows what was due long ago: with what is done since, or without."""
        store = LaggingStore(shows_done)
        world = World(
            start="2026-01-01T00:00:00+00:00",
            parts=Parts(store, MemoryGateway(), MemoryQueues(), MemoryOps()),
        )
        customer = world.customer("pm_card_visa")
        world.subscribe(customer, "starter", trial_days=0)
        world.advance(days=20)
        world.subscribe(customer, "pro", trial_days=0, interval="year")
        world.advance(days=3)
        world.subscribe(customer, "starter", trial_days=0)
        store.lags = True
        store.settle()
        world.facts()
        world.parts.gateway.script(faults)
        order, perform_ = recorded()
        done = drive(world, begin(world, days=400), perform=perform_, settle=store.settle)
        assert done.status == "done"
        assert done.counts == dict(Counter(world.facts()))
        assert done.counts["subscription.renewed"] == 13 + 1 + 13
        (rows,) = order.values()
        assert [row.at for row in rows] == sorted(row.at for row in rows)
        assert rows[1].kind == ("collect" if faults else "renewal")
        assert_billed_once(world, customer, 3 + 27)

    def test_nothing_is_tried_again_before_the_index_has_settled(self) -> None:
        store = LaggingStore(shows_done=True)
        world = World(start=START, parts=Parts(store, MemoryGateway(), MemoryQueues(), MemoryOps()))
        two_subscriptions(world)
        store.lags = True
        world.parts.gateway.script(["unavailable"] * 3)
        seen: set[DueRow] = set()
        repeated: list[DueRow] = []

        def settle() -> None:
            seen.clear()
            store.settle()

        def once(ctx: Context, row: DueRow) -> None:
            repeated.extend({row} & seen)
            seen.add(row)
            perform(ctx, row)

        assert drive(world, begin(world), perform=once, settle=settle).status == "done"
        assert repeated == []

    def test_a_customer_whose_job_failed_waits_and_goes_on_where_it_was(self) -> None:
        world = World(start=START)
        customer = two_subscriptions(world)
        world.parts.gateway.script(["unavailable", "unavailable"])
        order, perform_ = recorded()
        done = drive(world, begin(world), perform=perform_)
        assert done.status == "done"
        (rows,) = order.values()
        assert [row.at for row in rows] == sorted(row.at for row in rows)
        assert "collect" in {row.kind for row in rows}
        assert_billed_once(world, customer, 8)

    def test_at_the_same_instant_money_in_the_air_comes_before_the_next_renewal(self) -> None:
        at = datetime.fromisoformat(START)
        rows = [DueRow("e", at, kind, "p", kind) for kind in reversed(DueKind)]
        assert [row.kind for row in sorted(rows, key=clock_work.rank)] == list(DueKind)


class TestStuck:
    def test_work_that_fails_every_time_is_listed_and_stops_nobody_else(self) -> None:
        world = World(start=START)
        unlucky, lucky = two_subscriptions(world), two_subscriptions(world)
        token = unlucky.partition("_")[2]
        tries: Counter[DueRow] = Counter()

        def poisoned(ctx: Context, row: DueRow) -> None:
            if token in row.pk:
                tries[row] += 1
                raise RuntimeError("poison")
            perform(ctx, row)

        ended = drive(world, begin(world), perform=poisoned)
        assert ended.status == "stuck"
        assert world.now == ended.to
        assert [(stuck.kind, stuck.error) for stuck in ended.stuck] == [
            ("renewal", "RuntimeError: poison")
        ] * 2
        assert set(tries.values()) == {clock_work.TRIES}
        assert len(world.invoices(lucky)) == 8
        assert len(world.invoices(unlucky)) == 2
        done = drive(world, begin(world, days=0))
        assert done.status == "done"
        assert_books(world)
        assert {invoice.status for invoice in world.invoices(unlucky)} == {"paid"}
        assert len(world.invoices(unlucky)) == 8

    def test_more_stuck_rows_than_a_page_hide_nothing_behind_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clock_work, "PAGE", 2)
        world = World(start=START)
        customers = [two_subscriptions(world) for _ in range(4)]
        lucky = customers[-1].partition("_")[2]

        def poisoned(ctx: Context, row: DueRow) -> None:
            if lucky not in row.pk:
                raise RuntimeError("poison")
            perform(ctx, row)

        ended = drive(world, begin(world), perform=poisoned)
        assert len(ended.stuck) == 6
        assert len(world.invoices(customers[-1])) == 8


class Trap:
    """Dies at the given boundary: before or after a commit, before or after a save of the advance."""

    def __init__(self, world: World, dies_at: int) -> None:
        self._passed, self._dies_at = 0, dies_at
        self._lock = threading.Lock()
        world.parts.store.before_commit = lambda env, records: self.boundary()
        world.parts.store.after_commit = lambda env, records: self.boundary()
        world.parts.ops = _WatchedOps(world.parts.ops, self)

    def disarm(self) -> None:
        self._dies_at = 0

    def boundary(self) -> None:
        with self._lock:
            self._passed += 1
            if self._passed == self._dies_at:
                raise Killed


class _WatchedOps:
    def __init__(self, ops: MemoryOps, trap: Trap) -> None:
        self._ops, self._trap = ops, trap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ops, name)
        if name not in ("replace", "delete"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._trap.boundary()
            answer = found(*args, **kwargs)
            self._trap.boundary()
            return answer

        return call


class LaggingStore(MemoryStore):
    """Its due index stands still between settlements; `shows_done`: what left it meanwhile is still seen."""

    def __init__(self, shows_done: bool) -> None:
        super().__init__()
        self.lags = False
        self._shows_done = shows_done
        self._seen: list[DueRow] = []

    def settle(self) -> None:
        self._seen = self._real()

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        if not self.lags:
            return super().due(env, shard, until, limit)
        real = self._seen if self._shows_done else set(self._real())
        return [row for row in self._seen if row.at <= until and row in real][:limit]

    def _real(self) -> list[DueRow]:
        return super().due(ENV, 0, datetime.fromisoformat("2100-01-01T00:00:00+00:00"), 1000)


def recorded() -> tuple[dict[str, list[DueRow]], Callable[[Context, DueRow], None]]:
    """The rows that did something or failed, per customer, in the order in which they were worked."""
    order: dict[str, list[DueRow]] = defaultdict(list)

    def record(ctx: Context, row: DueRow) -> None:
        tally = ctx.tally
        assert tally is not None
        try:
            perform(ctx, row)
        finally:
            if tally:
                order[row.pk].append(row)

    return order, record
