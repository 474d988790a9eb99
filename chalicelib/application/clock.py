"""A sandbox's clock: moved on request, running on the way everything that falls due, in order per customer.

An advance is a document in the operations table, so any process can carry it on: whoever holds its lease runs
passes until nothing is due any more, each job at the business time at which it was due.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.application.clock_work import Drive, Run, Stuck
from chalicelib.application.context import Context, deciding
from chalicelib.application.ops import Document, Ops, Write
from chalicelib.application.records import environment_key
from chalicelib.domain import ids
from chalicelib.domain.environment import Environment, advanced
from chalicelib.domain.errors import ConflictError, NotFoundError

__all__ = [
    "LEASE",
    "Advance",
    "Drive",
    "Stuck",
    "drive_advance",
    "forsaken",
    "get_advance",
    "start_advance",
    "unfinished",
]

LEASE = timedelta(seconds=90)
_RUNNING = "advances#running"
"""One mark per advance that is not finished, for whoever wakes them."""
_LATEST = "advances#latest"
"""Per environment the advance that was begun last: only one runs at a time."""


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


def start_advance(ctx: Context, ops: Ops, to: datetime) -> Advance:
    """Write down that the clock is to be moved. The past is refused, and a second advance while one runs.

    Safe to run twice: the id derives from the request, and what is there is answered.
    """
    advance_id = ids.child_id("adv", ids.customer_id(ctx.env), ctx.request_key)
    existing = ops.get(_pk(ctx.env), advance_id)
    if existing is not None:
        return _read(existing)
    latest = ops.get(_LATEST, ctx.env)  # before the clock is read: whoever moves it meanwhile changes this
    environment = _environment(ctx)
    advanced(environment, to)
    assert environment.clock is not None
    for running in unfinished(ops, ctx.env):
        raise _busy(running.id)
    advance = Advance(id=advance_id, start=environment.clock, to=to, reached=environment.clock)
    begun = ops.transact(
        [
            Write(_LATEST, ctx.env, {"advance": advance_id}, latest.version if latest else 0),
            Write(_RUNNING, f"{ctx.env}#{advance_id}", {}),
            Write(_pk(ctx.env), advance_id, _written(advance, lease=None)),
        ]
    )
    if begun:
        return advance
    existing = ops.get(_pk(ctx.env), advance_id)
    if existing is None:
        raise _busy()
    return _read(existing)


def get_advance(ctx: Context, ops: Ops, advance_id: str) -> Advance:
    document = ops.get(_pk(ctx.env), ids.require("adv", advance_id))
    if document is None:
        raise NotFoundError("no such clock advance", id=advance_id)
    return _read(document)


def unfinished(ops: Ops, env: str) -> list[Advance]:
    """The advance of an environment that still wants driving: one or none."""
    latest = ops.get(_LATEST, env)
    document = ops.get(_pk(env), latest.data["advance"]) if latest else None
    advance = _read(document) if document else None
    return [advance] if advance is not None and advance.status == "running" else []


def forsaken(ops: Ops, machine_now: datetime) -> list[tuple[str, str]]:
    """(environment, id) of up to a hundred running advances that nobody drives: their driver had no more time,
    or died and its lease ran out.
    """
    found = []
    for mark in ops.query(_RUNNING, limit=100):
        env, _, advance_id = mark.sk.partition("#")
        document = ops.get(_pk(env), advance_id)
        if document is None or _read(document).status != "running":
            ops.delete(_RUNNING, mark.sk)
        elif not _is_leased(document, machine_now):
            found.append((env, advance_id))
    return found


def drive_advance(ctx: Context, ops: Ops, advance_id: str, drive: Drive) -> Advance:
    """Carry the advance on until it is quiet or the time is up; answers how it stands.

    Safe to run twice and at once: a lease (machine time) lets one process drive, every job may be repeated, and
    the clock only moves forward. A driver that dies is succeeded when its lease runs out; of the facts in
    `counts` what its last CHUNK of jobs committed may then be missing; none is there twice.
    """
    document = _take_lease(ops, ctx.env, advance_id, drive)
    if document is None:
        return get_advance(ctx, ops, advance_id)
    advance, run = _read(document), Run(ctx, drive)
    while advance.status == "running" and drive.time_left() > 0:
        rows = run.next_rows(advance.to)
        if rows:
            advance = replace(advance, reached=max(advance.reached, rows[0].at))
            _move_clock(ctx, advance.reached)
            counts = run.work_through(rows)
            advance = replace(advance, jobs=advance.jobs + len(rows), counts=_sum(advance.counts, counts))
        else:
            _move_clock(ctx, advance.to)
            status = "stuck" if run.stuck else "done"
            advance = replace(advance, reached=advance.to, status=status, stuck=tuple(run.stuck.values()))
        saved = _save(ops, document, advance, drive)
        if saved is None:  # somebody else took the lease over: theirs is the state
            return get_advance(ctx, ops, advance_id)
        document = saved
    if advance.status == "running":
        _save(ops, document, advance, drive, keep_lease=False)
    else:
        ops.delete(_RUNNING, f"{ctx.env}#{advance_id}")
    return advance


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


def _busy(advance_id: str = "") -> ConflictError:
    ids_ = {"advance": advance_id} if advance_id else {}
    return ConflictError("the clock is being advanced already", fix="wait for it to finish", **ids_)


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
