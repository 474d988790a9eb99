"""Catalog versions, read once per process: they never change."""

from __future__ import annotations

from functools import lru_cache

from chalicelib.application.ports import Store
from chalicelib.application.records import catalog_key
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.errors import NotFoundError


class CachedCatalogs:
    def __init__(self, store: Store, *, size: int = 256) -> None:
        self._store = store
        self._cached = lru_cache(maxsize=size)(self._read)

    def version(self, env: str, version: int) -> Catalog:
        """The version, or NotFoundError (which is not remembered) when it was never published."""
        return self._cached(env, version)

    def _read(self, env: str, version: int) -> Catalog:
        catalog = self._store.get(catalog_key(env, version))
        if catalog is None:
            raise NotFoundError("no such catalog version", id=str(version))
        return catalog
