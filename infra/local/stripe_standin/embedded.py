"""The stand-in inside a test process: the server on a free port, an SDK client, and its control API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .context import Settings
from .server import Server

if TYPE_CHECKING:
    from stripe import StripeClient

KEY, WEBHOOK_SECRET = "sk_test_embedded", "whsec_embedded"


class Embedded:
    """A running stand-in. `control` sends an order and answers its JSON; a refusal raises AssertionError."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url

    def client(self, key: str = KEY, *, retries: int = 0) -> StripeClient:
        import stripe

        return stripe.StripeClient(key, base_addresses={"api": self.url}, max_network_retries=retries)

    def control(
        self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_control/{path}", data, {"Content-Type": "application/json"}
        )
        request.method = method or ("GET" if body is None else "POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                given: dict[str, Any] = json.load(answer)
                return given
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error


@contextmanager
def standin(*, state: Path | None = None, port: int = 0, **settings: Any) -> Iterator[Embedded]:
    """Run the stand-in until the block ends; `settings` are those of `Settings`."""
    chosen: dict[str, Any] = {
        "secret_keys": [KEY],
        "webhook_secret": WEBHOOK_SECRET,
        "retry_wait": 0.05,
        **settings,
    }
    server = Server(Settings(**chosen), port=port, state=state)
    server.start()
    try:
        yield Embedded(server)
    finally:
        server.stop()
