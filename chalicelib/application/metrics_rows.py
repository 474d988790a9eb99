"""The rows behind the metrics: every MRR movement of a month, and every trial that ended in it.

Movements are kept as they arrive, those of one projected batch and month in one deflated document; a trial has a
document of its own, which says that it ended: what became of it is read from its subscription. Both are written in
the transaction that projects the entries, so each row is there once.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import Any

from chalicelib.application.books import month_of
from chalicelib.application.ops import Document, Ops, Write
from chalicelib.domain.journal import FunnelKind, JournalEntry

_CHUNKS = 8
_MOST_CHUNKS = 64
_MOST_TRIALS = 500
"""Documents that one page looks through for what was asked for."""


@dataclass(frozen=True, slots=True)
class MovementRow:
    """One movement; `entry_id` is the journal entry that it was decided in."""

    entry_id: str
    at: datetime
    customer_id: str
    subscription_id: str
    kind: str
    amount: int
    currency: str
    motion: str
    reason: str
    cause: str


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial that was over at `ended_at`."""

    subscription_id: str
    customer_id: str
    ended_at: datetime
    currency: str
    motion: str


def rows(env: str, entries: Sequence[JournalEntry], *, number: int) -> Iterator[Write]:
    """What is written for a batch. `number` goes up from batch to batch."""
    months: dict[str, list[MovementRow]] = {}
    for entry in entries:
        if entry.movements:
            months.setdefault(month_of(entry), []).extend(movement_rows(entry))
        for name, row in trial_rows(entry):
            yield Write(trials_key(env), name, written_trial(row))
    for month, found in months.items():
        yield Write(rows_key(env), f"{month}#{number:015d}#{entries[0].id}", written_rows(found))


def movement_rows(entry: JournalEntry) -> Iterator[MovementRow]:
    for movement in entry.movements:
        yield MovementRow(
            entry.id,
            entry.at,
            entry.customer_id,
            movement.subscription_id,
            str(movement.kind),
            movement.amount,
            movement.currency,
            movement.motion,
            movement.reason,
            movement.cause,
        )


def trial_rows(entry: JournalEntry) -> Iterator[tuple[str, TrialRow]]:
    """The trials that ended in this entry, with the sort keys of their documents."""
    for step in entry.funnel:
        if step.kind is FunnelKind.TRIAL_ENDED and step.trial_ended_at is not None:
            at = step.trial_ended_at
            row = TrialRow(step.subscription_id, entry.customer_id, at, step.currency, step.motion)
            yield f"{at:%Y-%m}#{step.subscription_id}#{entry.id}", row


def weight(entry: JournalEntry) -> int:
    """So many documents of its own the entry writes."""
    return sum(1 for _ in trial_rows(entry))


def read_movements(
    ops: Ops,
    env: str,
    month: str,
    *,
    wanted: Callable[[MovementRow], bool],
    limit: int,
    after: str | None = None,
) -> tuple[list[MovementRow], str | None]:
    """Up to `limit` wanted movements of the month, in order of arrival, and the cursor to go on from; None at the end.

    A search for something rare may answer fewer, or none, with a cursor.
    """
    found: list[MovementRow] = []
    position, seen = after or month, 0
    for document in _chunks(ops, env, month, max(month, position.rpartition("#")[0])):
        seen += 1
        for index, row in enumerate(read_rows(document)):
            here = f"{document.sk}~{index:04d}"
            if here <= position:
                continue
            if len(found) == limit:
                return found, position
            position = here
            if wanted(row):
                found.append(row)
    return found, position if seen == _MOST_CHUNKS else None


def read_trials(
    ops: Ops,
    env: str,
    month: str,
    *,
    wanted: Callable[[TrialRow], bool],
    limit: int,
    after: str | None = None,
) -> tuple[list[TrialRow], str | None]:
    """Up to `limit` wanted trials that ended in the month, and the cursor to go on from; None at the end."""
    found: list[TrialRow] = []
    position = max(month, after or "")
    documents = ops.query(trials_key(env), after=position, limit=_MOST_TRIALS)
    for document in documents:
        if not document.sk.startswith(month):
            return found, None
        if len(found) == limit:
            return found, position
        position = document.sk
        row = TrialRow(**{**document.data, "ended_at": datetime.fromisoformat(document.data["ended_at"])})
        if wanted(row):
            found.append(row)
    return found, position if len(documents) == _MOST_TRIALS else None


def read_rows(document: Document) -> list[MovementRow]:
    stored = json.loads(zlib.decompress(base64.b64decode(document.data["z"])))
    return [MovementRow(id_, datetime.fromisoformat(at), *rest) for id_, at, *rest in stored]


def written_rows(found: Sequence[MovementRow]) -> dict[str, Any]:
    values = [[row.entry_id, row.at.isoformat(), *astuple(row)[2:]] for row in found]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return {"z": base64.b64encode(zlib.compress(text.encode())).decode()}


def written_trial(row: TrialRow) -> dict[str, Any]:
    return {**asdict(row), "ended_at": row.ended_at.isoformat()}


def rows_key(env: str) -> str:
    return f"metrics_rows#{env}"


def trials_key(env: str) -> str:
    return f"metrics_trials#{env}"


def _chunks(ops: Ops, env: str, month: str, after: str) -> Iterator[Document]:
    """Documents of the month beyond a sort key, as many as one page looks through."""
    for _ in range(_MOST_CHUNKS // _CHUNKS):
        documents = ops.query(rows_key(env), after=after, limit=_CHUNKS)
        for document in documents:
            if not document.sk.startswith(month):
                return
            yield document
        if len(documents) < _CHUNKS:
            return
        after = documents[-1].sk
