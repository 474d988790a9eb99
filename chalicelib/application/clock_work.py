"""Running what falls due on the way of a sandbox's clock: in order per customer, side by side between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.application.context import Context
from chalicelib.application.ports import DueRow
from chalicelib.application.records import key_of
from chalicelib.application.work import perform
from chalicelib.domain.environment import shard_count
from chalicelib.domain.schedule import Due, next_due
from chalicelib.domain.subscription import Subscription

PAGE = 100
CHUNK = 32
"""How many jobs run between two saves: what a dead driver can leave uncounted, and how long a lease must last."""
TRIES = 3
WORKERS = 8

Perform = Callable[[Context, DueRow], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stuck:
    """Work that did not get done however often it was tried."""

    kind: str
    subject: str
    at: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """How far one process may carry an advance: `time_left` in seconds, `settle` waits for the index once."""

    time_left: Callable[[], float]
    machine_now: Callable[[], datetime]
    settle: Callable[[], None] = lambda: None
    perform: Perform = perform


class Run:
    """One process's part of an advance: chunks of what is due, and what would not be done.

    The due index may lag behind the writes of this very run: it shows rows that are done, and not yet those that
    take their place. So a row that was worked before, and a customer whose last job failed, wait until nothing
    else is due and the index has settled; and a customer that was worked is read consistently before its next job.
    """

    def __init__(self, ctx: Context, drive: Drive) -> None:
        self.stuck: dict[DueRow, Stuck] = {}
        self._ctx = ctx
        self._drive = drive
        self._is_settled = False
        self._tries: Counter[DueRow] = Counter()
        self._errors: dict[DueRow, str] = {}
        self._worked: set[str] = set()
        self._held: set[str] = set()

    def next_rows(self, until: datetime) -> list[DueRow]:
        """What to work next: at most CHUNK rows, oldest first, each another customer's earliest. [] at the end."""
        while True:
            rows = self._candidates(until)
            fresh = [row for row in rows if not self._tries[row] and row.pk not in self._held]
            if fresh or self._is_settled:
                return (fresh or rows)[:CHUNK]
            self._drive.settle()
            self._is_settled = True
            self._held.clear()
            self._worked.clear()

    def work_through(self, rows: Iterable[DueRow]) -> Counter[str]:
        """Do them side by side; the facts that were committed, by type."""
        counts: Counter[str] = Counter()
        with ThreadPoolExecutor(WORKERS) as pool:
            # Each thread works in a copy of this one's context: the time left to the invocation travels in it.
            working = [pool.submit(copy_context().run, self._work, row) for row in rows]
            for row, tally, error in [work.result() for work in working]:
                counts.update(tally)
                self._tries[row] += 1
                self._worked.add(row.pk)
                self._errors[row] = error or "it is still due after it was done"
                if error:
                    self._held.add(row.pk)
        self._is_settled = False
        return counts

    def _candidates(self, until: datetime) -> list[DueRow]:
        """The earliest row of each customer among the next PAGE due until then, oldest first.

        A row that is still there after TRIES runs is stuck and left out.
        """
        limit = PAGE + len(self.stuck)
        shards = range(shard_count(self._ctx.env))
        rows = [row for shard in shards for row in self._ctx.store.due(self._ctx.env, shard, until, limit)]
        earliest: dict[str, DueRow] = {}
        self.stuck = {}
        for row in sorted(rows, key=rank):
            if self._tries[row] >= TRIES:
                self.stuck[row] = self._given_up(row)
            else:
                earliest.setdefault(row.pk, row)
        return list(earliest.values())

    def _given_up(self, row: DueRow) -> Stuck:
        subject = f"{row.pk}/{row.sk}"
        return Stuck(kind=row.kind, subject=subject, at=row.at.isoformat(), error=self._errors[row])

    def _work(self, row: DueRow) -> tuple[DueRow, Counter[str], str]:
        """(the row that was worked, facts by type, what went wrong)."""
        tally: Counter[str] = Counter()
        try:
            row = self._earliest(row)
            machine_now = self._drive.machine_now()
            ctx = replace(self._ctx, now=row.at, machine_now=machine_now, tally=tally)
            self._drive.perform(ctx, row)
        except Exception as error:  # whatever it is, the other customers' work goes on; it ends in `stuck`
            return row, tally, f"{type(error).__name__}: {error}"
        return row, tally, ""

    def _earliest(self, row: DueRow) -> DueRow:
        """The row, or what the customer's subscriptions want before it and the index does not show yet."""
        if row.pk not in self._worked:
            return row
        env = self._ctx.env
        subscriptions = self._ctx.store.standing(env, f"cus_{row.pk.partition('#')[2]}").subscriptions
        rows = [due_row(env, each) for each in subscriptions]
        wanted = [each for each in rows if each is not None and self._tries[each] < TRIES]
        return min([row, *wanted], key=rank)


def due_row(env: str, record: Subscription) -> DueRow | None:
    """What the due index will show of the record."""
    due, key = next_due(record), key_of(env, record)
    return DueRow(env=env, at=due.at, kind=due.kind, pk=key.pk, sk=key.sk) if due else None


def rank(row: DueRow) -> tuple[tuple[datetime, int], str, str]:
    """By instant, then in the order in which kinds go at the same instant."""
    return Due(row.at, row.kind).rank, row.pk, row.sk
