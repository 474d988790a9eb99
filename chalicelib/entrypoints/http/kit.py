"""Endpoints for Chalice blueprints: declare a route, get a checked call, return a view.

    bp = Blueprint(__name__)

    class NoteRequest(Schema):                 # unknown fields refused, strict types, frozen
        text: str = Field(min_length=1, max_length=500)

    class NoteView(View):
        id: str
        text: str

    @endpoint(bp, "POST", "/v1/notes", body=NoteRequest, answer=NoteView, status=201, scope=Scope.WRITE,
              tag="Notes", summary="Write a note", errors=(AlreadyExistsError,))
    def create(call: Call[NoteRequest]) -> NoteView:
        return note_view(notes.write_note(call.ctx, call.body.text))

The decorator does the rest: key and scope, environment and clock, size, JSON, card numbers, schema, query,
idempotency, errors as problems, headers, CORS. The handler stays callable as it is. A route that declares
neither `scope` nor `publishable` nor `public` cannot be imported.

- `scope=` a secret key with this scope · `publishable=True` a publishable key, or a secret key with `scope`
  (read unless stated) · `public=True` no key: `call.ctx` is not there, `call.entering(env, actor)` makes one.
- `body=` the body's Schema; without one a body is refused · `query=` the query's Schema (`call.query`).
- `answer=` the View of success, `status=` its status, `also={202: "why"}` other statuses of success.
- Return a View, None (with status 204), or `Reply(content=view, status=…, headers=…)`; an ETag among the headers
  answers If-None-Match by itself. `Reply(content="<html>…", headers={"Content-Type": "text/html"})` for pages.
- `errors=` the DomainErrors that the handler raises, for the API's description; the usual ones are added.
- `secrets={"token": lambda call, stored: …}` top-level fields of the answer that must not be kept: a repeated
  request computes them again.
- `raw=True` the body is not ours to parse (webhooks, forms): read `call.raw`; `content_types=` what is accepted.
- `media=` the type of an answer that is bytes; it is sent to those who ask for it first (`Accept`).
- `cors=True` any web page may call it (the default for publishable and public routes with JSON).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chalice.app import Blueprint, CORSConfig, Response
from pydantic import BaseModel

from chalicelib.domain.credentials import Scope
from chalicelib.domain.errors import DomainError
from chalicelib.entrypoints.http.bodies import Schema, View
from chalicelib.entrypoints.http.edge import unexpected
from chalicelib.entrypoints.http.endpoints import ENDPOINTS, Call, Endpoint, Recompute, Reply
from chalicelib.entrypoints.http.limiting import CAPTCHA_HEADER
from chalicelib.entrypoints.http.serving import CURRENT, serve

__all__ = ["Call", "Reply", "Schema", "Scope", "View", "endpoint"]

H = TypeVar("H", bound=Callable[..., Any])

CORS = CORSConfig(
    allow_headers=["Idempotency-Key", "If-None-Match", CAPTCHA_HEADER],
    expose_headers=["ETag", "Idempotent-Replayed", "Retry-After", "X-Request-Id"],
    max_age=600,
)
"""Any origin: what these routes show is public, or opened by the caller's own key; there are no cookies."""

_SAFE = {"GET", "DELETE"}


def endpoint(
    bp: Blueprint,
    method: str,
    path: str,
    *,
    tag: str,
    summary: str,
    scope: Scope | None = None,
    publishable: bool = False,
    public: bool = False,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    answer: type[BaseModel] | None = None,
    status: int = 200,
    errors: tuple[type[DomainError], ...] = (),
    also: Mapping[int, str] | None = None,
    secrets: Mapping[str, Recompute] | None = None,
    raw: bool = False,
    content_types: Sequence[str] = (),
    media: str | None = None,
    cors: bool | None = None,
    hidden: bool = False,
) -> Callable[[H], H]:
    """Declare a route (see the module). `hidden` keeps it out of the API's description: pages, webhooks."""
    _require_policy(method, path, scope=scope, publishable=publishable, public=public)

    def declare(handler: H) -> H:
        declared = Endpoint(
            method=method,
            path=path,
            handler=handler,
            scope=scope or (Scope.READ if publishable else None),
            publishable=publishable,
            public=public,
            body=body,
            query=query,
            answer=answer,
            status=status,
            tag=tag,
            summary=summary,
            errors=errors,
            secrets=secrets or {},
            raw=raw,
            hidden=hidden,
            also=also or {},
            media=media,
        )
        ENDPOINTS[method, path] = declared
        open_to_pages = (publishable or public) and not raw if cors is None else cors
        accepted = list(content_types) or (["*/*"] if method in _SAFE else ["application/json"])
        _route(bp, declared, cors=open_to_pages, content_types=accepted)
        return handler

    return declare


def _route(bp: Blueprint, declared: Endpoint, *, cors: bool, content_types: list[str]) -> None:
    def view(**path: str) -> Response:
        try:
            return serve(declared, path)
        except Exception as error:  # the last line: Chalice would answer in its own words
            return unexpected(error, CURRENT.get())

    view.__name__ = declared.handler.__name__
    options: dict[str, Any] = {"content_types": content_types} | ({"cors": CORS} if cors else {})
    bp.route(declared.path, methods=[declared.method], **options)(view)


def _require_policy(method: str, path: str, *, scope: Scope | None, publishable: bool, public: bool) -> None:
    if public == (publishable or scope is not None):
        raise TypeError(f"{method} {path}: declare either scope= (and publishable=), or public=True")
