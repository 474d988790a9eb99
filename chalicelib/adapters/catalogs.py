"""Catalog versions, read once per process: they never change."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from chalicelib.application.ports import Store
from chalicelib.application.records import catalog_key, environment_key
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import NotFoundError

CURRENT_FOR: Final = timedelta(seconds=60)
"""How long the number of the live environment's current version is taken to be so."""


class CachedCatalogs:
    def __init__(self, store: Store, *, size: int = 256) -> None:
        self._store = store
        self._cached = lru_cache(maxsize=size)(self._read)
        self._live: tuple[datetime, int] | None = None

    def version(self, env: str, version: int) -> Catalog:
        """The version, or NotFoundError (which is not remembered) when it was never published."""
        return self._cached(env, version)

    def in_force(self, env: str, machine_now: datetime) -> Catalog | None:
        seen = self._live if env == LIVE else None
        if seen is None or not seen[0] <= machine_now < seen[0] + CURRENT_FOR:
            environment = self._store.get(environment_key(env))
            seen = (machine_now, environment.catalog_version if environment else 0)
            if env == LIVE:
                self._live = seen
        return self.version(env, seen[1]) if seen[1] else None

    def _read(self, env: str, version: int) -> Catalog:
        catalog = self._store.get(catalog_key(env, version))
        if catalog is None:
            raise NotFoundError("no such catalog version", id=str(version))
        return catalog
