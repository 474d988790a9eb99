"""The catalog over HTTP: publish, compare, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from chalice.app import Blueprint

from chalicelib.application import catalog as use_cases
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.catalog_document import CatalogDocument, write_catalog
from chalicelib.domain.errors import (
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    ValidationError,
)
from chalicelib.entrypoints.http.kit import Call, Reply, Scope, endpoint
from chalicelib.entrypoints.http.schemas.catalog import (
    CatalogRequest,
    CatalogView,
    ChangeView,
    PublicationView,
    PublishQuery,
)

bp = Blueprint(__name__)

_VERSION_TAG = re.compile(r'\s*(?:W/)?"?([1-9][0-9]{0,7})"?\s*')


@endpoint(
    bp,
    "PUT",
    "/v1/catalog",
    body=CatalogRequest,
    query=PublishQuery,
    answer=PublicationView,
    scope=Scope.ADMIN,
    tag="Catalog",
    summary='Publish the whole catalog as its next version; If-Match: "<version>" says what it builds upon',
    errors=(ValidationError, PreconditionFailedError, PreconditionRequiredError),
)
def publish(call: Call[CatalogRequest]) -> Reply:
    publication = use_cases.publish_catalog(
        call.ctx,
        cast(CatalogDocument, call.body.model_dump(mode="json")),
        expected=_expected(call.headers),
        dry_run=call.query.dry_run,
    )
    view = PublicationView(
        version=publication.catalog.version,
        published=publication.published,
        changes=[
            ChangeView(
                kind=change.kind,
                object=change.object,
                path=change.path,
                before=change.before,
                after=change.after,
            )
            for change in publication.changes
        ],
    )
    return Reply(content=view, headers={} if call.query.dry_run else _tag(publication.catalog))


@endpoint(
    bp,
    "GET",
    "/v1/catalog",
    answer=CatalogView,
    scope=Scope.READ,
    tag="Catalog",
    summary="The current catalog",
    errors=(NotFoundError,),
)
def current(call: Call[None]) -> Reply:
    return _reply(use_cases.current_catalog(call.ctx))


@endpoint(
    bp,
    "GET",
    "/v1/catalog/{version}",
    answer=CatalogView,
    scope=Scope.READ,
    tag="Catalog",
    summary="One version of the catalog, current or not",
    errors=(NotFoundError,),
)
def version(call: Call[None]) -> Reply:
    match = re.fullmatch(r"[1-9][0-9]{0,7}", call.path["version"])
    if match is None:
        raise NotFoundError("there is no such catalog version", version=call.path["version"])
    return _reply(use_cases.catalog_version(call.ctx, int(match[0])))


def _reply(catalog: Catalog) -> Reply:
    view = CatalogView.model_validate({"version": catalog.version, **write_catalog(catalog)}, strict=False)
    return Reply(content=view, headers=_tag(catalog))


def _tag(catalog: Catalog) -> dict[str, str]:
    return {"ETag": f'"{catalog.version}"'}


def _expected(headers: Mapping[str, str]) -> int | None:
    """The version in If-Match. `*` and lists do not say which one was looked at."""
    given = headers.get("if-match")
    if given is None:
        return None
    match = _VERSION_TAG.fullmatch(given)
    if match is None:
        raise ValidationError(
            f"{given!r} does not name a catalog version",
            field="If-Match",
            fix='send one version, as If-Match: "3"',
        )
    return int(match[1])
