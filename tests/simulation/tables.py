"""The tables under a simulated installation: in memory, or in memory and on a real engine at once.

On a real engine every read and every write is done in both, and both must say the same: a difference is a
violation, and what the real one says is what the application gets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application.ops import Document
from chalicelib.application.ports import DueRow, VersionConflict
from tests.simulation.faults import Violation


@dataclass
class Tables:
    """Billing and operations table."""

    billing: MemoryStore = field(default_factory=MemoryStore)
    ops: Any = field(default_factory=MemoryOps)


def beside(store: Any, ops: Any) -> Tables:
    """Both in memory and in the given, empty tables of a real engine."""
    return Tables(_TwinStore(store), _TwinOps(ops))


class _TwinStore(MemoryStore):
    def __init__(self, real: Any) -> None:
        super().__init__()
        self._real = real

    def get(self, key: Any) -> Any:
        return _agreed("get", self._real.get(key), super().get(key))

    def get_many(self, keys: Sequence[Any], *, consistent: bool = True) -> list[Any | None]:
        real = self._real.get_many(keys, consistent=consistent)
        return _agreed("get_many", real, super().get_many(keys, consistent=consistent))

    def children(self, *args: Any, **kwargs: Any) -> Any:
        return _agreed("children", self._real.children(*args, **kwargs), super().children(*args, **kwargs))

    def standing(self, env: str, customer: str) -> Any:
        return _agreed("standing", self._real.standing(env, customer), super().standing(env, customer))

    def listing(self, *args: Any, **kwargs: Any) -> Any:
        real, memory = self._real.listing(*args, **kwargs), super().listing(*args, **kwargs)
        _agreed("listing", real.records, memory.records)
        return real

    def due(self, *args: Any, **kwargs: Any) -> list[DueRow]:
        """Rows of one instant have no order among them."""
        real, memory = self._real.due(*args, **kwargs), super().due(*args, **kwargs)
        _agreed("due", sorted(real, key=_place), sorted(memory, key=_place))
        return memory

    def commit(self, env: str, *records: Any, delete: Sequence[Any] = ()) -> None:
        def by(commit: Callable[..., None]) -> bool:
            try:
                commit(env, *records, delete=delete)
            except VersionConflict:
                return False
            return True

        if not _agreed("commit", by(self._real.commit), by(super().commit)):
            raise VersionConflict


class _TwinOps:
    def __init__(self, real: Any) -> None:
        self._real = real
        self._memory = MemoryOps()

    def __getattr__(self, name: str) -> Any:
        real, memory = getattr(self._real, name), getattr(self._memory, name)

        def both(*args: Any, **kwargs: Any) -> Any:
            return _agreed(name, real(*args, **kwargs), memory(*args, **kwargs), seen=_without_expiry)

        return both


def _agreed(what: str, real: Any, memory: Any, seen: Callable[[Any], Any] = lambda answer: answer) -> Any:
    if seen(real) != seen(memory):
        raise Violation(f"{what}: the engine says {real}, memory says {memory}")
    return real


def _without_expiry(answer: Any) -> Any:
    """Real tables keep whole seconds."""
    match answer:
        case Document():
            return replace(answer, expires_at=None)
        case list():
            return [_without_expiry(each) for each in answer]
    return answer


def _place(row: DueRow) -> tuple[Any, ...]:
    return (row.at, row.kind, row.pk, row.sk)
