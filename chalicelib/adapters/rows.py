"""What every engine of the Store port agrees on beyond the key layout: limits, index bounds, index rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.application.ports import DueRow
from chalicelib.application.records import LAYOUTS, Key, key_of
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.schedule import DueKind

MOST_ITEMS = 100
"""What one BatchGet or one transaction takes."""


def check_size(keys: Sequence[object]) -> None:
    """ValueError when one call would have to be several."""
    if len(keys) > MOST_ITEMS:
        raise ValueError(f"{len(keys)} items do not fit one call of at most {MOST_ITEMS}")


def keys_of_commit(env: str, records: Sequence[Any], delete: Sequence[Key[Any]]) -> list[Key[Any]]:
    """The records' keys in order. ValueError when there are too many items, or two writes of one item."""
    keys = [key_of(env, record) for record in records]
    check_size([*keys, *delete])
    addresses = {(key.pk, key.sk) for key in (*keys, *delete)}
    if len(addresses) < len(keys) + len(delete):
        raise ValueError("one commit writes an item twice")
    return keys


def expected_version(record: Any) -> int:
    """The version that must be stored for the record to be written; 0: nothing may be there.

    A published catalog is written once: its `version` is its number, not a count of writes.
    """
    return 0 if isinstance(record, Catalog) else int(record.version)


def as_stored(record: Any, version: int) -> Any:
    """The record as it reads after the write that gave it this version."""
    return record if isinstance(record, Catalog) else replace(record, version=version)


def due_bound(until: datetime) -> str:
    """Sorts after every due entry at or before `until`, whatever its kind, and before any later one."""
    return f"{until.astimezone(UTC).isoformat(timespec='microseconds')}$"  # '$' follows '#'


def due_row(env: str, due_at: str, pk: str, sk: str) -> DueRow:
    """A row of the due index as a candidate."""
    at, _, kind = due_at.partition("#")
    return DueRow(env, datetime.fromisoformat(at).astimezone(UTC), DueKind(kind), pk, sk)


def list_partition(type_: type[Any], env: str) -> str:
    """The partition of a type's list; ValueError for a type that keeps none."""
    layout = LAYOUTS.get(type_)
    if layout is None or layout.listed is None:
        raise ValueError(f"{type_.__name__} has no list")
    return f"{env}#{layout.listed}"
