"""Every object in memory, written behind to SQLite so that state survives a restart.

Changes are flushed several times a second and at a clean end; one flush is one transaction, and an
idempotency record is flushed together with what it did.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = "seq, kind, id, data, hidden, raw"
INDEXED = ("customer", "payment_intent", "charge")
SCHEMA = """
create table if not exists objects (seq integer primary key, kind text, id text, data text, hidden text, raw text);
create table if not exists meta (name text primary key, value text) without rowid;
"""


encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class StateError(Exception):
    """The state folder cannot be used; the message says why in one line."""


@dataclass(slots=True)
class Record:
    """One object: `data` as the API shows it, `hidden` what only the stand-in knows, `raw` its fixed JSON if any."""

    kind: str
    id: str
    seq: int
    data: dict[str, Any]
    hidden: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None
    keys: list[tuple[str, str, str]] = field(default_factory=list)


class Store:
    """Not thread-safe by itself: callers hold `lock` while they read or change records."""

    def __init__(self, folder: Path | None) -> None:
        self.lock = threading.RLock()
        self.meta: dict[str, str] = {}
        self._kept_meta: dict[str, str] = {}
        self._io = threading.Lock()
        self._seq = 0
        self._kinds: dict[str, dict[str, Record]] = {}
        self._index: dict[tuple[str, str, str], dict[str, Record]] = {}
        self._dirty: dict[int, Record | None] = {}
        self._db = open_database(folder) if folder else None
        if self._db:
            self._load(self._db)

    # --- Reading -------------------------------------------------------------------------------------------

    def get(self, kind: str, id: str) -> Record | None:
        return self._kinds.get(kind, {}).get(id)

    def newest_first(self, kind: str, **match: str) -> Iterator[Record]:
        """Records of a kind, the latest first; `match` on indexed fields is a look-up, not a scan."""
        for name, value in match.items():
            found = self._index.get((kind, name, value), {})
            rest = {key: wanted for key, wanted in match.items() if key != name}
            ordered = sorted(found.values(), key=lambda record: -record.seq)
            return (r for r in ordered if all(ref(r.data.get(key)) == wanted for key, wanted in rest.items()))
        return iter(list(reversed(self._kinds.get(kind, {}).values())))

    def count(self, kind: str) -> int:
        return len(self._kinds.get(kind, {}))

    # --- Changing ------------------------------------------------------------------------------------------

    def add(
        self, kind: str, data: dict[str, Any], hidden: dict[str, Any] | None = None, raw: str | None = None
    ) -> Record:
        self._seq += 1
        record = Record(kind, data["id"], self._seq, data, hidden or {}, raw)
        self._kinds.setdefault(kind, {})[record.id] = record
        self.save(record)
        return record

    def save(self, record: Record) -> None:
        """Note that a record changed: keeps the indexes right and queues it for the next flush."""
        keys = [(record.kind, name, value) for name in INDEXED if (value := ref(record.data.get(name)))]
        if keys != record.keys:
            for key in record.keys:
                self._index.get(key, {}).pop(record.id, None)
            for key in keys:
                self._index.setdefault(key, {})[record.id] = record
            record.keys = keys
        if self._db:
            self._dirty[record.seq] = record

    def remove(self, record: Record) -> None:
        self._kinds[record.kind].pop(record.id, None)
        for key in record.keys:
            self._index.get(key, {}).pop(record.id, None)
        if self._db:
            self._dirty[record.seq] = None

    def clear(self) -> None:
        with self._io, self.lock:
            self._kinds.clear()
            self._index.clear()
            self._dirty.clear()
            self.meta.clear()
            if self._db:
                self._db.execute("delete from objects")
                self._db.execute("delete from meta")
                self._db.commit()

    # --- Keeping -------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed since the last flush, in one transaction."""
        if not self._db:
            return
        with self._io:
            with self.lock:
                kept = [row_of(record) for record in self._dirty.values() if record]
                gone = [(seq,) for seq, record in self._dirty.items() if record is None]
                self._dirty.clear()
                meta = [] if self.meta == self._kept_meta else list(self.meta.items())
                self._kept_meta = dict(self.meta)
            if not (kept or gone or meta):
                return
            self._db.executemany("delete from objects where seq = ?", gone)
            self._db.executemany(
                f"insert or replace into objects ({COLUMNS}) values (?, ?, ?, ?, ?, ?)", kept
            )
            self._db.executemany("insert or replace into meta values (?, ?)", meta)
            self._db.commit()

    def close(self) -> None:
        self.flush()
        if self._db:
            with self._io:
                self._db.close()

    def _load(self, db: sqlite3.Connection) -> None:
        for seq, kind, id, data, hidden, raw in db.execute(f"select {COLUMNS} from objects order by seq"):
            record = Record(kind, id, seq, json.loads(data), json.loads(hidden), raw)
            self._kinds.setdefault(kind, {})[id] = record
            self.save(record)
            self._seq = seq
        self.meta = dict(db.execute("select name, value from meta"))
        self._kept_meta = dict(self.meta)
        self._dirty.clear()


def ref(value: Any) -> str | None:
    """The id that a reference holds."""
    return value if isinstance(value, str) and value else None


def row_of(record: Record) -> tuple[Any, ...]:
    return (record.seq, record.kind, record.id, encode(record.data), encode(record.hidden), record.raw)


def open_database(folder: Path) -> sqlite3.Connection:
    """The state file in a folder, made if need be. Raises StateError in one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(folder / "stripe.sqlite3", check_same_thread=False, timeout=2)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = off")
        db.executescript(SCHEMA)
        db.execute("select count(*) from objects where seq < 0").fetchone()
        return db
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"Stripe stand-in: the state folder {folder} cannot be used: {error}") from error
