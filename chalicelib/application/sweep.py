"""The minute tick: candidates from the due index onto the queue. It charges nothing and remembers nothing."""

from __future__ import annotations

from chalicelib.application import clock
from chalicelib.application.context import Context
from chalicelib.application.ops import Ops
from chalicelib.application.ports import DueRow
from chalicelib.domain.environment import LIVE, shard_count

CAPACITY = 3_000
"""Rows that may wait on the queue: about two minutes of what the processor takes (25 calls a second)."""


def enqueue_due(ctx: Context) -> int:
    """Top the queue up with what is due at `ctx.now`, oldest first; answers how many rows went.

    Safe to run twice, late, or never: it keeps no cursor, so what was enqueued and is still due comes again, and
    the record decides what is done. One Query per shard, one count of the queue, one send per ten rows.
    """
    room = CAPACITY - ctx.queues.due_waiting()
    rows = due_rows(ctx, room) if room > 0 else []
    if rows:
        ctx.queues.due(rows)
    return len(rows)


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


def tick(ctx: Context, ops: Ops) -> tuple[int, int]:
    """Both of the above for the live environment; (rows, advances)."""
    assert ctx.env == LIVE
    return enqueue_due(ctx), wake_advances(ctx, ops)
