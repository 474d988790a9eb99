"""The minute tick: candidates from the due index onto the queue. It charges nothing and remembers nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from chalicelib.application import clock
from chalicelib.application.context import Context
from chalicelib.application.ops import Ops
from chalicelib.application.ports import DueRow
from chalicelib.domain.environment import LIVE, shard_count

CAPACITY = 3_000
"""Rows that may wait on the queue: about two minutes of what the processor takes (25 calls a second)."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a tick did: the rows it enqueued, by how much the oldest row is overdue, the advances it woke."""

    rows: tuple[DueRow, ...]
    lag: timedelta
    advances: int = 0


def enqueue_due(ctx: Context) -> Swept:
    """Top the queue up with what is due at `ctx.now`, oldest first.

    Safe to run twice, late, or never: it keeps no cursor, so what was enqueued and is still due comes again, and
    the record decides what is done. One Query per shard, one count of the queue, one send per ten rows.
    """
    room = CAPACITY - ctx.queues.due_waiting()
    due = due_rows(ctx, max(room, 1))
    rows = due if room > 0 else []
    if rows:
        ctx.queues.due(rows)
    return Swept(tuple(rows), ctx.now - due[0].at if due else timedelta())


def due_rows(ctx: Context, limit: int) -> list[DueRow]:
    """Up to `limit` rows due at `ctx.now`, oldest first. Customers are spread evenly over the shards, so each is
    asked for twice its share; what that leaves out waits for the next tick.
    """
    shards = shard_count(ctx.env)
    share = min(limit, -(-2 * limit // shards))
    rows = [row for shard in range(shards) for row in ctx.store.due(ctx.env, shard, ctx.now, share)]
    return sorted(rows, key=lambda row: (row.at, row.pk, row.sk))[:limit]


def wake_advances(ctx: Context, ops: Ops) -> int:
    """Put the clock advances that nobody drives back on their queue; answers how many. A lease decides there."""
    forsaken = clock.forsaken(ops, ctx.machine_now)
    for env, advance_id in forsaken:
        ctx.queues.wake_advance(env, advance_id)
    return len(forsaken)


def tick(ctx: Context, ops: Ops) -> Swept:
    """Both of the above for the live environment."""
    assert ctx.env == LIVE
    swept = enqueue_due(ctx)
    return replace(swept, advances=wake_advances(ctx, ops))
