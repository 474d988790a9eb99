"""The Store port in one process: the same conditions, keys, indexes and conflicts as the real table."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

from chalicelib.adapters.codec import decode, dumps, encode
from chalicelib.adapters.cursors import decode_cursor, encode_cursor
from chalicelib.adapters.rows import (
    as_stored,
    check_size,
    due_bound,
    due_row,
    expected_version,
    keys_of_commit,
    list_partition,
)
from chalicelib.application.ports import DueRow, Page, VersionConflict
from chalicelib.application.records import (
    LAYOUTS,
    STANDING,
    CustomerStanding,
    Key,
    due_entry,
    due_partition,
    list_entry,
    partition,
    standing_of,
)
from chalicelib.domain.journal import JournalEntry

T = TypeVar("T")
Address = tuple[str, str]
CommitHook = Callable[[str, tuple[Any, ...]], None]


class MemoryStore:
    """Thread-safe; every read and every commit sees and leaves a whole state.

    `before_commit` and `after_commit` are called with (env, records) around each commit and may raise: an
    exception before means nothing was written, after means it was, and the caller never learns.
    """

    def __init__(
        self, *, before_commit: CommitHook | None = None, after_commit: CommitHook | None = None
    ) -> None:
        self.before_commit = before_commit
        self.after_commit = after_commit
        self.committed: list[tuple[str, Any]] = []
        """Every record ever written as (env, record), in the order of the table's stream."""
        self._lock = Lock()
        self._partitions: dict[str, dict[str, Any]] = defaultdict(dict)
        self._due = _Index(due_entry)
        self._list = _Index(list_entry)

    def get(self, key: Key[T]) -> T | None:
        with self._lock:
            record: T | None = self._at((key.pk, key.sk))
            return record

    def get_many(self, keys: Sequence[Key[Any]], *, consistent: bool = True) -> list[Any | None]:
        check_size(keys)
        with self._lock:
            return [self._at((key.pk, key.sk)) for key in keys]

    def children(
        self,
        type_: type[T],
        env: str,
        customer: str,
        *,
        limit: int | None = None,
        newest_first: bool = False,
        after: str | None = None,
    ) -> list[T]:
        prefix = LAYOUTS[type_].prefix
        with self._lock:
            siblings = dict(self._partitions.get(partition(env, customer), {}))
        sort_keys = sorted((sk for sk in siblings if sk.startswith(prefix)), reverse=newest_first)
        if after is not None:
            bound = prefix + after
            sort_keys = [sk for sk in sort_keys if (sk < bound if newest_first else sk > bound)]
        return [siblings[sk] for sk in sort_keys[:limit]]

    def standing(self, env: str, customer: str) -> CustomerStanding:
        with self._lock:
            siblings = dict(self._partitions.get(partition(env, customer), {}))
        return standing_of(siblings[sk] for sk in sorted(siblings) if sk.startswith(STANDING))

    def commit(self, env: str, *records: Any, delete: Sequence[Key[Any]] = ()) -> None:
        keys = keys_of_commit(env, records, delete)
        written = [_through_codec(as_stored(record, expected_version(record) + 1)) for record in records]
        if self.before_commit is not None:
            self.before_commit(env, records)
        with self._lock:
            self._require_versions(keys, records)
            for key, record in zip(keys, written, strict=True):
                self._put(env, (key.pk, key.sk), record)
            for key in delete:
                self._remove((key.pk, key.sk))
        if self.after_commit is not None:
            self.after_commit(env, records)

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        with self._lock:
            entries = self._due.until(due_partition(env, shard), due_bound(until), limit)
        return [due_row(env, due_at, pk, sk) for due_at, pk, sk in entries]

    def listing(self, type_: type[Any], env: str, *, limit: int, cursor: str | None = None) -> Page:
        before = None if cursor is None else decode_cursor(type_, env, cursor)[0]
        with self._lock:
            entries = self._list.backwards(list_partition(type_, env), before, limit + 1)
            records = [self._at((pk, sk)) for _, pk, sk in entries[:limit]]
        following = encode_cursor(entries[limit - 1][0]) if len(entries) > limit else None
        return Page(tuple(record for record in records if record is not None), following)

    def journal(self, env: str) -> list[JournalEntry]:
        """The environment's journal entries in the order of their commits: what the stream would carry."""
        with self._lock:
            return [record for of, record in self.committed if of == env and isinstance(record, JournalEntry)]

    def records(self, type_: type[T]) -> list[T]:
        """Everything of one type, for assertions over the whole state."""
        with self._lock:
            return [
                record
                for items in self._partitions.values()
                for record in items.values()
                if isinstance(record, type_)
            ]

    def _at(self, address: Address) -> Any:
        return self._partitions.get(address[0], {}).get(address[1])

    def _require_versions(self, keys: Sequence[Key[Any]], records: Sequence[Any]) -> None:
        for key, record in zip(keys, records, strict=True):
            stored = self._at((key.pk, key.sk))
            expected = expected_version(record)
            if (stored is not None) if expected == 0 else (stored is None or stored.version != expected):
                raise VersionConflict(key)

    def _put(self, env: str, address: Address, record: Any) -> None:
        self._partitions[address[0]][address[1]] = record
        self._due.move(env, address, record)
        self._list.move(env, address, record)
        self.committed.append((env, record))

    def _remove(self, address: Address) -> None:
        self._partitions.get(address[0], {}).pop(address[1], None)
        self._due.drop(address)
        self._list.drop(address)


def _through_codec(record: Any) -> Any:
    """As a table would give it back: what cannot be stored fails here too, and nothing mutable is shared."""
    return decode(type(record), json.loads(dumps(encode(record))))


class _Index:
    """A sparse index, keys only: per partition a sorted list of (sort value, pk, sk)."""

    def __init__(self, entry_of: Callable[[str, Any], tuple[str, str] | None]) -> None:
        self._entry_of = entry_of
        self._rows: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        self._where: dict[Address, tuple[str, str]] = {}

    def move(self, env: str, address: Address, record: Any) -> None:
        entry = self._entry_of(env, record)
        if entry == self._where.get(address):
            return
        self.drop(address)
        if entry is not None:
            insort(self._rows[entry[0]], (entry[1], *address))
            self._where[address] = entry

    def drop(self, address: Address) -> None:
        entry = self._where.pop(address, None)
        if entry is not None:
            rows = self._rows[entry[0]]
            del rows[bisect_left(rows, (entry[1], *address))]

    def until(self, partition_: str, bound: str, limit: int) -> list[tuple[str, str, str]]:
        rows = self._rows.get(partition_, [])
        return rows[: min(limit, bisect_right(rows, (bound, "", "")))]

    def backwards(self, partition_: str, before: str | None, limit: int) -> list[tuple[str, str, str]]:
        rows = self._rows.get(partition_, [])
        end = len(rows) if before is None else bisect_left(rows, (before, "", ""))
        return rows[max(0, end - limit) : end][::-1]
