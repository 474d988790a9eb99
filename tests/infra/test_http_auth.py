"""Who may do what: every way to send a key, every scope against every route, and what the tables keep of keys."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

import app as application
from chalicelib.application.credentials import CACHE_FOR, check_token, issue_key
from chalicelib.domain.credentials import KeyKind, Scope
from chalicelib.entrypoints.http.endpoints import ENDPOINTS
from tests.infra.http_world import START, http_world

REAL = [
    endpoint
    for (method, path), endpoint in sorted(ENDPOINTS.items())
    if method in application.app.routes.get(path, {})
]
COVERED = {
    Scope.READ: {Scope.READ},
    Scope.WRITE: {Scope.READ, Scope.WRITE},
    Scope.REFUND: {Scope.READ, Scope.REFUND},
    Scope.ADMIN: set(Scope),
}


@pytest.fixture
def world():
    with http_world() as world:
        yield world


def basic(user, password=""):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_bearer_and_basic_open_the_same_door(world):
    token = world.sandbox.secret_token
    for header in (f"Bearer {token}", f"bearer {token}", basic(token), basic(token, "ignored")):
        response = world.call("GET", "/v1/me", token=None, headers={"Authorization": header})
        assert response.status_code == 200
        assert response.json_body["environment"]["id"] == world.sandbox.environment.id


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer prn_live_short",
        "Bearer sk_test_123",
        "Digest x",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff").decode(),
        basic(""),
        basic("", "prn_test_password"),
        "prn_test_naked",
    ],
)
def test_what_is_no_key_is_401(world, header):
    headers = {} if header is None else {"Authorization": header}
    response = world.call("GET", "/v1/me", token=None, headers=headers)
    assert response.status_code == 401
    assert response.json_body["code"] == "unauthenticated"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_publishable_key_may_be_part_of_the_address(world):
    token = world.sandbox.publishable_token
    response = world.call("GET", f"/v1/me?key={token}", token=None)
    assert response.status_code == 200
    assert response.json_body["kind"] == "publishable"
    assert world.call("GET", "/v1/me", token=token).status_code == 200


def test_a_secret_key_may_not(world):
    response = world.call("GET", f"/v1/me?key={world.sandbox.secret_token}", token=None)
    assert (response.status_code, response.json_body["field"]) == (401, "key")
    assert world.sandbox.secret_token not in response.body.decode()
    with_header = world.call("GET", f"/v1/me?key={world.sandbox.secret_token}")
    assert (with_header.status_code, with_header.json_body["field"]) == (401, "key")


def test_a_publishable_key_in_the_address_opens_nothing_secret(world):
    assert (
        world.call("GET", f"/v1/api_keys?key={world.sandbox.publishable_token}", token=None).status_code
        == 403
    )


def test_unknown_expired_and_revoked_keys_answer_alike(world):
    ring, env = world.services.keys, world.sandbox.environment.id
    expiring = issue_key(
        ring, env, kind=KeyKind.SECRET, name="e", scopes=(Scope.READ,), request_key="e", machine_now=START,
        expires_at=datetime(2027, 3, 1, 12, 5, tzinfo=UTC),
    )[1]  # fmt: skip
    made = world.call("POST", "/v1/api_keys", {"name": "r", "scopes": ["read"]}).json_body
    assert world.call("GET", "/v1/me", token=expiring).status_code == 200
    assert world.call("GET", "/v1/me", token=made["key"]).status_code == 200
    assert world.call("DELETE", f"/v1/api_keys/{made['id']}").status_code == 200
    world.wait(minutes=5)
    bodies = []
    for token in (expiring, made["key"], _unknown()):
        response = world.call("GET", "/v1/me", token=token)
        assert response.status_code == 401
        bodies.append({name: value for name, value in response.json_body.items() if name != "request_id"})
    assert bodies[0] == bodies[1] == bodies[2]


def _unknown():
    from chalicelib.domain.credentials import new_token

    return new_token(KeyKind.SECRET, "sbx_x", b"u" * 32)


def test_the_matrix_covers_the_routes():
    assert len(REAL) >= 10
    assert {path for path, methods in application.app.routes.items() for _ in methods} == {
        each.path for each in REAL
    }


@pytest.mark.parametrize("endpoint", REAL, ids=lambda each: each.route)
def test_every_route_against_every_scope(world, endpoint):
    """What a key may not do answers 403 before anything else is looked at; what it may never answers 401 or 403."""
    path = endpoint.path.replace("{id}", "x").replace("{", "").replace("}", "")
    env = world.sandbox.environment.id
    keys = {held: world.key(held, env=env) for held in Scope}
    none = world.call(endpoint.method, path, token=None, raw=b"{")
    pages = world.call(endpoint.method, path, token=world.sandbox.publishable_token, raw=b"{")
    if endpoint.public:
        assert none.status_code not in (401, 403)
        return
    assert none.status_code == 401
    assert (pages.status_code == 403) is not endpoint.publishable
    for held, token in keys.items():
        response = world.call(endpoint.method, path, token=token, raw=b"{")
        allowed = endpoint.scope in COVERED[held]
        assert (response.status_code != 403) is allowed, (held, response.body)
        assert response.status_code != 401


def test_environments_are_told_apart_by_the_key_alone(world):
    made = world.call("POST", "/v1/api_keys", {"name": "mine", "scopes": ["read"]}).json_body
    foreign = world.call("DELETE", f"/v1/api_keys/{made['id']}", token=world.live.secret_token)
    missing = world.call(
        "DELETE", "/v1/api_keys/key_00000000000000000000000000", token=world.live.secret_token
    )
    assert foreign.status_code == missing.status_code == 404
    same = [{**each.json_body, "request_id": "", "ids": {}} for each in (foreign, missing)]
    assert same[0] == same[1]


def test_no_key_material_in_the_tables(world):
    tokens = [
        world.live.secret_token,
        world.live.publishable_token,
        world.sandbox.secret_token,
        world.sandbox.publishable_token,
    ]
    key = world.call("POST", "/v1/api_keys", {"name": "k", "scopes": ["read"]}, idempotency_key="a").json_body
    rolled = world.call("POST", f"/v1/api_keys/{key['id']}/roll", {}, idempotency_key="b").json_body
    box = world.call("POST", "/v1/sandboxes", {"name": "box"}, idempotency_key="c").json_body
    tokens += [key["key"], rolled["key"], box["secret_key"], box["publishable_key"]]
    assert len(set(tokens)) == 8
    dump = world.services.ops.dump() + repr(world.services.store._partitions)
    assert key["id"] in dump
    for token in tokens:
        prefix, _, secret = token.rpartition("_")
        assert prefix in ("prn_live", "prn_test", "prn_pub")
        assert not any(secret[start : start + 8] in dump for start in range(len(secret) - 8))
    assert "prn_" not in dump
    assert world.services.pepper.decode() not in dump


def test_rolling_over_http(world):
    made = world.call("POST", "/v1/api_keys", {"name": "k", "scopes": ["read", "write"]}).json_body
    assert made["scopes"] == ["read", "write"]
    rolled = world.call("POST", f"/v1/api_keys/{made['id']}/roll", {"overlap_hours": 1}).json_body
    assert rolled["key"] != made["key"]
    assert rolled["last4"] == rolled["key"][-4:]
    assert world.call("GET", "/v1/me", token=made["key"]).status_code == 200
    world.wait(hours=1)
    assert world.call("GET", "/v1/me", token=made["key"]).status_code == 401
    assert world.call("GET", "/v1/me", token=rolled["key"]).status_code == 200


def test_keys_are_listed_in_pages_without_their_tokens(world):
    made = {
        world.call("POST", "/v1/api_keys", {"name": f"k{n}", "scopes": ["read"]}).json_body["id"]
        for n in range(5)
    }
    seen, cursor = [], ""
    while cursor is not None:
        page = world.call("GET", "/v1/api_keys?limit=2" + (f"&cursor={cursor}" if cursor else "")).json_body
        assert "prn_" not in json.dumps(page)
        seen += [key["id"] for key in page["data"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7
    assert made < set(seen)


@pytest.mark.parametrize("path", ["/v1/api_keys", "/v1/sandboxes"])
def test_an_empty_cursor_is_no_place_to_go_on_from(world, path):
    answer = world.call("GET", f"{path}?cursor=")
    assert (answer.status_code, answer.json_body["field"]) == (400, "cursor")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read"], "kind": "publishable"},
        {"name": "x", "scopes": ["read"], "expires_at": "2026-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expires_at": "2028-01-01T00:00:00"},
        {"name": "x", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59Z"},
        {"name": "x", "scopes": ["read"], "env": "live"},
    ],
)
def test_wrong_keys_are_not_made(world, body):
    assert world.call("POST", "/v1/api_keys", body).status_code == 400


def test_a_sandbox_has_its_own_clock_and_keys(world):
    made = world.call("POST", "/v1/sandboxes", {"name": "2030", "start_at": "2030-06-01T00:00:00Z"}).json_body
    me = world.call("GET", "/v1/me", token=made["secret_key"]).json_body
    assert me["environment"] == {
        "id": made["id"],
        "name": "2030",
        "live": False,
        "clock": "2030-06-01T00:00:00Z",
        "catalog_version": 0,
        "created_at": "2027-03-01T12:00:00Z",
    }
    assert me["scopes"] == ["admin"]
    assert world.call("GET", "/v1/me", token=made["publishable_key"]).json_body["kind"] == "publishable"
    listed = world.call("GET", "/v1/sandboxes").json_body["data"]
    assert {each["id"] for each in listed} == {made["id"], world.sandbox.environment.id}
    late = world.call("POST", "/v1/sandboxes", {"start_at": "2099-01-01T00:00:00Z"})
    assert (late.status_code, late.json_body["field"]) == (400, "start_at")


def test_a_sandbox_clock_is_read_at_each_request_and_live_is_cached(world):
    from dataclasses import replace

    from chalicelib.application.records import environment_key

    store = world.services.store
    first = world.call("GET", "/t/things/a").json_body["now"]
    environment = store.get(environment_key(world.sandbox.environment.id))
    store.commit(environment.id, replace(environment, clock=datetime(2021, 1, 1, tzinfo=UTC)))
    assert world.call("GET", "/t/things/a").json_body["now"] == "2021-01-01T00:00:00+00:00" != first

    world.call("GET", "/t/things/a", token=world.live.secret_token)
    reads = []
    original = store.get

    def get(key):
        reads.append(key.pk)
        return original(key)

    store.get = get
    world.call("GET", "/t/things/a", token=world.live.secret_token)
    assert reads == []
    world.wait(seconds=CACHE_FOR.total_seconds())
    world.call("GET", "/t/things/a", token=world.live.secret_token)
    assert reads == ["live"]


def test_a_cached_live_environment_is_not_given_to_a_sandbox(world):
    def environment(token):
        return world.call("GET", "/t/open", token=token).body.decode()

    for _ in range(2):
        assert environment(world.live.secret_token) == "live"
        assert environment(world.sandbox.secret_token) == world.sandbox.environment.id


def test_the_live_clock_is_the_machines(world):
    world.wait(days=3)
    now = world.call("GET", "/t/things/a", token=world.live.secret_token).json_body["now"]
    assert now == world.now.isoformat()


def test_a_check_costs_one_keyed_read_then_none(world):
    ops, reads = world.services.ops, []
    original = ops.get

    def get(pk, sk="0"):
        reads.append(pk)
        return original(pk, sk)

    ops.get = get
    for _ in range(3):
        check_token(world.services.keys, world.sandbox.secret_token, machine_now=START)
    assert len(reads) == 1


def test_a_key_of_a_vanished_environment_is_unknown(world):
    orphan = world.key(Scope.READ, env="sbx_gone")
    assert world.call("GET", "/v1/me", token=orphan).status_code == 401


def test_the_catalog_is_copied_into_a_sandbox(world):
    from dataclasses import replace

    from chalicelib.application.records import catalog_key, environment_key
    from chalicelib.domain.catalog import Catalog, Plan

    store = world.services.store
    live = store.get(environment_key("live"))
    plans = (Plan(id="pro", name="Pro", rank=1),)
    store.commit("live", replace(live, catalog_version=3), Catalog(version=3, plans=plans))
    made = world.call("POST", "/v1/sandboxes", {}, token=world.live.secret_token).json_body
    assert made["catalog_version"] == 1
    assert store.get(catalog_key(made["id"], 1)).plans == plans
