"""The hourly sweep that makes lost webhooks, lost answers and lost messages harmless.

The processor keeps one list of events for the whole account, whatever environment they belong to, so it is read
once, with one cursor, and each event is applied in its own environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from chalicelib.application import clock
from chalicelib.application.context import Context
from chalicelib.application.environments import list_sandboxes
from chalicelib.application.notices import apply_notice
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Gateway, ProcessorNotice, Store
from chalicelib.application.sweep import due_rows
from chalicelib.domain.errors import GatewayUnavailableError

OVERLAP = timedelta(hours=1)
"""Read again behind the cursor: events are listed late now and then."""
REACH = timedelta(days=30)
"""How long the processor keeps its events."""
LEFT_OVER = 200
"""Rows per sandbox and hour: what a clock advance finished without."""

TRIES = 24
"""How many sweeps try what could not be applied: a day."""
MOST_KEPT = 200

_STATE = ("reconciler", "0")
_AGAIN = ("reconciler", "again")
Enter = Callable[[str], Context]
Trouble = Callable[[ProcessorNotice, Exception], None]


@dataclass(frozen=True, slots=True)
class _Progress:
    """A sweep reads everything since `since`; `cursor` is the next page of it. `until` is its own start, from
    which the next sweep counts.
    """

    since: datetime
    until: datetime
    cursor: str | None = None


def apply_missed(
    enter: Enter,
    gateway: Gateway,
    ops: Ops,
    *,
    machine_now: datetime,
    time_left: Callable[[], float],
    trouble: Trouble,
) -> int:
    """Apply every event since the last sweep (and an hour before it); answers how many were read.

    Safe to run twice and at once: applying is, and a second sweep finds everything done. Out of time, it keeps
    its page and the next run goes on from there; so it does when the processor cannot be asked, which is raised.
    What cannot be applied goes to `trouble` and is passed over; the next sweeps try it again, TRIES times.
    """
    read = 0
    _apply_kept(enter, ops, trouble)
    progress = _progress(ops, machine_now)
    while time_left() > 0:
        notices, cursor = gateway.notices_since(progress.since, progress.cursor)
        _keep(ops, [(notice, 1) for notice in notices if not _apply(enter, notice, trouble)])
        read += len(notices)
        if cursor is None:
            ops.put(*_STATE, {"done": progress.until.isoformat()})
            return read
        progress = _Progress(progress.since, progress.until, cursor)
        ops.put(*_STATE, _written(progress))
    return read


def behind(ops: Ops, machine_now: datetime) -> timedelta:
    """How long ago the last sweep began that read to the end: an hour, where all is well; nothing before the first."""
    if ops.get(*_STATE) is None:
        return timedelta()
    progress = _progress(ops, machine_now)
    return machine_now - min(progress.since + OVERLAP, machine_now)


def enqueue_left_over(enter: Enter, store: Store, ops: Ops) -> int:
    """Put on the queue what is due in sandboxes at their present clocks; answers how many rows.

    That is what an advance ended without: an outcome that was unknown, work that was stuck. A sandbox whose
    clock is being advanced is left to the advance. Per sandbox: two reads and one Query.
    """
    count, after = 0, None
    while True:
        sandboxes, after = list_sandboxes(store, ops, after=after)
        for sandbox in sandboxes:
            if not clock.unfinished(ops, sandbox.id):
                ctx = enter(sandbox.id)
                rows = due_rows(ctx, LEFT_OVER)
                if rows:
                    ctx.queues.due(rows)
                count += len(rows)
        if after is None:
            return count


def _apply(enter: Enter, notice: ProcessorNotice, trouble: Trouble) -> bool:
    """Whether there is nothing more to do about it."""
    if notice.env is None:
        return True
    try:
        apply_notice(enter(notice.env), notice)
    except GatewayUnavailableError:
        raise
    except Exception as error:
        trouble(notice, error)
        return False
    return True


def _apply_kept(enter: Enter, ops: Ops, trouble: Trouble) -> None:
    """What earlier sweeps could not apply: a card that is gone or a refund has no due row to bring it back."""
    kept = _kept(ops)
    failed = [(notice, tries + 1) for notice, tries in kept if not _apply(enter, notice, trouble)]
    if kept:
        ops.put(*_AGAIN, _written_notices([(notice, tries) for notice, tries in failed if tries <= TRIES]))


def _keep(ops: Ops, failed: list[tuple[ProcessorNotice, int]]) -> None:
    if failed:
        known = {notice.id for notice, _ in failed}
        others = [(notice, tries) for notice, tries in _kept(ops) if notice.id not in known]
        ops.put(*_AGAIN, _written_notices([*others, *failed][-MOST_KEPT:]))


def _kept(ops: Ops) -> list[tuple[ProcessorNotice, int]]:
    document = ops.get(*_AGAIN)
    rows = document.data["notices"] if document else []
    return [
        (ProcessorNotice(**{**data, "created": datetime.fromisoformat(data["created"])}), tries)
        for data, tries in rows
    ]


def _written_notices(
    kept: list[tuple[ProcessorNotice, int]],
) -> dict[str, list[tuple[dict[str, object], int]]]:
    return {
        "notices": [
            ({**asdict(notice), "created": notice.created.isoformat()}, tries) for notice, tries in kept
        ]
    }


def _progress(ops: Ops, machine_now: datetime) -> _Progress:
    document = ops.get(*_STATE)
    if document is None:
        return _Progress(machine_now - REACH, machine_now)
    data = document.data
    if "done" in data:
        since = datetime.fromisoformat(data["done"]) - OVERLAP
        return _Progress(max(since, machine_now - REACH), machine_now)
    return _Progress(
        datetime.fromisoformat(data["since"]), datetime.fromisoformat(data["until"]), data["cursor"]
    )


def _written(progress: _Progress) -> dict[str, str | None]:
    return {
        "since": progress.since.isoformat(),
        "until": progress.until.isoformat(),
        "cursor": progress.cursor,
    }
