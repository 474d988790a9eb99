"""The local HTTP server answers as API Gateway would, and keeps its connections in step."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chalice import Chalice

from infra.local.server import MAX_BODY, create_server
from tests.infra.sample_app import make_app


def local_page(path: str, query: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "text/plain"}, f"{path}?{query}".encode()


touched: list[int] = []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = create_server(
        make_app(), 0, local_page=local_page, home="/page", on_activity=lambda: touched.append(1)
    )
    thread = threading.Thread(target=lambda: server.server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    yield server.server.server_address[1]
    server.shutdown()
    server.server.server_close()


@pytest.fixture
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    yield connection
    connection.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response, response.read()


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    connected = connection.sock
    for method, path in [
        ("GET", "/ping"),
        ("HEAD", "/ping"),
        ("GET", "/empty/304"),
        ("GET", "/empty/204"),
        ("OPTIONS", "/v1/things/1"),
        ("GET", "/nowhere"),
        ("DELETE", "/ping"),
        ("GET", "/page"),
    ]:
        ask(connection, method, path)
    response, body = ask(connection, "GET", "/ping")
    assert (response.status, json.loads(body)) == (200, {"pong": True})
    assert connection.sock is connected


def test_path_parameters_arrive_decoded(connection: http.client.HTTPConnection) -> None:
    _, body = ask(connection, "GET", "/v1/things/a%2Fb%20%C3%A9")
    assert json.loads(body)["thing"] == "a/b é"


def test_a_fixed_path_wins_over_a_parameter(connection: http.client.HTTPConnection) -> None:
    _, body = ask(connection, "GET", "/v1/things/special")
    assert json.loads(body) == {"special": True}


def test_a_parameter_is_never_empty(connection: http.client.HTTPConnection) -> None:
    response, _ = ask(connection, "GET", "/v1/things//")
    assert response.status == 405  # it is /v1/things, which only takes POST


def test_the_function_sees_the_caller_and_its_time_left(connection: http.client.HTTPConnection) -> None:
    _, body = ask(connection, "GET", "/v1/things/1")
    answer = json.loads(body)
    assert answer["address"] == "127.0.0.1"
    assert 25_000 < answer["left"] <= 29_000


@pytest.mark.parametrize("body", [b"{}", "ü\r\n".encode(), bytes(range(256)), b"x" * 300_000])
def test_a_body_arrives_byte_for_byte(connection: http.client.HTTPConnection, body: bytes) -> None:
    kind = "application/octet-stream"
    response, echoed = ask(connection, "POST", "/v1/things", body, Content_Type=kind, Accept=kind)
    assert (response.status, echoed) == (200, body)


def test_text_is_sent_as_utf8(connection: http.client.HTTPConnection) -> None:
    response, body = ask(connection, "GET", "/page")
    assert body == "<p>é</p>".encode()
    assert response.getheader("Content-Type") == "text/html; charset=utf-8"


def test_head_is_get_without_the_body(connection: http.client.HTTPConnection) -> None:
    response, body = ask(connection, "HEAD", "/ping")
    assert (response.status, body) == (200, b"")
    assert response.getheader("Content-Length") == str(len('{"pong":true}'))


def test_options_answers_the_preflight(connection: http.client.HTTPConnection) -> None:
    response, body = ask(connection, "OPTIONS", "/v1/things/1", Origin="https://shop.test")
    assert (response.status, body) == (204, b"")
    assert response.getheader("Access-Control-Allow-Origin") == "*"
    assert set((response.getheader("Access-Control-Allow-Methods") or "").split(",")) == {
        "GET",
        "PUT",
        "OPTIONS",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/ping/pong", 404, "not_found"),
        ("TRACE", "/nowhere", 404, "not_found"),
    ],
)
def test_what_the_gateway_refuses_is_problem_json(
    connection: http.client.HTTPConnection, method: str, path: str, status: int, code: str
) -> None:
    response, body = ask(connection, method, path, Authorization="Bearer x")
    assert response.getheader("Content-Type") == "application/problem+json"
    assert (response.status, json.loads(body)["code"]) == (status, code)


@pytest.mark.parametrize("method", ["DELETE", "TRACE"])
def test_the_application_answers_a_wrong_method(connection: http.client.HTTPConnection, method: str) -> None:
    response, _ = ask(connection, method, "/ping")
    assert (response.status, response.getheader("Allow")) == (405, "GET")


def raw(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_nothing_follows_the_headers_of_a_head_answer(port: int) -> None:
    answer = raw(port, b"HEAD /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_chunked_body_is_refused_at_once(port: int) -> None:
    head = b"POST /v1/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert raw(port, head).startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "²"])
def test_a_length_that_is_none_is_refused(port: int, length: str) -> None:
    head = f"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    assert raw(port, head.encode("latin-1", "replace")).startswith(b"HTTP/1.1 400 ")


def test_a_huge_body_is_refused_before_it_is_read(port: int) -> None:
    head = f"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    assert raw(port, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_waits_for_100_continue_gets_it(port: int) -> None:
    head = b"PUT /v1/things/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_concurrent_requests_do_not_see_each_other(port: int) -> None:
    app = Chalice(app_name="concurrent")
    everybody_in = threading.Barrier(8)

    @app.route("/who/{name}")
    def who(name: str) -> dict[str, Any]:
        everybody_in.wait(5)
        return {"name": name, "request": app.current_request.uri_params["name"]}

    server = create_server(app, 0)
    threading.Thread(target=lambda: server.server.serve_forever(poll_interval=0.01), daemon=True).start()
    address = server.server.server_address[1]

    def one(name: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", address, timeout=10)
        return json.loads(ask(connection, "GET", f"/who/{name}")[1])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, "abcdefgh"))
    server.shutdown()
    server.server.server_close()
    assert answers == [{"name": name, "request": name} for name in "abcdefgh"]


def test_local_pages_do_not_reach_the_application(connection: http.client.HTTPConnection) -> None:
    _, body = ask(connection, "GET", "/_local/mail/1?x=1")
    assert body == b"mail/1?x=1"


def test_the_bare_address_leads_home(connection: http.client.HTTPConnection) -> None:
    response, _ = ask(connection, "GET", "/")
    assert (response.status, response.getheader("Location")) == (302, "/page")


def test_an_app_with_a_page_of_its_own_there_keeps_it() -> None:
    app = Chalice(app_name="homely")
    app.route("/")(lambda: {"mine": True})
    server = create_server(app, 0, home="/page")
    threading.Thread(target=lambda: server.server.serve_forever(poll_interval=0.01), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server.server_address[1], timeout=5)
    assert ask(connection, "GET", "/")[0].status == 200
    connection.close()
    server.shutdown()
    server.server.server_close()


def test_a_method_that_nobody_knows_is_refused_like_any_other(
    connection: http.client.HTTPConnection,
) -> None:
    assert ask(connection, "PROPFIND", "/nowhere")[0].getheader("Content-Type") == "application/problem+json"
    assert ask(connection, "PROPFIND", "/ping")[0].status == 405


def test_a_request_is_told_to_those_who_wait_for_its_writes(connection: http.client.HTTPConnection) -> None:
    before = len(touched)
    ask(connection, "GET", "/ping")
    assert len(touched) == before + 1
