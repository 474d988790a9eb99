"""HTTP/1.1 with keep-alive, a thread per connection, and one write per answer."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, cast

from . import api, control, pages
from .api import Answer, Request
from .checkout import lapsed
from .context import Call, Settings, Standin, dumps
from .faults import Faults
from .idempotency import Keys
from .store import Store
from .webhooks import Deliveries

MAX_BODY = 1024 * 1024
FLUSH_EVERY, SWEEP_EVERY = 0.25, 1.0
REASONS = {200: "OK", 303: "See Other", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
           404: "Not Found", 409: "Conflict", 410: "Gone", 429: "Too Many Requests",
           500: "Internal Server Error"}  # fmt: skip


class Server(ThreadingTCPServer):
    """The stand-in on a loopback port. `start` runs it in threads of its own; `stop` keeps its state."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, settings: Settings, *, port: int = 0, state: Path | None = None) -> None:
        store = Store(state)
        self.standin = Standin(settings, store, Keys(store), Faults(), Deliveries(settings))
        self._stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError:
            store.close()
            raise
        settings.public_url = settings.public_url or self.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self.resume_deliveries()
        self.standin.deliveries.start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            hang_up(connection)
        self._stopping.set()
        self._keeper.join()
        self.standin.deliveries.close()
        self._note_undelivered()
        self.standin.store.close()

    def resume_deliveries(self) -> None:
        """Queue again what an earlier run had not delivered."""
        store = self.standin.store
        for id in filter(None, store.meta.get("undelivered", "").split(",")):
            if (event := store.get("event", id)) and event.raw:
                self.standin.deliveries.push(id, event.data["type"], event.raw)

    def _keep(self) -> None:
        """Write state behind, and close sessions whose time is over."""
        swept = time.monotonic()
        while not self._stopping.wait(FLUSH_EVERY):
            if time.monotonic() - swept >= SWEEP_EVERY:
                swept = time.monotonic()
                self._sweep()
            self._note_undelivered()
            self.standin.store.flush()

    def _sweep(self) -> None:
        store = self.standin.store
        with store.lock:
            for session in store.newest_first("checkout.session"):
                lapsed(Call(self.standin, livemode=session.data["livemode"]), session)

    def _note_undelivered(self) -> None:
        ids = ",".join(self.standin.deliveries.undelivered())
        with self.standin.store.lock:
            self.standin.store.meta["undelivered"] = ids

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120
    server: Server

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self.send(Answer(413, dumps({"error": {"message": "The body is too large."}})))
            return
        body = self.rfile.read(length) if length else b""
        path, _, query = self.path.partition("?")
        self.send(
            route(
                self.server.standin,
                Request(self.command, path, query, cast(Mapping[str, str], self.headers), body),
            )
        )

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 (the base class looks these names up)

    def send(self, answer: Answer) -> None:
        if answer.lost:
            self.close_connection = True
            hang_up(self.connection)
            return
        body = answer.body.encode()
        lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Other')}",
                 f"Content-Type: {answer.content_type}", f"Content-Length: {len(body)}"]  # fmt: skip
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if self.close_connection:
            lines.append("Connection: close")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: requests may carry card numbers."""


def route(standin: Standin, request: Request) -> Answer:
    try:
        if request.path.startswith("/v1/"):
            return api.answer(standin, request)
        if request.path.startswith("/c/"):
            return pages.answer(standin, request)
        if request.path.startswith("/_control/"):
            return control.answer(standin, request)
        return Answer(
            404, dumps({"error": {"message": "Unrecognized request URL.", "type": "invalid_request_error"}})
        )
    except Exception:  # a bug in the stand-in must not look like a refusal of Stripe's
        traceback.print_exc(file=sys.stderr)
        return Answer(500, dumps({"error": {"message": "The stand-in failed.", "type": "api_error"}}))


def hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
