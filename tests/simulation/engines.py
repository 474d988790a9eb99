"""The tables and queues of a simulated installation: they fail, lag and interleave where a fault says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application.ops import Write
from chalicelib.application.ports import DueRow, Letter
from chalicelib.application.records import key_of
from tests.simulation.faults import Trap


class SimStore:
    """Lazy reads may be a version behind; the due index may leave rows out and offer rows of the past."""

    def __init__(self, trap: Trap, tables: MemoryStore) -> None:
        self.tables = tables
        self._trap = trap
        self._before: dict[tuple[str, str], Any] = {}
        self._seen: list[DueRow] = []
        self.lag: tuple[Random, float] | None = None
        self.written: Callable[[Any, Any], None] = lambda before, record: None

    @property
    def committed(self) -> list[tuple[str, Any]]:
        """Every record ever written, in the order of the commits."""
        return self.tables.committed

    def records(self, type_: type) -> list[Any]:
        """Everything of one type."""
        found: list[Any] = self.tables.records(type_)
        return found

    def stored(self, key: Any) -> Any:
        """What is there, asked by an onlooker: no fault strikes."""
        return self.tables._at((key.pk, key.sk))

    def get(self, key: Any) -> Any:
        self._trap.boundary("read", "")
        return self.tables.get(key)

    def get_many(self, keys: Sequence[Any], *, consistent: bool = True) -> list[Any | None]:
        self._trap.boundary("read", "")
        found = self.tables.get_many(keys, consistent=consistent)
        if not consistent and self._trap.boundary("lazy_read", "") == "stale":
            return [self._before.get((k.pk, k.sk), now) for k, now in zip(keys, found, strict=True)]
        return found

    def children(self, *args: Any, **kwargs: Any) -> Any:
        self._trap.boundary("read", "")
        return self.tables.children(*args, **kwargs)

    def standing(self, env: str, customer: str) -> Any:
        self._trap.boundary("read", "")
        return self.tables.standing(env, customer)

    def listing(self, *args: Any, **kwargs: Any) -> Any:
        self._trap.alive()
        return self.tables.listing(*args, **kwargs)

    def commit(self, env: str, *records: Any, delete: Sequence[Any] = ()) -> None:
        what = "+".join(type(record).__name__ for record in records)
        self._trap.boundary("before_commit", what)
        keys = [key_of(env, record) for record in records]
        before = [self.stored(key) for key in keys]
        self.tables.commit(env, *records, delete=delete)
        for key, old, record in zip(keys, before, records, strict=True):
            self._before[key.pk, key.sk] = old
            self.written(old, record)
        self._trap.boundary("after_commit", what)

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        self._trap.alive()
        rows = self.tables.due(env, shard, until, limit)
        if self.lag is None:
            return rows
        random, rate = self.lag
        past = [row for row in self._seen[-30:] if random.random() < rate]
        self._seen += [row for row in rows if row not in self._seen]
        return [row for row in rows if random.random() >= rate] + past


class SimOps:
    """Whatever a dead process tries does not happen; the feed's writes are boundaries."""

    def __init__(self, trap: Trap, table: MemoryOps) -> None:
        self._trap = trap
        self._table = table

    def __getattr__(self, name: str) -> Any:
        self._trap.alive()
        return getattr(self._table, name)

    def transact(self, writes: Sequence[Write]) -> bool:
        self._trap.boundary("before_feed", "")
        done = self._table.transact(writes)
        self._trap.boundary("after_feed", "")
        return done


class SimQueues(MemoryQueues):
    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self._trap = trap

    def due(self, rows: Sequence[DueRow]) -> None:
        self._trap.boundary("send", "due rows")
        super().due(rows)

    def mail(self, messages: Sequence[Letter]) -> None:
        self._trap.boundary("send", "letters")
        super().mail(messages)
