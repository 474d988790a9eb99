"""Publishing and reading the catalog. Versions are immutable, so a reader may keep one for ever."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import cast

from chalicelib.application.context import Context, deciding
from chalicelib.application.records import environment_key
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.catalog_difference import Change, difference
from chalicelib.domain.catalog_document import CatalogDocument
from chalicelib.domain.catalog_rules import read_catalog
from chalicelib.domain.environment import Environment
from chalicelib.domain.errors import NotFoundError, PreconditionFailedError, PreconditionRequiredError


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """`catalog` as published, or as it would be when not `published`; `changes` from the version before it."""

    catalog: Catalog
    changes: tuple[Change, ...]
    published: bool


def publish_catalog(
    ctx: Context, document: CatalogDocument, *, expected: int | None, dry_run: bool = False
) -> Publication:
    """Make the document the next version, or with `dry_run` only say what would change.

    `expected` is the version that the publisher built upon (None: nothing, allowed for the first one only).
    InvalidDocumentError, PreconditionRequiredError, PreconditionFailedError. Safe to run twice: the content
    that is current already is not published again, and the environment's record moves in the transaction that
    writes the version, so of two publishers who built upon one version the second is refused.
    """
    # Checked once, before any read: what is wrong does not depend on what is current.
    draft = read_catalog(document, version=1)

    def decide() -> Publication:
        environment = _environment(ctx)
        current = _published(ctx, environment)
        following = replace(draft, version=environment.catalog_version + 1)
        changes = difference(current, following)
        if current is not None and replace(following, version=current.version) == current:
            return Publication(catalog=current, changes=(), published=False)
        _require_expected(expected, environment.catalog_version)
        if not dry_run:
            ctx.store.commit(ctx.env, replace(environment, catalog_version=following.version), following)
        return Publication(catalog=following, changes=changes, published=not dry_run)

    return deciding(decide)


def publish_default(ctx: Context) -> Catalog:
    """The shipped catalog as version 1 of an environment that has none; else the current one, untouched."""
    environment = _environment(ctx)
    current = _published(ctx, environment)
    if current is not None:
        return current
    try:
        return publish_catalog(ctx, default_document(), expected=None).catalog
    except PreconditionRequiredError:  # somebody published a moment ago
        return current_catalog(ctx)


def default_document() -> CatalogDocument:
    """The catalog that ships: five plans in four currencies, to start from."""
    text = (files("chalicelib") / "data" / "default_catalog.json").read_text(encoding="utf-8")
    return cast(CatalogDocument, json.loads(text))


def current_catalog(ctx: Context) -> Catalog:
    """The version that new subscriptions buy; NotFoundError before anything was published."""
    catalog = _published(ctx, _environment(ctx))
    if catalog is None:
        raise NotFoundError("no catalog is published yet", fix="publish one with PUT /v1/catalog")
    return catalog


def catalog_version(ctx: Context, version: int) -> Catalog:
    """One version, current or not; NotFoundError if it was never published."""
    return ctx.catalogs.version(ctx.env, version)


def _environment(ctx: Context) -> Environment:
    environment = ctx.store.get(environment_key(ctx.env))
    if environment is None:
        raise NotFoundError("there is no such environment", id=ctx.env)
    return environment


def _published(ctx: Context, environment: Environment) -> Catalog | None:
    if environment.catalog_version == 0:
        return None
    return catalog_version(ctx, environment.catalog_version)


def _require_expected(expected: int | None, current: int) -> None:
    if expected is None and current > 0:
        raise PreconditionRequiredError(
            f"version {current} is published: say that you build upon it",
            field="If-Match",
            fix=f'send If-Match: "{current}" after looking at GET /v1/catalog',
        )
    if expected is not None and expected != current:
        raise PreconditionFailedError(
            f"the current version is {current}, not {expected}",
            field="If-Match",
            fix=f'compare with GET /v1/catalog and repeat with If-Match: "{current}"',
        )
