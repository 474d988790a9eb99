"""Running a use case up to its first commit to see what it would write: nothing is written, nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from chalicelib.application.context import Context, Services
from chalicelib.application.records import Key, key_of
from chalicelib.domain.errors import InvalidStateError

Records = tuple[Any, ...]
Check = Callable[[Records], None]


def dry_run(ctx: Context, use_case: Callable[[Context], object]) -> Records:
    """The records of the first commit that the use case would make, () where it would make none.

    Whatever refuses the use case is raised. InvalidStateError where it would ask the processor first.
    """

    def stop(records: Records) -> None:
        raise _Stopped(records)

    try:
        use_case(watched(ctx, stop, dry=True))
    except _Stopped as stopped:
        return stopped.records
    return ()


def watched(ctx: Context, check: Check, *, dry: bool = False) -> Context:
    """The context with a store that shows each commit to `check` before it makes it; for a dry run without the
    processor.
    """
    return replace(ctx, services=cast(Services, _Around(ctx.services, _Store(ctx.store, check), dry=dry)))


def as_if(ctx: Context, records: Sequence[Any]) -> Context:
    """The context in which these records were written already, to whoever reads them by their keys."""
    return replace(ctx, services=cast(Services, _Around(ctx.services, _Overlay(ctx, records))))


class _Stopped(Exception):
    def __init__(self, records: Records) -> None:
        super().__init__()
        self.records = records


class _Around:
    """Services with another store."""

    def __init__(self, services: Services, store: Any, *, dry: bool = False) -> None:
        self._services = services
        self._dry = dry
        self.store = store

    @property
    def gateway(self) -> Any:
        return _Silent(self._services.gateway) if self._dry else self._services.gateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)


class _Store:
    def __init__(self, store: Any, check: Check) -> None:
        self._store = store
        self._check = check

    def commit(self, env: str, *records: Any, **more: Any) -> None:
        self._check(records)
        self._store.commit(env, *records, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Overlay:
    def __init__(self, ctx: Context, records: Sequence[Any]) -> None:
        self._store: Any = ctx.store
        self._written = {(key.pk, key.sk): r for r in records for key in (key_of(ctx.env, r),)}

    def get(self, key: Key[Any]) -> Any:
        found = self._written.get((key.pk, key.sk))
        return self._store.get(key) if found is None else found

    def get_many(self, keys: Sequence[Key[Any]], **more: Any) -> list[Any]:
        found = self._store.get_many(keys, **more)
        return [self._written.get((key.pk, key.sk), old) for key, old in zip(keys, found, strict=True)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Silent:
    """The processor as a dry run may use it: for what it says without being asked."""

    def __init__(self, gateway: Any) -> None:
        self.minimum = gateway.minimum
        self.movable = gateway.movable

    def __getattr__(self, name: str) -> Any:
        raise InvalidStateError("this cannot be previewed", fix="do it without a preview")
