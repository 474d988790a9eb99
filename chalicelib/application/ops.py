"""The operations table: small JSON documents under (pk, sk) that expire by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """`data` holds JSON values only. `version` counts the writes. `expires_at`: the engine deletes it some time
    after; until then it is still read, so whoever minds compares it with machine time.
    """

    pk: str
    sk: str
    data: Mapping[str, Any]
    version: int
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a transaction. `version` is what must be stored before it; 0: nothing may be there."""

    pk: str
    sk: str
    data: Mapping[str, Any]
    version: int = 0


class Ops(Protocol):
    """Reads are consistent. Writes are conditional and answer whether they happened, never by an exception."""

    def get(self, pk: str, sk: str = "0") -> Document | None: ...

    def create(
        self, pk: str, sk: str, data: Mapping[str, Any], *, expires_at: datetime | None = None
    ) -> Document | None:
        """Store it if there is none; None if there is one (expired or not)."""
        ...

    def replace(
        self, document: Document, data: Mapping[str, Any], *, expires_at: datetime | None = None
    ) -> Document | None:
        """Store new content if nobody wrote since `document` was read, else None."""
        ...

    def put(self, pk: str, sk: str, data: Mapping[str, Any], *, expires_at: datetime | None = None) -> None:
        """Store it whatever was there (its version starts anew)."""
        ...

    def delete(self, pk: str, sk: str = "0") -> None: ...

    def query(
        self,
        pk: str,
        *,
        after: str | None = None,
        prefix: str = "",
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[Document]:
        """Up to `limit` documents in sort-key order, beyond `after` (which need not exist)."""
        ...

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Document | None]:
        """Up to 100 documents in one request, in the order asked."""
        ...

    def transact(self, writes: Sequence[Write]) -> bool:
        """Up to 100 writes, all or none. False: a condition failed, or somebody wrote at the same time."""
        ...

    def count(self, pk: str, sk: str, by: int = 1) -> int:
        """Add to a counter that starts at 0 and answer its new value: gapless, one winner per value."""
        ...

    def take(
        self,
        pk: str,
        sk: str,
        amounts: Mapping[str, int],
        *,
        at_most: Mapping[str, int],
        expires_at: datetime,
    ) -> tuple[str, ...]:
        """Add to several counters of one document, all or none: none when one in `at_most` would pass it.

        Answers the names of those that would; nothing means that all were added. One write, also when refused.
        An answer that was lost and asked for again may count twice, never too little.
        """
        ...


def over(
    present: Mapping[str, int], amounts: Mapping[str, int], at_most: Mapping[str, int]
) -> tuple[str, ...]:
    """The counters that `amounts` would lift above what is allowed."""
    return tuple(name for name, most in at_most.items() if present.get(name, 0) + amounts.get(name, 0) > most)
