"""The feed: every entry once, numbered without gaps, whatever the stream does; and books that equal the journal."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application import books, feed, metrics_report, metrics_rows
from chalicelib.application.ops import Write
from chalicelib.domain import ids, journal
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.journal import (
    CLOCK,
    Fact,
    FunnelKind,
    FunnelStep,
    JournalEntry,
    LedgerAccount,
    Movement,
    MovementKind,
    Posting,
)
from tests.conftest import ops_beside
from tests.infra.job_world import Jobs, stream_record
from tests.scenario.world import World

ENV = "sbx_feed"
START = datetime(2026, 1, 31, 23, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def ops(store):
    return ops_beside(store) if hasattr(store, "client") else MemoryOps()


def entry(number: int, *, facts: int = 1, day: int = 0) -> JournalEntry:
    customer = ids.customer_id("feed", str(number % 7))
    postings = (
        Posting(LedgerAccount.RECEIVABLE, number, "USD"),
        Posting(LedgerAccount.REVENUE, -number, "USD"),
    )
    movements = (Movement(MovementKind.NEW, "sub_1", number, "EUR", "why"),) if number % 3 == 0 else ()
    over = START + timedelta(days=day - 40)
    ended = FunnelStep(
        FunnelKind.TRIAL_ENDED, f"sub_{number}", "EUR", outcome="paid", count=1, trial_ended_at=over
    )
    return journal.entry(
        customer,
        at=START + timedelta(days=day),
        actor=CLOCK,
        cause=f"decision:{number}",
        facts=tuple(Fact(f"thing.{n}", f"subject-{number}", {"number": number}) for n in range(facts)),
        postings=postings,
        movements=movements,
        funnel=(ended,) if number % 5 == 0 else (),
    )


def everything(ops, env: str = ENV):
    events, page = [], feed.read_events(ops, env, limit=500)
    while page.more:
        events += page.events
        page = feed.read_events(ops, env, after=page.cursor, limit=500)
    return [*events, *page.events]


def assert_exactly_once(ops, entries):
    events = everything(ops)
    assert [event.cursor for event in events] == list(range(1, len(events) + 1))
    assert sorted(event.id for event in events) == sorted(
        feed.event_id(each.id, n) for each in entries for n in range(len(each.facts))
    )
    assert books.read_books(ops, ENV) == sums_of(entries)
    months = metrics_report.read_months(ops, ENV, until="9999-12")
    assert months == [
        metrics_report.MetricsMonth(name).folded(parts)
        for name, parts in metrics_report.by_month(entries).items()
    ]
    rows = [row for month in months for row in listed_in(ops, month.name)]
    assert sorted(row.entry_id for row in rows) == sorted(each.id for each in entries if each.movements)
    trials = [row for month in months for row in trials_in(ops, month.name)]
    assert sorted(row.subscription_id for row in trials) == sorted(
        step.subscription_id for each in entries for step in each.funnel
    )


def listed_in(ops, month):
    return metrics_rows.read_movements(ops, ENV, month, wanted=lambda row: True, limit=1000)[0]


def trials_in(ops, month):
    return metrics_rows.read_trials(ops, ENV, month, wanted=lambda row: True, limit=1000)[0]


def sums_of(entries):
    return [books.Month(name).folded(booked) for name, booked in books.by_month(entries).items()]


def test_the_order_of_arrival_numbered_from_one(ops):
    entries = [entry(n, facts=n % 3 + 1, day=-n) for n in range(1, 8)]
    assert feed.append(ops, ENV, entries[:3]) == 3
    assert feed.append(ops, ENV, entries[3:]) == 4
    assert_exactly_once(ops, entries)
    event = everything(ops)[1]
    assert (event.id, event.type, event.cursor) == (
        f"{entries[1].id}_0",
        "thing.0",
        2,
    ) or event.type == "thing.1"
    assert [e.subject for e in everything(ops)] == [
        f"subject-{n}" for n in range(1, 8) for _ in range(n % 3 + 1)
    ]


def test_a_batch_delivered_again_in_other_cuts_changes_nothing(ops):
    entries = [entry(n, facts=2, day=n) for n in range(60)]
    feed.append(ops, ENV, entries)
    before = everything(ops)
    assert feed.append(ops, ENV, entries) == 0
    assert feed.append(ops, ENV, entries[10:30]) == 0
    more = [entry(100), entry(100), entry(101)]
    assert feed.append(ops, ENV, [*entries[55:], *more]) == 2
    assert everything(ops)[: len(before)] == before
    assert_exactly_once(ops, [*entries, entry(100), entry(101)])


def test_entries_of_many_months_stay_within_a_transaction(ops, monkeypatch):
    """At most a hundred writes, whatever they add to; those of one month still share theirs."""
    transact, sizes = ops.transact, []

    def counted(writes):
        sizes.append(len(writes))
        return transact(writes)

    monkeypatch.setattr(ops, "transact", counted)
    apart = [entry(15 * n, day=31 * n) for n in range(24)]
    feed.append(ops, ENV, apart)
    assert (len(sizes), max(sizes) <= 100) == (2, True)
    together = [entry(3 + 15 * n, day=1) for n in range(1, 49)]
    feed.append(ops, ENV, together)
    assert sizes[2:] == [48 + 5]
    assert_exactly_once(ops, [*apart, *together])


def test_pages_by_cursor_meet_everything_once(ops):
    entries = [entry(n, facts=n % 3 + 1) for n in range(120)]
    for start in range(0, 120, 7):
        feed.append(ops, ENV, entries[start : start + 7])
    seen, cursor, more = [], 0, True
    while more:
        page = feed.read_events(ops, ENV, after=cursor, limit=11)
        seen += page.events
        cursor, more = page.cursor, page.more
    assert seen == everything(ops)
    assert feed.read_events(ops, ENV, after=cursor, limit=11) == feed.EventPage((), cursor, False)
    feed.append(ops, ENV, [entry(500)])
    assert [event.subject for event in feed.read_events(ops, ENV, after=cursor).events] == ["subject-500"]


def test_one_type_only():
    ops = MemoryOps()
    feed.append(ops, ENV, [entry(n, facts=2) for n in range(10)])
    page = feed.read_events(ops, ENV, limit=3, type_="thing.1")
    assert [event.cursor for event in page.events] == [2, 4, 6]
    assert page.more
    rest = feed.read_events(ops, ENV, after=page.cursor, limit=100, type_="thing.1")
    assert [event.cursor for event in rest.events] == [8, 10, 12, 14, 16, 18, 20]
    assert not rest.more
    assert feed.read_events(ops, ENV, limit=5, type_="no.such").events == ()


def test_a_search_for_a_rare_type_ends_and_goes_on(monkeypatch):
    ops = MemoryOps()
    for n in range(40):
        feed.append(ops, ENV, [entry(n)])
    feed.append(ops, ENV, [entry(99, facts=2)])
    monkeypatch.setattr(feed, "_MOST_CHUNKS", 16)
    page, rounds = feed.read_events(ops, ENV, type_="thing.1"), 1
    while page.more:
        assert page.events == ()
        page, rounds = feed.read_events(ops, ENV, after=page.cursor, type_="thing.1"), rounds + 1
    assert [event.subject for event in page.events] == ["subject-99"]
    assert rounds == 3


@pytest.mark.engine
def test_eight_projectors_and_a_reader_at_once(real_store):
    """Every projector gets overlapping, shuffled batches; the reader must never meet a gap or a late arrival."""
    race(ops_beside(real_store), count=150)


def test_eight_projectors_and_a_reader_at_once_in_memory():
    race(MemoryOps(), count=400)


def race(ops, *, count: int) -> None:
    entries = [entry(n, facts=n % 2 + 1, day=n % 60) for n in range(count)]
    dice = random.Random(7)
    batches = [entries[start : start + 9] for start in range(0, count, 6)] * 2
    dice.shuffle(batches)
    done, seen = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            page = feed.read_events(ops, ENV, after=len(seen), limit=50)
            assert [event.cursor for event in page.events] == [
                len(seen) + n + 1 for n in range(len(page.events))
            ]
            seen.extend(page.events)

    with ThreadPoolExecutor(9) as pool:
        reader = pool.submit(read)
        list(pool.map(lambda batch: until_through(ops, batch), batches))
        done.set()
        reader.result()
    assert_exactly_once(ops, entries)
    assert seen == everything(ops)[: len(seen)]


def until_through(ops, batch):
    """The stream delivers a failed batch again."""
    while True:
        try:
            return feed.append(ops, ENV, batch)
        except ConflictError:
            continue


def test_killed_at_every_step_and_delivered_again():
    """Whatever call the projector dies in, before it or after it, the next delivery makes it whole."""
    entries = [entry(n, facts=2, day=n) for n in range(5)]
    for step in range(8):
        for after in (False, True):
            ops = Fragile(step, after)
            with suppress(Killed):
                feed.append(ops, ENV, entries)
            ops.step = -1
            feed.append(ops, ENV, entries)
            assert_exactly_once(ops, entries)


class Fragile(MemoryOps):
    """Dies in its n-th call."""

    def __init__(self, step: int, after: bool) -> None:
        super().__init__()
        self.step, self.after, self.calls = step, after, 0

    def get_many(self, keys):
        return self._call(lambda: MemoryOps.get_many(self, keys))

    def transact(self, writes):
        return self._call(lambda: MemoryOps.transact(self, writes))

    def _call(self, act):
        fatal = self.calls == self.step
        self.calls += 1
        if fatal and not self.after:
            raise Killed
        answer = act()
        if fatal:
            raise Killed
        return answer


def test_success_is_two_calls():
    ops = Fragile(-1, False)
    feed.append(ops, ENV, [entry(n) for n in range(40)])
    assert ops.calls == 2


def test_long_entries_are_filed_in_several_documents():
    ops = MemoryOps()
    long = [
        journal.entry(
            ids.customer_id("x"),
            at=START,
            actor=CLOCK,
            cause=str(n),
            facts=(Fact("long", "s", {"x": "y" * 60_000}),),
        )
        for n in range(5)
    ]
    assert feed.append(ops, ENV, long) == 5
    assert len(ops.query(f"feed#{ENV}")) == 3
    assert [event.cursor for event in everything(ops)] == [1, 2, 3, 4, 5]


def test_transactions_are_all_or_nothing(ops):
    assert ops.transact([Write("p", "1", {"n": 1}), Write("p", "2", {"n": 2})])
    assert not ops.transact([Write("p", "3", {"n": 3}), Write("p", "2", {"n": 9})])
    assert ops.get("p", "3") is None
    assert not ops.transact([Write("p", "1", {"n": 9}, 2)])
    assert ops.transact([Write("p", "1", {"n": 4}, 1), Write("p", "3", {"n": 3})])
    assert [d and (d.data, d.version) for d in ops.get_many([("p", "3"), ("p", "9"), ("p", "1")])] == [
        ({"n": 3}, 1), None, ({"n": 4}, 2),
    ]  # fmt: skip


# Through the projector, with what really happens


def lived_through() -> tuple[World, Jobs]:
    world = World(start="2026-01-31")
    jobs = Jobs(world)
    good = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.subscribe(world.customer("pm_card_visa"), "pro", currency="EUR", interval="year", trial_days=0)
    bad = world.customer("pm_card_visa")
    world.subscribe(bad, "starter", trial_days=0)
    world.card(bad, "pm_card_insufficient_funds")
    jobs.project()
    world.advance(days=100)
    assert good
    return world, jobs


def test_the_feed_is_the_journal_and_the_books_its_sums():
    world, jobs = lived_through()
    jobs.project(again=3)
    events = everything(world.parts.ops, world.env)
    facts = [(entry.id, fact.type, fact.subject) for entry in world.journal() for fact in entry.facts]
    assert [(event.id.rpartition("_")[0], event.type, event.subject) for event in events] == facts
    stored = books.read_books(world.parts.ops, world.env)
    assert stored == books.recount(world.parts.store, world.env)
    for currency in ("USD", "EUR"):
        totals = {}
        for month in stored:
            for account, amount in month.ledger.get(currency, {}).items():
                totals[account] = totals.get(account, 0) + amount
        assert {account: amount for account, amount in totals.items() if amount} == world.ledger(currency)
    assert sum(sum(of.values()) for month in stored for of in month.mrr.values()) == world.mrr()


def test_rebuilding_finds_what_the_stream_lost():
    world, jobs = lived_through()
    lost = world.journal()[-6:-2]
    jobs.deliver([each for each in world.journal()[jobs.projected :] if each not in lost])
    ops = world.parts.ops
    there = {event.id.rpartition("_")[0] for event in everything(ops, world.env)}
    assert there == {each.id for each in world.journal() if each not in lost}
    assert books.read_books(ops, world.env) != books.recount(world.parts.store, world.env)
    feed.rebuild(world.parts.store, ops, world.env)
    assert books.read_books(ops, world.env) == books.recount(world.parts.store, world.env)
    events = everything(ops, world.env)
    assert sorted(event.id for event in events) == sorted(
        feed.event_id(each.id, n) for each in world.journal() for n in range(len(each.facts))
    )
    assert feed.rebuild(world.parts.store, ops, world.env) == 0


def test_an_entry_that_cannot_be_read_is_named_and_those_before_it_are_done():
    world = World(start="2026-01-31")
    jobs = Jobs(world)
    world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    entries = world.journal()
    records = [stream_record(world.env, each) for each in entries]
    records[2]["dynamodb"]["NewImage"].pop("doc")
    from chalicelib.entrypoints.jobs import projector
    from infra.local.events import Context, stream_event

    with jobs.services():
        answer = projector.project_journal(stream_event(records, "arn"), Context("project_journal", 60))
    assert answer == {"batchItemFailures": [{"itemIdentifier": records[2]["dynamodb"]["SequenceNumber"]}]}
    first = {event.id.rpartition("_")[0] for event in everything(world.parts.ops, world.env)}
    assert {entries[0].id, entries[1].id} == first


def test_only_new_journal_entries_count():
    world, jobs = lived_through()
    before = len(everything(world.parts.ops, world.env))
    record = stream_record(world.env, world.journal()[-1])
    account = stream_record(world.env, world.account(world.journal()[-1].customer_id))
    from chalicelib.entrypoints.jobs import projector
    from infra.local.events import Context, stream_event

    with jobs.services():
        projector.project_journal(
            stream_event([{**record, "eventName": "MODIFY"}, account], "arn"), Context("project_journal", 60)
        )
    assert len(everything(world.parts.ops, world.env)) == before
