"""A sandbox's clock: moved on request, running on the way everything that falls due, in order per customer.

An advance is a document in the operations table, so any process can carry it on: whoever holds its lease runs
passes until nothing is due any more, each job at the business time at which it was due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.application.context import Context, deciding
from chalicelib.application.ops import Document, Ops
from chalicelib.application.ports import DueRow
from chalicelib.application.records import environment_key
from chalicelib.application.work import perform
from chalicelib.domain import ids
from chalicelib.domain.environment import Environment, advanced, shard_count
from chalicelib.domain.errors import ConflictError, NotFoundError

LEASE = timedelta(seconds=60)
PAGE = 100
TRIES = 3
WORKERS = 8
_RUNNING = "advances#running"
"""One mark per advance that is not finished, for whoever wakes them."""

Perform = Callable[[Context, DueRow], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stuck:
    """Work that did not get done however often it was tried."""

    kind: str
    subject: str
    at: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance:
    """`status`: running, done or stuck. `reached` is how far the clock has come, `counts` facts by type."""

    id: str
    start: datetime
    to: datetime
    reached: datetime
    status: str = "running"
    jobs: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    stuck: tuple[Stuck, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """How far one process may carry an advance: `time_left` in seconds, `settle` waits for the index once."""

    time_left: Callable[[], float]
    machine_now: Callable[[], datetime]
    settle: Callable[[], None] = lambda: None
    perform: Perform = perform


def start_advance(ctx: Context, ops: Ops, to: datetime) -> Advance:
    """Write down that the clock is to be moved. The past is refused, and a second advance while one runs.

    Safe to run twice: the id derives from the request, and what is there is answered.
    """
    environment = _environment(ctx)
    advance_id = ids.child_id("adv", ids.customer_id(ctx.env), ctx.request_key)
    existing = ops.get(_pk(ctx.env), advance_id)
    if existing is not None:
        return _read(existing)
    advanced(environment, to)
    assert environment.clock is not None
    running = _running(ops, ctx.env)
    if running is not None:
        raise ConflictError(
            "the clock is being advanced already", fix="wait for it to finish", advance=running.id
        )
    advance = Advance(id=advance_id, start=environment.clock, to=to, reached=environment.clock)
    ops.put(_RUNNING, f"{ctx.env}#{advance_id}", {})
    ops.create(_pk(ctx.env), advance_id, _written(advance, lease=None))
    return advance


def get_advance(ctx: Context, ops: Ops, advance_id: str) -> Advance:
    document = ops.get(_pk(ctx.env), advance_id)
    if document is None:
        raise NotFoundError("no such clock advance", id=advance_id)
    return _read(document)


def unfinished(ops: Ops, env: str) -> list[Advance]:
    """The advances of an environment that still want driving (at most one, save for races)."""
    documents = ops.query(_pk(env), limit=100, newest_first=True)
    return [advance for advance in map(_read, documents) if advance.status == "running"]


def forsaken(ops: Ops, machine_now: datetime) -> list[tuple[str, str]]:
    """(environment, id) of up to a hundred running advances that nobody drives: their driver had no more time,
    or died and its lease ran out.
    """
    found = []
    for mark in ops.query(_RUNNING, limit=100):
        env, _, advance_id = mark.sk.partition("#")
        document = ops.get(_pk(env), advance_id)
        if document is not None and _read(document).status != "running":
            ops.delete(_RUNNING, mark.sk)
        elif document is not None and not _is_leased(document, machine_now):
            found.append((env, advance_id))
    return found


def drive_advance(ctx: Context, ops: Ops, advance_id: str, drive: Drive) -> Advance:
    """Carry the advance on until it is quiet or the time is up; answers how it stands.

    Safe to run twice and at once: a lease (machine time) lets one process drive, every job may be repeated, and
    the clock only moves forward. A driver that dies is succeeded when its lease runs out.
    """
    document = _take_lease(ops, ctx.env, advance_id, drive)
    if document is None:
        return get_advance(ctx, ops, advance_id)
    advance, run = _read(document), _Run(ctx, drive)
    settled = False
    while advance.status == "running" and drive.time_left() > 0:
        rows = run.candidates(advance.to)
        if not rows and not settled:
            drive.settle()  # an index row may lag behind the write that made it
            settled = True
            continue
        settled = False
        if rows:
            _move_clock(ctx, max(advance.reached, min(rows[0].at, advance.to)))
            run.work_through(rows)
            advance = replace(advance, reached=max(advance.reached, min(rows[0].at, advance.to)))
        else:
            _move_clock(ctx, advance.to)
            status = "stuck" if run.stuck else "done"
            advance = replace(advance, reached=advance.to, status=status, stuck=tuple(run.stuck.values()))
        advance = replace(advance, jobs=advance.jobs + run.jobs, counts=_sum(advance.counts, run.counts))
        run.jobs, run.counts = 0, Counter()
        saved = _save(ops, document, advance, drive)
        if saved is None:  # somebody else took the lease over: theirs is the state
            return get_advance(ctx, ops, advance_id)
        document = saved
    if advance.status == "running":
        _save(ops, document, advance, drive, keep_lease=False)
    else:
        ops.delete(_RUNNING, f"{ctx.env}#{advance_id}")
    return advance


class _Run:
    """One process's part of an advance: passes over what is due, and what would not be done."""

    def __init__(self, ctx: Context, drive: Drive) -> None:
        self.jobs = 0
        self.counts: Counter[str] = Counter()
        self.stuck: dict[DueRow, Stuck] = {}
        self._ctx = ctx
        self._drive = drive
        self._tries: Counter[DueRow] = Counter()
        self._errors: dict[DueRow, str] = {}

    def candidates(self, until: datetime) -> list[DueRow]:
        """The earliest row of each customer among the next PAGE due until then, oldest first.

        A row that is still there after TRIES runs is stuck and left out.
        """
        limit = PAGE + len(self.stuck)
        shards = range(shard_count(self._ctx.env))
        rows = [row for shard in shards for row in self._ctx.store.due(self._ctx.env, shard, until, limit)]
        earliest: dict[str, DueRow] = {}
        for row in sorted(rows, key=lambda row: (row.at, row.pk, row.sk)):
            if self._tries[row] >= TRIES:
                self.stuck[row] = Stuck(
                    kind=row.kind,
                    subject=f"{row.pk}/{row.sk}",
                    at=row.at.isoformat(),
                    error=self._errors[row],
                )
            else:
                earliest.setdefault(row.pk, row)
        return list(earliest.values())

    def work_through(self, rows: Iterable[DueRow]) -> None:
        with ThreadPoolExecutor(WORKERS) as pool:
            # Each thread works in a copy of this one's context: the time left to the invocation travels in it.
            working = [pool.submit(copy_context().run, self._work, row) for row in rows]
            for row, tally, error in (work.result() for work in working):
                self.jobs += 1
                self.counts.update(tally)
                self._tries[row] += 1
                self._errors[row] = error

    def _work(self, row: DueRow) -> tuple[DueRow, Counter[str], str]:
        tally: Counter[str] = Counter()
        machine_now = self._drive.machine_now()
        ctx = replace(self._ctx, now=row.at, machine_now=machine_now, tally=tally)
        try:
            self._drive.perform(ctx, row)
        except Exception as error:  # whatever it is, the other customers' work goes on; it ends in `stuck`
            return row, tally, f"{type(error).__name__}: {error}"
        return row, tally, "it is still due after it was done"


def _environment(ctx: Context) -> Environment:
    environment = ctx.store.get(environment_key(ctx.env))
    if environment is None:
        raise NotFoundError("no such environment", id=ctx.env)
    return environment


def _move_clock(ctx: Context, to: datetime) -> None:
    """Forward only: a slower driver changes nothing."""

    def decide() -> None:
        environment = _environment(ctx)
        if environment.clock is not None and environment.clock < to:
            ctx.store.commit(ctx.env, advanced(environment, to))

    deciding(decide)


def _running(ops: Ops, env: str) -> Advance | None:
    return next(iter(unfinished(ops, env)), None)


def _take_lease(ops: Ops, env: str, advance_id: str, drive: Drive) -> Document | None:
    document = ops.get(_pk(env), advance_id)
    if document is None or _read(document).status != "running":
        return None
    if _is_leased(document, drive.machine_now()):
        return None
    return _save(ops, document, _read(document), drive)


def _is_leased(document: Document, machine_now: datetime) -> bool:
    lease = document.data.get("lease")
    return lease is not None and datetime.fromisoformat(lease) > machine_now


def _save(
    ops: Ops, document: Document, advance: Advance, drive: Drive, *, keep_lease: bool = True
) -> Document | None:
    lease = drive.machine_now() + LEASE if keep_lease and advance.status == "running" else None
    return ops.replace(document, _written(advance, lease=lease))


def _written(advance: Advance, *, lease: datetime | None) -> dict[str, Any]:
    return {
        "id": advance.id,
        "start": advance.start.isoformat(),
        "to": advance.to.isoformat(),
        "reached": advance.reached.isoformat(),
        "status": advance.status,
        "jobs": advance.jobs,
        "counts": advance.counts,
        "stuck": [[stuck.kind, stuck.subject, stuck.at, stuck.error] for stuck in advance.stuck],
        "lease": lease.isoformat() if lease else None,
    }


def _read(document: Document) -> Advance:
    data = document.data
    return Advance(
        id=data["id"],
        start=datetime.fromisoformat(data["start"]),
        to=datetime.fromisoformat(data["to"]),
        reached=datetime.fromisoformat(data["reached"]),
        status=data["status"],
        jobs=data["jobs"],
        counts=dict(data["counts"]),
        stuck=tuple(Stuck(kind=k, subject=s, at=a, error=e) for k, s, a, e in data["stuck"]),
    )


def _sum(left: dict[str, int], right: Counter[str]) -> dict[str, int]:
    return dict(sorted((Counter(left) + right).items()))


def _pk(env: str) -> str:
    return f"advance#{env}"
