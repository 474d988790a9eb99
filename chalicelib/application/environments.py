"""Environments: live, and sandboxes with their own clock, keys and catalog."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.application.credentials import KeyRing, issue_key
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Store, VersionConflict
from chalicelib.application.records import catalog_key, environment_key
from chalicelib.domain import ids
from chalicelib.domain.credentials import ApiKey, KeyKind, Scope
from chalicelib.domain.environment import LIVE, Environment
from chalicelib.domain.errors import NotFoundError, ValidationError

_LISTED = "environments"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A new environment with its first two keys; the tokens are shown once."""

    environment: Environment
    secret_key: ApiKey
    secret_token: str
    publishable_key: ApiKey
    publishable_token: str


def open_environment(
    store: Store,
    ring: KeyRing,
    *,
    name: str,
    request_key: str,
    machine_now: datetime,
    start_at: datetime | None = None,
    catalog_of: str | None = None,
    live: bool = False,
) -> Opened:
    """Make an environment, give it an admin key and a publishable key, and copy the catalog of `catalog_of`.

    A sandbox's clock starts at `start_at` (machine time if None). May run twice: environment, keys and tokens
    derive from `request_key`, and what is there already is kept.
    """
    env = LIVE if live else f"sbx_{ids.token('sandbox', request_key)}"
    environment = create_environment(
        store, ring.ops, env, name=name, machine_now=machine_now, start_at=start_at, catalog_of=catalog_of
    )
    secret_key, secret_token = issue_key(
        ring,
        env,
        kind=KeyKind.SECRET,
        name="First secret key",
        scopes=(Scope.ADMIN,),
        request_key=request_key,
        machine_now=machine_now,
    )
    publishable_key, publishable_token = issue_key(
        ring,
        env,
        kind=KeyKind.PUBLISHABLE,
        name="First publishable key",
        scopes=(),
        request_key=request_key,
        machine_now=machine_now,
    )
    return Opened(
        environment=environment,
        secret_key=secret_key,
        secret_token=secret_token,
        publishable_key=publishable_key,
        publishable_token=publishable_token,
    )


def create_environment(
    store: Store,
    ops: Ops,
    env: str,
    *,
    name: str,
    machine_now: datetime,
    start_at: datetime | None = None,
    catalog_of: str | None = None,
) -> Environment:
    """The environment's record, or the one that is there already (running it again changes nothing).

    The current catalog of `catalog_of` becomes its version 1, in the same transaction.
    """
    existing = store.get(environment_key(env))
    if existing is None:
        clock = None if env == LIVE else (start_at or machine_now)
        environment = Environment(id=env, name=name, created_at=machine_now, clock=clock)
        catalog = _current_catalog(store, catalog_of)
        records = [environment] if catalog is None else [replace(environment, catalog_version=1), catalog]
        with suppress(VersionConflict):  # somebody ran the same request at the same time: theirs is as good
            store.commit(env, *records)
        existing = load_environment(store, env)
    if not existing.is_live:
        ops.create(
            _LISTED, existing.id, {"name": existing.name, "created_at": existing.created_at.isoformat()}
        )
    return existing


def load_environment(store: Store, env: str) -> Environment:
    """The environment as it is now (one consistent read), or NotFoundError."""
    environment = store.get(environment_key(env))
    if environment is None:
        raise NotFoundError("no such environment", id=env)
    return environment


def list_sandboxes(
    store: Store, ops: Ops, *, after: str | None = None, limit: int = 100
) -> tuple[list[Environment], str | None]:
    """A page of sandboxes in the order of their ids, and where the next one starts."""
    rows = ops.query(_LISTED, after=after, limit=limit)
    found = store.get_many([environment_key(row.sk) for row in rows]) if rows else []
    cursor = rows[-1].sk if len(rows) == limit else None
    return [environment for environment in found if environment is not None], cursor


def require_start(start_at: datetime | None, machine_now: datetime) -> datetime | None:
    """A sandbox may start at any instant within ten years of today."""
    if start_at is not None and abs((start_at - machine_now).days) > 3660:
        raise ValidationError(
            "the clock must start within ten years of today", field="start_at", fix="move it"
        )
    return start_at


def _current_catalog(store: Store, env: str | None) -> object | None:
    if env is None:
        return None
    source = store.get(environment_key(env))
    if source is None or source.catalog_version == 0:
        return None
    catalog = store.get(catalog_key(env, source.catalog_version))
    return None if catalog is None else replace(catalog, version=1)
