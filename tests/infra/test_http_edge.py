"""What the edge does to every request: size, JSON, schemas, card numbers, problems, headers, media types."""

from __future__ import annotations

import io
import json
import logging

import pytest
from chalice.app import Blueprint

from chalicelib import composition
from chalicelib.domain.errors import DomainError
from chalicelib.entrypoints.http.bodies import MAX_BODY
from chalicelib.entrypoints.http.kit import Scope, endpoint
from chalicelib.entrypoints.http.problems import KINDS
from tests.infra.http_world import Trouble, http_world


@pytest.fixture
def world():
    with http_world() as world:
        yield world


def problem(response, status, code):
    """The problem of a response, after checking its shape."""
    assert response.status_code == status, response.body
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json_body
    assert {"type", "title", "status", "code", "detail", "request_id"} <= body.keys()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"http://perennial.test/problems/{code}"
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body


def test_a_good_request(world):
    response = world.call("POST", "/t/things", {"name": "x", "parts": [{"quantity": 2}]})
    assert response.status_code == 201
    assert response.json_body["name"] == "x"
    assert Trouble.runs == [response.json_body["request_key"]]


def test_headers_of_every_answer(world):
    for response in (
        world.call("GET", "/v1/me"),
        world.call("GET", "/v1/me", token=None),
        world.call("GET", "/t/broken"),
        world.call("PATCH", "/v1/me"),
    ):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Strict-Transport-Security"].startswith("max-age=")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Request-Id"]
        assert "default-src" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"name": }', "line 1, column 10"),
        (b'{\n  "name": oops\n}', "line 2, column 11"),
        (b'{"name": "x"} trailing', "line 1, column 15"),
    ],
)
def test_json_errors_name_the_position(world, body, where):
    response = problem(world.call("POST", "/t/things", raw=body), 400, "malformed_body")
    assert where in response["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b'{"name": NaN}',
        b"[" * 100_000,
        b'{"name": 1' + b"0" * 5_000 + b"}",
        b'{"name": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"name": "x", "name": "y"}',
        b'{"metadata": {"a": "x", "a": "x"}}',
    ],
)
def test_what_json_parsers_choke_on_is_refused(world, body):
    problem(world.call("POST", "/t/things", raw=body), 400, "malformed_body")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null"])
def test_a_body_is_an_object(world, body):
    assert world.call("POST", "/t/things", raw=body).status_code == 400


def test_every_wrong_and_unknown_field_is_named(world):
    wrong = {"name": 7, "parts": [{"quantity": 1}, {"quantity": 0, "prise": 1}], "amount": 5}
    body = problem(world.call("POST", "/t/things", wrong), 400, "invalid_request")
    assert {error["field"] for error in body["errors"]} == {
        "name",
        "parts[1].quantity",
        "parts[1].prise",
        "amount",
    }
    assert body["fix"] == "known fields: name, parts, note"


def test_one_wrong_field_is_the_problems_own(world):
    body = problem(world.call("POST", "/t/things", {"amout": 1}), 400, "invalid_request")
    assert (body["field"], body["detail"]) == ("amout", "there is no such field")
    assert "errors" not in body


@pytest.mark.parametrize(
    "wrong", [{"parts": [{"quantity": "2"}]}, {"parts": [{"quantity": 2.0}]}, {"name": None}]
)
def test_nothing_is_coerced(world, wrong):
    problem(world.call("POST", "/t/things", wrong), 400, "invalid_request")


def test_a_body_of_256_kb_passes_and_one_byte_more_does_not(world):
    frame = len(json.dumps({"name": ""}))
    fits = json.dumps({"name": "x" * (MAX_BODY - frame)}).encode()
    assert len(fits) == 262_144
    assert world.call("POST", "/t/things", raw=fits).status_code == 201
    problem(world.call("POST", "/t/things", raw=fits + b" "), 413, "body_too_large")


@pytest.mark.parametrize(
    "card",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "378282246310005",
        "6304000000000000000",
        "my card is 5555 5555 5555 4444, thanks",
        "12 4242 4242 4242 4242",
        "4222222222222",
        4242424242424242,
    ],
)
@pytest.mark.parametrize("place", ["name", "note", "unknown", "key"])
def test_card_numbers_are_refused_wherever_they_stand(world, card, place):
    bodies = {
        "name": {"name": card},
        "note": {"note": {"x": card}},
        "unknown": {"surprise": [{"deep": card}]},
        "key": {"note": {str(card): "x"}},
    }
    body = problem(world.call("POST", "/t/things", bodies[place]), 400, "card_number")
    assert str(card) not in body["detail"]
    assert Trouble.runs == []


@pytest.mark.parametrize(
    "fine",
    [
        "4242424242424241",
        "424242424242",
        "2026-11-20T13:39:04.123456Z",
        "cus_4242424242424242zzzzzzzzzz",
        "+49 30 1234 567",
    ],
)
def test_other_numbers_pass(world, fine):
    assert world.call("POST", "/t/things", {"name": fine}).status_code == 201


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limt=5", "limt"),
        ("limit=1&limit=2", "limit"),
        ("since=x", "since"),
    ],
)
def test_query_strings_are_strict_too(world, query, field):
    assert problem(world.call("GET", f"/t/things/a?{query}"), 400, "invalid_request")["field"] == field


def test_query_strings_are_read_as_their_types(world):
    response = world.call("GET", "/t/things/a?limit=7&since=2027-01-01T00:00:00Z")
    assert response.json_body == {"id": "a", "limit": 7, "now": "2020-01-31T00:00:00+00:00"}


def test_a_route_without_query_or_body_takes_none(world):
    assert problem(world.call("GET", "/v1/me?x=1"), 400, "invalid_request")["field"] == "x"
    assert problem(world.call("DELETE", "/t/things/a", {"x": 1}), 400, "invalid_request")["field"] == "x"


def test_path_parameters_arrive_decoded(world):
    assert world.call("GET", "/t/things/a%20b").json_body["id"] == "a b"


def test_204_has_no_body(world):
    response = world.call("DELETE", "/t/things/a")
    assert (response.status_code, response.body) == (204, b"")


def test_if_none_match(world):
    first = world.call("GET", "/t/things/a")
    assert first.status_code == 200
    for known in (first.headers["ETag"], f'"other", W/{first.headers["ETag"]}', "*"):
        again = world.call("GET", "/t/things/a", headers={"If-None-Match": known})
        assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", '"v7"')
    assert world.call("GET", "/t/things/a", headers={"If-None-Match": '"v6"'}).status_code == 200


def test_wrong_methods_and_media_types_are_problems(world):
    response = world.call("PATCH", "/v1/me")
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET"
    form = world.call(
        "POST", "/t/things", raw=b"name=x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    problem(form, 415, "unsupported_media_type")


def test_a_raw_body_is_the_handlers_affair(world):
    response = world.call(
        "POST", "/t/hook", token=None, raw=b"4242424242424242", headers={"Content-Type": "text/plain"}
    )
    assert (response.status_code, response.body) == (200, b"2424242424242424")


def test_unexpected_errors_say_nothing_and_are_logged_once(world, log_lines):
    body = problem(world.call("GET", "/t/broken"), 500, "internal")
    errors = [line for line in log_lines() if line["level"] == "ERROR"]
    assert [line["request_id"] for line in errors] == [body["request_id"]]
    assert errors[0]["error"] == "RuntimeError"
    assert any("broken" in frame for frame in errors[0]["frames"])
    assert "canary" not in json.dumps([log_lines(), body])


def test_the_log_holds_nothing_that_was_sent(world, log_lines):
    world.call(
        "POST", "/t/things", {"name": "canary", "note": {"canary": "canary"}}, idempotency_key="canary-key"
    )
    world.call("POST", "/t/things", {"canary": "canary"})
    world.call("GET", "/t/things/canary?limit=canary", headers={"X-Canary": "canary"})
    world.call("GET", "/v1/me", token="prn_test_canary")
    lines = log_lines()
    assert [line["status"] for line in lines] == [201, 400, 400, 401]
    assert "canary" not in json.dumps(lines)
    assert "prn_" not in json.dumps(lines)


@pytest.fixture
def log_lines():
    """The lines logged so far, as Powertools would print them."""
    from chalicelib.entrypoints.log import logger

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger().registered_formatter)
    underlying = logging.getLogger("perennial")
    underlying.handlers, kept = [handler], underlying.handlers
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    underlying.handlers = kept


def test_cors_is_open_where_pages_call_and_closed_elsewhere(world):
    key = world.sandbox.publishable_token
    assert world.call("GET", f"/t/open?key={key}", token=None).headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in world.call("GET", "/v1/api_keys").headers


def test_every_domain_error_has_its_row():
    waiting, codes = [DomainError], set()
    while waiting:
        error = waiting.pop()
        waiting.extend(error.__subclasses__())
        codes.add(error.code)
    assert codes <= KINDS.keys()
    assert all(400 <= kind.status < 600 for kind in KINDS.values())


def test_a_handler_knows_the_time_that_is_left_to_it(world):
    left = float(world.call("GET", "/t/left").body)
    assert composition.REQUEST_SECONDS - 5 < left < composition.REQUEST_SECONDS


@pytest.mark.parametrize(
    "policy", [{}, {"public": True, "scope": Scope.READ}, {"public": True, "publishable": True}]
)
def test_a_route_without_one_policy_cannot_be_declared(policy):
    with pytest.raises(TypeError, match="GET /t/never"):
        endpoint(Blueprint("never"), "GET", "/t/never", tag="T", summary="", **policy)


def test_each_problem_type_explains_itself(world):
    for code in KINDS:
        body = world.call("GET", f"/problems/{code}", token=None).json_body
        assert body["code"] == code
        assert body["meaning"]
    problem(world.call("GET", "/problems/nonsense", token=None), 404, "not_found")
