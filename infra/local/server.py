"""Serves the Chalice app over HTTP as API Gateway would: fast enough to measure against.

Built on Chalice's own local gateway, with what that leaves out: one write per answer and no Nagle delay,
path parameters decoded, chunked bodies refused instead of hanging, HEAD, problem+json for what the gateway
itself answers, and the caller's address.
"""

from __future__ import annotations

import base64
import contextlib
import http
import json
import logging
import socket
import threading
from collections.abc import Callable
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import (
    ChaliceRequestHandler,
    ForbiddenError,
    LocalChalice,
    LocalDevServer,
    LocalGateway,
    LocalGatewayException,
    MatchResult,
    RouteMatcher,
    ThreadedHTTPServer,
)

from infra.local.engine import LOOPBACK
from infra.local.events import Context

log = logging.getLogger(__name__)

MAX_BODY = 10 * 1024 * 1024
"""API Gateway's own limit; the application's is lower and its own affair."""
API_TIMEOUT = 29.0
LOCAL_PAGES = "/_local/"

LocalPage = Callable[[str, str], tuple[int, dict[str, str], bytes]]
"""(path below /_local/, query) → status, headers, body: pages of the local system, not of the application."""


def create_server(
    app: Chalice,
    port: int,
    *,
    local_page: LocalPage | None = None,
    home: str | None = None,
    on_activity: Callable[[], None] = lambda: None,
) -> LocalDevServer:
    """A server on loopback, listening already; `serve_forever()` runs it. OSError when the port is taken.

    `home`: where the address without a path leads, as long as the app has nothing there.
    """
    app.__class__ = ThreadedChalice
    gateway = Gateway(app)
    handler = type(
        "Handler", (Handler,), {"gateway": gateway, "local_page": staticmethod(local_page or _none)}
    )
    handler.on_activity = staticmethod(on_activity)  # type: ignore[attr-defined]
    handler.home = None if "/" in app.routes else home  # type: ignore[attr-defined]
    return LocalDevServer(app, _config(), LOOPBACK, port, handler_cls=handler, server_cls=Server)


def _none(_path: str, _query: str) -> tuple[int, dict[str, str], bytes]:
    return problem(404, "not_found", "There is no such page.")


def _config() -> Config:
    return Config(chalice_stage="local", user_provided_params={"project_dir": "."}, config_from_disk={})


class ThreadedChalice(LocalChalice):
    """An app whose current request belongs to the thread that serves it."""

    _thread = threading.local()

    @property
    def lambda_context(self) -> Any:
        return self._thread.lambda_context

    @lambda_context.setter
    def lambda_context(self, value: Any) -> None:
        self._thread.lambda_context = value


class Router(RouteMatcher):
    """Chalice's matcher, with static segments before parameters, decoded parameters, and indexed by depth."""

    def __init__(self, route_urls: list[str]) -> None:
        super().__init__(route_urls)
        self._by_depth: dict[int, list[tuple[str, list[str]]]] = {}
        for url in sorted(route_urls, key=lambda url: [part.startswith("{") for part in url.split("/")]):
            parts = url.split("/")
            self._by_depth.setdefault(len(parts), []).append((url, parts))

    def match_route(self, url: str) -> MatchResult:
        """ValueError when no route matches, as Chalice's gateway expects."""
        split = urlsplit(url)
        path = split.path.rstrip("/") or "/"
        parts = path.split("/")
        for route, pattern in self._by_depth.get(len(parts), ()):
            if all(
                want == got or (want[:1] == "{" and got) for want, got in zip(pattern, parts, strict=True)
            ):
                captured = {
                    want[1:-1]: unquote(got)
                    for want, got in zip(pattern, parts, strict=True)
                    if want[:1] == "{"
                }
                return MatchResult(route, captured, parse_qs(split.query, keep_blank_values=True))
        raise ValueError(f"No matching route found for: {url}")


class Gateway(LocalGateway):
    """API Gateway in front of the app. One for all connections: it keeps nothing between requests."""

    def __init__(self, app: Chalice) -> None:
        super().__init__(app, _config())
        self.event_converter._route_matcher = Router(list(app.routes))

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, *, client: str
    ) -> tuple[int, dict[str, Any], bytes]:
        """Status, headers (a list where there are several values) and body for one request."""
        try:
            event = self._generate_lambda_event(method, path, headers, body)
        except ValueError:
            return problem(404, "not_found", f"There is nothing at {urlsplit(path).path}.")
        methods = self._app_object.routes[event["requestContext"]["resourcePath"]]
        if method == "OPTIONS" and method not in methods:
            return 204, self._autogen_options_headers(event), b""
        wanted = "GET" if method == "HEAD" and method not in methods else method
        return self._invoke(_as_gateway_sends(event, wanted, client), path)

    def _invoke(self, event: dict[str, Any], path: str) -> tuple[int, dict[str, Any], bytes]:
        context = Context("api", API_TIMEOUT)
        event["requestContext"]["requestId"] = context.aws_request_id
        try:
            event, _ = self._authorizer.authorize(path, event, context)  # type: ignore[arg-type]
            response = self._app_object(event, context)
        except LocalGatewayException as error:
            code = "forbidden" if isinstance(error, ForbiddenError) else "unauthorized"
            return problem(error.CODE, code, "The gateway refused the request.")
        headers = {**(response.get("headers") or {}), **(response.get("multiValueHeaders") or {})}
        headers["x-amzn-RequestId"] = context.aws_request_id
        return response["statusCode"], headers, _body(response)


def _as_gateway_sends(event: dict[str, Any], method: str, client: str) -> dict[str, Any]:
    request = event["requestContext"]
    request["httpMethod"] = method
    request["stage"] = "local"
    request["identity"] = {"sourceIp": client, "userAgent": event["headers"].get("user-agent")}
    body = event["body"]
    if isinstance(body, bytes):  # Lambda's payload is JSON: text, or base64 that says so.
        try:
            event["body"] = body.decode()
        except UnicodeDecodeError:
            event["body"] = base64.b64encode(body).decode()
            event["isBase64Encoded"] = True
    return event


def _body(response: dict[str, Any]) -> bytes:
    body = response.get("body")
    if response.get("isBase64Encoded"):
        return base64.b64decode(body or "")
    return body if isinstance(body, bytes) else (body or "").encode()


def problem(status: int, code: str, detail: str) -> tuple[int, dict[str, str], bytes]:
    """An RFC 9457 answer of the gateway itself."""
    title = http.HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    return status, {"Content-Type": "application/problem+json"}, json.dumps(body).encode()


class Server(ThreadedHTTPServer):
    request_queue_size = 128

    def server_bind(self) -> None:
        # HTTPServer would look its own name up in DNS here, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a connection ended early", exc_info=True)


class Handler(ChaliceRequestHandler):
    gateway: Gateway
    local_page: LocalPage
    on_activity: Callable[[], None]
    home: str | None

    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = 75  # An idle connection gives its thread back.

    def __init__(self, request: Any, client_address: Any, server: Any, **_: Any) -> None:
        # Chalice builds a gateway per connection here; ours is shared.
        super(ChaliceRequestHandler, self).__init__(request, client_address, server)

    def _generic_handle(self) -> None:
        body = self._read_body()
        if body is None:
            return
        path, _, query = self.path.partition("?")
        if path.startswith(LOCAL_PAGES):
            self._send(*self.local_page(path[len(LOCAL_PAGES) :], query))
            return
        if path == "/" and self.home:
            self._send(302, {"Location": self.home}, b"")
            return
        try:
            answer = self.gateway.answer(
                self.command, self.path, dict(self.headers), body or None, client=self.client_address[0]
            )
        except Exception:
            log.exception("%s %s", self.command, path)
            answer = problem(502, "bad_gateway", "The function failed outside the application.")
        self._send(*answer)
        self.on_activity()

    do_GET = do_HEAD = do_OPTIONS = do_TRACE = _generic_handle  # noqa: N815
    do_POST = do_PUT = do_PATCH = do_DELETE = _generic_handle  # noqa: N815

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[[], None]:
            """Methods that http.server has no name for are the application's to refuse, not a 501 in HTML."""
            if name.startswith("do_"):
                return self._generic_handle
            raise AttributeError(name)

    def _read_body(self) -> bytes | None:
        """The body; None when the request was answered here, because its body cannot be read."""
        if "transfer-encoding" in self.headers:
            self._refuse(411, "length_required", "Send a Content-Length; chunked bodies are not read.")
            return None
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            self._refuse(400, "bad_request", "Content-Length is not a number.")
            return None
        if int(length) > MAX_BODY:
            self._refuse(413, "body_too_large", "The gateway takes bodies up to 10 MB.")
            return None
        return self.rfile.read(int(length)) if int(length) else b""

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self.close_connection = True
        status, headers, body = problem(status, code, detail)
        self._send(status, {**headers, "Connection": "close"}, body)
        self._linger()

    def _linger(self) -> None:
        """Reads on for a moment: closing with unread data would reset the connection under our answer."""
        self.wfile.flush()
        self.connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in range(1024):
                if not self.connection.recv(64 * 1024):
                    break

    def _send(self, status: int, headers: dict[str, Any], body: bytes) -> None:
        self.send_response(status)
        has_body = status >= 200 and status not in (204, 304)
        fields = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        if has_body:
            fields.setdefault("Content-Type", "application/json")
            fields["Content-Length"] = str(len(body))
        self._send_headers(fields)
        if has_body and self.command != "HEAD":
            self.wfile.write(body)

    def handle_expect_100(self) -> bool:
        proceed: bool = super().handle_expect_100()
        self.wfile.flush()  # The client sends nothing before it has read this.
        return proceed

    def version_string(self) -> str:
        return "perennial-local"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        log.debug("%s %s", self.requestline, code)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)
