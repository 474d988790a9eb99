"""The operations table in memory, for tests: keeps the contract of the port, threads included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

from chalicelib.application.ops import Document, Write, over


class MemoryOps:
    def __init__(self) -> None:
        self._items: dict[tuple[str, str], tuple[str, int, datetime | None]] = {}
        self._counters: dict[tuple[str, str], int] = {}
        self._taken: dict[tuple[str, str], dict[str, int]] = {}
        self._lock = Lock()

    def get(self, pk: str, sk: str = "0") -> Document | None:
        item = self._items.get((pk, sk))
        return None if item is None else _document(pk, sk, item)

    def create(
        self, pk: str, sk: str, data: Mapping[str, Any], *, expires_at: datetime | None = None
    ) -> Document | None:
        with self._lock:
            if (pk, sk) in self._items:
                return None
            return self._write(pk, sk, data, 1, expires_at)

    def replace(
        self, document: Document, data: Mapping[str, Any], *, expires_at: datetime | None = None
    ) -> Document | None:
        with self._lock:
            present = self._items.get((document.pk, document.sk))
            if present is None or present[1] != document.version:
                return None
            return self._write(document.pk, document.sk, data, document.version + 1, expires_at)

    def put(self, pk: str, sk: str, data: Mapping[str, Any], *, expires_at: datetime | None = None) -> None:
        with self._lock:
            self._write(pk, sk, data, 1, expires_at)

    def delete(self, pk: str, sk: str = "0") -> None:
        with self._lock:
            self._items.pop((pk, sk), None)

    def query(
        self,
        pk: str,
        *,
        after: str | None = None,
        prefix: str = "",
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        with self._lock:
            found = sorted(sk for part, sk in self._items if part == pk and sk.startswith(prefix))
        if newest_first:
            found = [sk for sk in reversed(found) if after is None or sk < after]
        else:
            found = [sk for sk in found if after is None or sk > after]
        return [document for sk in found[:limit] if (document := self.get(pk, sk)) is not None]

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Document | None]:
        with self._lock:
            return [self.get(pk, sk) for pk, sk in keys]

    def transact(self, writes: Sequence[Write]) -> bool:
        with self._lock:
            for write in writes:
                present = self._items.get((write.pk, write.sk))
                if (present[1] if present else 0) != write.version:
                    return False
            for write in writes:
                self._write(write.pk, write.sk, write.data, write.version + 1, None)
            return True

    def count(self, pk: str, sk: str, by: int = 1) -> int:
        with self._lock:
            self._counters[pk, sk] = self._counters.get((pk, sk), 0) + by
            return self._counters[pk, sk]

    def take(
        self,
        pk: str,
        sk: str,
        amounts: Mapping[str, int],
        *,
        at_most: Mapping[str, int],
        expires_at: datetime,
    ) -> tuple[str, ...]:
        with self._lock:
            present = self._taken.setdefault((pk, sk), {})
            full = over(present, amounts, at_most)
            if not full:
                present.update({name: present.get(name, 0) + amount for name, amount in amounts.items()})
            return full

    def dump(self) -> str:
        """Everything that is stored, as text: tests look for what must not be in it."""
        return repr(sorted(self._items.items()))

    def _write(
        self, pk: str, sk: str, data: Mapping[str, Any], version: int, expires_at: datetime | None
    ) -> Document:
        item = (json.dumps(data), version, expires_at)
        self._items[pk, sk] = item
        return _document(pk, sk, item)


def _document(pk: str, sk: str, item: tuple[str, int, datetime | None]) -> Document:
    return Document(pk=pk, sk=sk, data=json.loads(item[0]), version=item[1], expires_at=item[2])
