"""The environment-wide feed of events, in the order in which journal entries arrived on the table's stream.

Exactly once and without gaps, however often a batch is delivered and however many projectors run: one
transaction takes the next numbers (a counter guarded by its version), writes the events under them, leaves a mark
per entry (which must not exist yet), and adds the entries to the month's books. A number is never visible before
the ones below it, so a reader that has seen up to a cursor has seen everything up to it. Marks are kept: they
say where an entry's events are, and make `rebuild` safe at any time.

Units for n new entries of one environment: one BatchGet (1 + months), and one transaction of 2 (counter) + 2 n
(marks) + 2 per KB of the events, deflated, + 2 per KB of each month's books: 2.3 per entry in batches of
forty, 8 for an entry alone; + 2 per day of the dunning report that an entry adds to, and per case it begins; where
there are movements of MRR, + 2 per KB of the month's metrics and of the movements' rows, and + 2 per trial that ends.
A redelivered batch costs the same writes (they are refused), and writes nothing.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.application import sums
from chalicelib.application.books import journals
from chalicelib.application.ops import Document, Ops, Write
from chalicelib.application.ports import Store
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.journal import Actor, ActorKind, JournalEntry

PART = 48
"""Entries per transaction at most, which takes MOST writes besides counter and events: a mark each, the months that
they add to, and what each adds to reports.
"""
MOST = 98
LONGEST = 150_000
"""Characters of events per document, before they are deflated."""
ATTEMPTS = 20
"""How often the next numbers are tried for while other projectors take them."""
_CHUNKS = 8
_MOST_CHUNKS = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One fact as the feed has it. `cursor` is its number: 1, 2, 3, … per environment, in order of arrival."""

    cursor: int
    id: str
    type: str
    at: datetime
    subject: str
    customer_id: str
    actor: Actor
    channel: str
    cause: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventPage:
    """`cursor` is where to go on, also from the present end; `more` whether that is before the end."""

    events: tuple[Event, ...]
    cursor: int
    more: bool


def append(ops: Ops, env: str, entries: Sequence[JournalEntry]) -> int:
    """Put the entries that are not there yet at the end of the feed and into the books; answers how many.

    Safe to run twice and at once: the marks decide. ConflictError when others were faster ATTEMPTS times.
    """
    known = {entry.id: entry for entry in entries}
    return sum(_append_part(ops, env, part) for part in _parts(list(known.values())))


def read_events(
    ops: Ops, env: str, *, after: int = 0, limit: int = 20, type_: str | None = None
) -> EventPage:
    """Up to `limit` events beyond the cursor, oldest first, of one type or all.

    A search for a rare type ends after some thousand events with fewer (or none) and `more`: go on from `cursor`.
    """
    found: list[Event] = []
    position = after
    for chunk in _chunks(ops, env, after):
        for event in _unpacked(chunk):
            if event.cursor <= position:
                continue
            if len(found) == limit:
                return EventPage(tuple(found), position, True)
            position = event.cursor
            if type_ is None or event.type == type_:
                found.append(event)
    more = bool(ops.query(_feed(env), after=_number(position), limit=1))
    return EventPage(tuple(found), position, more)


def rebuild(store: Store, ops: Ops, env: str) -> int:
    """Append whatever the customers' journals hold that the feed does not; answers how many entries.

    For when records of the stream were lost (its dead-letter queue says so). Safe at any time, the projector
    running or not. Events that come late stand at the end: the feed is in order of arrival.
    """
    return sum(append(ops, env, entries) for _, entries in journals(store, env))


def unpublished(ops: Ops, env: str, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """Those that the feed does not have, in order. One BatchGet per hundred."""
    parts = (entries[start : start + 100] for start in range(0, len(entries), 100))
    return [entry for part in parts for entry in _unseen(ops, env, part)]


def event_id(entry_id: str, index: int) -> str:
    """An entry's facts in order: `evt_…_0`, `evt_…_1`, …"""
    return f"{entry_id}_{index}"


def _append_part(ops: Ops, env: str, part: Sequence[JournalEntry]) -> int:
    for attempt in range(ATTEMPTS):
        if attempt:
            part = _unseen(ops, env, part)
        if not part:
            return 0
        if ops.transact(_writes(ops, env, part)):
            return len(part)
    raise ConflictError("others are writing the feed", fix="deliver the entries again", env=env)


def _writes(ops: Ops, env: str, part: Sequence[JournalEntry]) -> list[Write]:
    folds = sums.folds(env, part)
    head, *stored = ops.get_many([(_head(env), "0"), *folds])
    last = int(head.data["last"]) if head else 0
    writes = list(sums.rows(env, part, number=last + 1))
    for ((pk, sk), folded), document in zip(folds.items(), stored, strict=True):
        writes.append(Write(pk, sk, folded(document.data if document else None), _version(document)))
    number = last
    for entry in part:
        writes.append(Write(_mark(env, entry.id), "0", {"first": number + 1}))
        number += len(entry.facts)
    if number > last:
        writes.append(Write(_feed(env), _number(number), _packed(last + 1, part)))
    return [Write(_head(env), "0", {"last": number}, _version(head)), *writes]


def _unseen(ops: Ops, env: str, part: Sequence[JournalEntry]) -> list[JournalEntry]:
    marks = ops.get_many([(_mark(env, entry.id), "0") for entry in part])
    return [entry for entry, mark in zip(part, marks, strict=True) if mark is None]


def _parts(entries: Sequence[JournalEntry]) -> Iterator[list[JournalEntry]]:
    part: list[JournalEntry] = []
    size = writes = 0
    shared: set[tuple[str, str]] = set()
    for entry in entries:
        length = len(json.dumps(_compact(entry)))
        weight, also = 1 + sums.weight(entry), sums.shared(entry)
        full = writes + weight + len(shared | also) > MOST
        if part and (len(part) == PART or size + length > LONGEST or full):
            yield part
            part, size, writes, shared = [], 0, 0, set()
        part.append(entry)
        size += length
        writes += weight
        shared |= also
    if part:
        yield part


def _chunks(ops: Ops, env: str, after: int) -> Iterator[Document]:
    """The documents that hold events beyond the cursor: each is filed under its last event's number."""
    position = _number(after)
    for _ in range(_MOST_CHUNKS // _CHUNKS):
        documents = ops.query(_feed(env), after=position, limit=_CHUNKS)
        yield from documents
        if len(documents) < _CHUNKS:
            return
        position = documents[-1].sk


def _packed(first: int, part: Sequence[JournalEntry]) -> dict[str, Any]:
    text = json.dumps([_compact(entry) for entry in part], ensure_ascii=False, separators=(",", ":"))
    return {"first": first, "z": base64.b64encode(zlib.compress(text.encode())).decode()}


def _compact(entry: JournalEntry) -> list[Any]:
    facts = [[fact.type, fact.subject, dict(fact.data)] for fact in entry.facts]
    actor = [entry.actor.kind, entry.actor.id]
    return [entry.id, entry.at.isoformat(), entry.customer_id, actor, entry.channel, entry.cause, facts]


def _unpacked(chunk: Document) -> Iterator[Event]:
    number = int(chunk.data["first"])
    for id_, at, customer, (kind, actor), channel, cause, facts in json.loads(
        zlib.decompress(base64.b64decode(chunk.data["z"]))
    ):
        for index, (type_, subject, data) in enumerate(facts):
            yield Event(
                cursor=number,
                id=event_id(id_, index),
                type=type_,
                at=datetime.fromisoformat(at),
                subject=subject,
                customer_id=customer,
                actor=Actor(ActorKind(kind), actor),
                channel=channel,
                cause=cause,
                data=data,
            )
            number += 1


def _version(document: Document | None) -> int:
    return document.version if document else 0


def _head(env: str) -> str:
    return f"feedhead#{env}"


def _feed(env: str) -> str:
    return f"feed#{env}"


def _mark(env: str, entry_id: str) -> str:
    """A partition of its own: marks spread over the table."""
    return f"seen#{env}#{entry_id}"


def _number(number: int) -> str:
    return f"{number:015d}"
