"""The application over HTTP in this process: memory adapters, a clock that the test moves, and a few routes that
misbehave on request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from chalice.app import Blueprint, Chalice
from chalice.test import Client, HTTPResponse
from pydantic import Field

import app as application
from chalicelib import composition
from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.adapters.memory.fakes import MemoryShelf
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application.environments import open_environment
from chalicelib.domain.credentials import KeyKind
from chalicelib.domain.errors import AlreadyExistsError
from chalicelib.entrypoints.http import edge
from chalicelib.entrypoints.http.kit import Call, Reply, Schema, Scope, View, endpoint

bp = Blueprint(__name__)


class Trouble:
    """What the next call of POST /t/things does instead, and how often it ran."""

    error: BaseException | None = None
    runs: list[str] = []


class Part(Schema):
    quantity: int = Field(ge=1)


class ThingRequest(Schema):
    name: str = ""
    parts: list[Part] = []
    note: dict[str, str] = {}


class ThingView(View):
    name: str
    request_key: str
    secret: str


class ThingQuery(Schema):
    limit: int = Field(default=10, ge=1, le=100)
    since: datetime | None = None


def _secret(call: Call[Any], _stored: Any) -> str:
    return f"secret-of-{call.request_key}"


@endpoint(
    bp, "POST", "/t/things", body=ThingRequest, answer=ThingView, status=201, scope=Scope.WRITE, tag="T",
    summary="A thing", errors=(AlreadyExistsError,), secrets={"secret": _secret}, hidden=True,
)  # fmt: skip
def create_thing(call: Call[ThingRequest]) -> ThingView:
    Trouble.runs.append(call.request_key)
    if Trouble.error is not None:
        error, Trouble.error = Trouble.error, None
        raise error
    return ThingView(name=call.body.name, request_key=call.request_key, secret=_secret(call, None))


@endpoint(
    bp, "GET", "/t/things/{id}", query=ThingQuery, scope=Scope.READ, tag="T", summary="One", hidden=True
)
def get_thing(call: Call[None]) -> Reply:
    body = json.dumps({"id": call.path["id"], "limit": call.query.limit, "now": call.ctx.now.isoformat()})
    return Reply(content=body, headers={"ETag": '"v7"', "Content-Type": "application/json"})


@endpoint(
    bp, "DELETE", "/t/things/{id}", status=204, scope=Scope.REFUND, tag="T", summary="Drop", hidden=True
)
def drop_thing(call: Call[None]) -> None:
    return None


@endpoint(bp, "GET", "/t/open", publishable=True, tag="T", summary="For pages", hidden=True)
def for_pages(call: Call[None]) -> Reply:
    return Reply(content=call.ctx.env, headers={"Content-Type": "text/plain"})


@endpoint(
    bp,
    "POST",
    "/t/hook",
    public=True,
    raw=True,
    content_types=["text/plain"],
    tag="T",
    summary="",
    hidden=True,
)
def hook(call: Call[None]) -> Reply:
    return Reply(content=call.raw.decode()[::-1], headers={"Content-Type": "text/plain"})


@endpoint(bp, "GET", "/t/broken", public=True, tag="T", summary="Broken", hidden=True)
def broken(call: Call[None]) -> None:
    raise RuntimeError("canary-in-the-message")


@endpoint(bp, "GET", "/t/left", scope=Scope.READ, tag="T", summary="Time left", hidden=True)
def left(call: Call[None]) -> Reply:
    return Reply(content=str(call.services.time_left()), headers={"Content-Type": "text/plain"})


def copy_of_app() -> Chalice:
    """The real application's routes in an application of its own."""
    app = Chalice("perennial-test", configure_logs=False)
    app.routes.update({path: dict(methods) for path, methods in application.app.routes.items()})
    edge.install(app)
    return app


@cache
def build_app() -> Chalice:
    """The real application's routes and the ones above (a blueprint can be registered once)."""
    app = copy_of_app()
    app.register_blueprint(bp)
    return app


START = datetime(2027, 3, 1, 12, tzinfo=UTC)


class World:
    def __init__(self, client: Client, services: composition.Services, clock: list[datetime]) -> None:
        self.client = client
        self.services = services
        self._clock = clock
        self.live = open_environment(
            services.store, services.keys, name="Live", request_key="live", machine_now=START, live=True
        )
        self.sandbox = open_environment(
            services.store,
            services.keys,
            name="Test",
            request_key="test",
            machine_now=START,
            start_at=datetime(2020, 1, 31, tzinfo=UTC),
        )

    @property
    def now(self) -> datetime:
        return self._clock[0]

    def wait(self, **duration: float) -> None:
        """Move machine time."""
        self._clock[0] += timedelta(**duration)

    def key(self, *scopes: Scope, kind: KeyKind = KeyKind.SECRET, env: str | None = None) -> str:
        """A new key's token, of the sandbox unless stated."""
        from chalicelib.application.credentials import issue_key

        name = f"{env}{kind}{scopes}"
        _, token = issue_key(
            self.services.keys,
            env or self.sandbox.environment.id,
            kind=kind,
            name=name,
            scopes=tuple(scopes),
            request_key=name,
            machine_now=START,
        )
        return token

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        idempotency_key: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> HTTPResponse:
        """One request; with the sandbox's admin key unless `token` says otherwise (None: without)."""
        sent = dict(headers or {})
        if raw is not None or body is not None:
            sent.setdefault("Content-Type", "application/json")
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.sandbox.secret_token}")
        if idempotency_key is not None:
            sent["Idempotency-Key"] = idempotency_key
        payload = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return self.client.http.request(method, path, headers=sent, body=payload)


@contextmanager
def http_world() -> Iterator[World]:
    clock = [START]
    store = MemoryStore()
    services = composition.Services(
        store=store,
        ops=MemoryOps(),
        catalogs=CachedCatalogs(store),
        shelf=MemoryShelf(),
        pepper=b"pepper-for-tests-of-32-bytes-or-more",
        public_url="http://perennial.test",
        machine_now=lambda: clock[0],
    )
    Trouble.error, Trouble.runs = None, []
    with composition.use(services), Client(build_app()) as client:
        yield World(client, services, clock)
