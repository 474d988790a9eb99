"""The catalog in force: read anew in a sandbox, at most a minute old for live."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application.records import environment_key
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.environment import LIVE, Environment

NOW = datetime(2027, 3, 1, tzinfo=UTC)
SANDBOX = f"sbx_{'a' * 26}"


def published(store: MemoryStore, env: str, version: int) -> None:
    environment = store.get(environment_key(env)) or Environment(id=env, name=env, created_at=NOW)
    store.commit(env, replace(environment, catalog_version=version), Catalog(version=version))


@pytest.mark.parametrize(("env", "after_half_a_minute"), [(LIVE, 1), (SANDBOX, 2)])
def test_a_new_version_is_in_force_within_a_minute(env: str, after_half_a_minute: int) -> None:
    store = MemoryStore()
    catalogs = CachedCatalogs(store)
    assert catalogs.in_force(env, NOW - timedelta(hours=1)) is None
    for version, seconds, seen in ((1, 0, 1), (2, 30, after_half_a_minute), (2, 60, 2)):
        if seconds < 60:
            published(store, env, version)
        found = catalogs.in_force(env, NOW + timedelta(seconds=seconds))
        assert found is not None
        assert found.version == seen


def test_a_clock_that_went_back_is_not_believed_for_long() -> None:
    store = MemoryStore()
    catalogs = CachedCatalogs(store)
    published(store, LIVE, 1)
    assert catalogs.in_force(LIVE, NOW) == Catalog(version=1)
    published(store, LIVE, 2)
    assert catalogs.in_force(LIVE, NOW - timedelta(seconds=1)) == Catalog(version=2)
