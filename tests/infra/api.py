"""The application behind Chalice's test client, on engines in memory, with the keys of two environments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode

from chalice.test import Client

from app import app
from chalicelib import composition
from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.adapters.memory import MemoryStore
from chalicelib.adapters.memory.fakes import MemoryShelf
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application.context import Context
from chalicelib.application.environments import Opened, open_environment

NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
PUBLIC_URL = "https://billing.test"


class Answer:
    """An HTTP answer: `status`, `headers`, `text`, and `json` where it is JSON."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers: dict[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.text: str = response.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Api:
    """`api("GET", "/v1/…")` asks with the sandbox's secret key. `now` moves on by a second per request."""

    def __init__(self, store: Any, client: Client, now: datetime = NOW) -> None:
        self.store = store
        self.now = now
        self._client = client
        self._keys = count()
        ops = MemoryOps()
        self.services = composition.Services(
            store=store,
            ops=ops,
            pepper=b"p" * 32,
            public_url=PUBLIC_URL,
            catalogs=CachedCatalogs(store),
            shelf=MemoryShelf(),
            machine_now=lambda: self.now,
        )
        self.sandbox = self.open("sandbox")
        self.live = self.open("live", live=True)

    def open(self, name: str, *, live: bool = False) -> Opened:
        return open_environment(
            self.store, self.services.keys, name=name, request_key=name, machine_now=self.now, live=live
        )

    def context(self, env: str | None = None, key: str = "") -> Context:
        """What a use case is handed in the sandbox (or `env`)."""
        name = key or f"request-{next(self._keys)}"
        return Context(
            env=env or self.sandbox.environment.id,
            now=self.now,
            machine_now=self.now,
            services=self.services,
            request_key=name,
            request_print=name,
        )

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        self.now += timedelta(seconds=1)
        sent = (
            {"Authorization": f"Bearer {self.sandbox.secret_token if key is None else key}"}
            if key != ""
            else {}
        )
        if body is not None:
            sent["Content-Type"] = "application/json"
        address = f"{path}?{urlencode(query)}" if query else path
        content = b"" if body is None else json.dumps(body).encode()
        return Answer(
            self._client.http.request(method, address, headers=sent | (headers or {}), body=content)
        )


@contextmanager
def api_on(store: Any = None, now: datetime = NOW) -> Iterator[Api]:
    """The application on `store` (in memory if None) for the length of the block."""
    with Client(app) as client:
        api = Api(store or MemoryStore(), client, now)
        with composition.use(api.services):
            yield api
