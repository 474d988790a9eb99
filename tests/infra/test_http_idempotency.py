"""Idempotency-Key: one effect, one answer; what is kept, what is not, and who may run again."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application.idempotency import (
    KEEP_FOR,
    LEASE,
    Answer,
    claim_request,
    give_back,
    keep_answer,
    request_key_of,
)
from chalicelib.domain.errors import (
    AlreadyExistsError,
    ConflictError,
    GatewayUnavailableError,
    IdempotencyInFlightError,
    IdempotencyMismatchError,
    PaymentDeclinedError,
    PaymentPendingError,
    RateLimitedError,
)
from tests.infra.http_world import START, Trouble, http_world


@pytest.fixture
def world():
    with http_world() as world:
        yield world


def post(world, body=None, key="k1", **more):
    return world.call(
        "POST", "/t/things", {"name": "x"} if body is None else body, idempotency_key=key, **more
    )


def test_a_repeat_gets_the_same_answer_and_runs_nothing(world):
    first, again = post(world), post(world)
    assert (again.status_code, again.body) == (first.status_code, first.body) == (201, first.body)
    assert again.json_body["secret"].startswith("secret-of-")
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert len(Trouble.runs) == 1


def test_spacing_and_order_of_fields_do_not_matter(world):
    world.call("POST", "/t/things", raw=b'{"name": "x", "note": {"a": "1"}}', idempotency_key="k")
    again = world.call("POST", "/t/things", raw=b'{"note":{"a":"1"},\n"name":"x"}', idempotency_key="k")
    assert again.headers["Idempotent-Replayed"] == "true"


def test_without_a_key_each_request_is_its_own(world):
    keys = {world.call("POST", "/t/things", {"name": "x"}).json_body["request_key"] for _ in range(3)}
    assert len(keys) == 3
    assert "request#" not in world.services.ops.dump()


def test_another_body_under_the_same_key_is_422(world):
    post(world)
    other = post(world, {"name": "y"})
    assert (other.status_code, other.json_body["code"]) == (422, "idempotency_mismatch")
    assert other.json_body["field"] == "Idempotency-Key"
    assert len(Trouble.runs) == 1


def test_environment_and_route_have_keys_of_their_own(world):
    post(world)
    assert post(world, token=world.live.secret_token).status_code == 201
    assert world.call("POST", "/v1/sandboxes", {"name": "x"}, idempotency_key="k1").status_code == 201
    assert len(set(Trouble.runs)) == 2


def test_paths_with_other_ids_are_other_requests(world):
    ids = [world.call("POST", "/v1/api_keys", {"name": n, "scopes": ["read"]}).json_body["id"] for n in "ab"]
    rolled = [world.call("POST", f"/v1/api_keys/{each}/roll", {}, idempotency_key="k") for each in ids]
    assert [each.status_code for each in rolled] == [200, 200]
    assert rolled[0].json_body["key"] != rolled[1].json_body["key"]


def test_in_flight_is_409_with_retry_after(world):
    key = request_key_of(world.sandbox.environment.id, "POST", "/t/things", "k1")
    seen = []
    original = Trouble.runs

    class Nested(list):
        def append(self, value):
            super().append(value)
            if len(self) == 1:
                seen.append(post(world))

    Trouble.runs = Nested()
    first = post(world)
    Trouble.runs = original
    assert first.status_code == 201
    assert (seen[0].status_code, seen[0].json_body["code"]) == (409, "idempotency_in_flight")
    assert seen[0].headers["Retry-After"] == "35"
    assert "retry_after" not in seen[0].json_body.get("ids", {})
    assert first.json_body["request_key"] == key


def test_a_run_that_died_is_run_again_after_its_lease(world):
    Trouble.error = SystemExit()  # the process is gone: nothing is given back
    ops = world.services.ops
    original, ops.replace = ops.replace, lambda *_, **__: None
    with pytest.raises(SystemExit):
        post(world)
    ops.replace = original
    assert post(world).status_code == 409
    world.wait(seconds=LEASE.total_seconds())
    assert post(world).status_code == 201
    assert len(Trouble.runs) == 2
    assert len(set(Trouble.runs)) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("x"), 500),
        (PaymentPendingError("?"), 409),
        (GatewayUnavailableError("?"), 503),
        (ConflictError("?"), 409),
        (RateLimitedError("?"), 429),
    ],
)
def test_after_an_open_outcome_the_same_request_runs_again_under_the_same_name(world, error, status):
    Trouble.error = error
    assert post(world).status_code == status
    assert post(world, {"name": "other"}).status_code == 422
    again = post(world)
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers
    assert len(Trouble.runs) == 2
    assert len(set(Trouble.runs)) == 1
    assert post(world).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("error", [AlreadyExistsError("taken", field="name"), PaymentDeclinedError("no")])
def test_a_definite_refusal_is_an_answer(world, error):
    Trouble.error = error
    first, again = post(world), post(world)
    assert first.status_code == again.status_code
    assert again.status_code in (402, 409)
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(Trouble.runs) == 1


def test_what_is_refused_before_the_handler_leaves_the_key_free(world):
    assert post(world, {"nmae": "x"}).status_code == 400
    assert post(world, {"name": "4242 4242 4242 4242"}).status_code == 400
    assert post(world, token=None).status_code == 401
    assert "request#" not in world.services.ops.dump()
    assert post(world).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut"])
def test_keys_that_cannot_be(world, key):
    response = post(world, key=key)
    assert (response.status_code, response.json_body["field"]) == (400, "Idempotency-Key")
    assert Trouble.runs == []


def test_a_key_of_255_characters(world):
    assert post(world, key="x" * 255).status_code == 201
    assert post(world, key="x" * 255).headers["Idempotent-Replayed"] == "true"


def test_the_kept_answer_has_no_secret(world):
    secret = post(world).json_body["secret"]
    dump = world.services.ops.dump()
    assert "request#" in dump
    assert secret not in dump
    assert "secret-of" not in dump


def test_a_new_key_is_shown_again_to_its_own_request(world):
    first = world.call("POST", "/v1/sandboxes", {"name": "s"}, idempotency_key="box").json_body
    world.wait(minutes=10)
    again = world.call("POST", "/v1/sandboxes", {"name": "s"}, idempotency_key="box")
    assert again.json_body == first
    assert world.call("GET", "/v1/me", token=again.json_body["secret_key"]).status_code == 200


def test_after_its_time_the_key_is_free(world):
    post(world)
    world.wait(seconds=KEEP_FOR.total_seconds())
    assert post(world, {"name": "other"}).status_code == 201
    assert len(Trouble.runs) == 2


def test_answers_are_promised_for_a_day(world):
    post(world)
    world.wait(hours=24)
    assert post(world).headers["Idempotent-Replayed"] == "true"


def test_one_of_many_at_once_runs():
    ops, barrier, won, lost = MemoryOps(), Barrier(8), [], []

    def attempt():
        barrier.wait()
        try:
            won.append(claim_request(ops, "r", "p", machine_now=START))
        except IdempotencyInFlightError as error:
            lost.append(error)

    threads = [Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)


def test_one_of_many_takes_over_a_dead_claim():
    ops, barrier, won = MemoryOps(), Barrier(8), []
    claim_request(ops, "r", "p", machine_now=START)

    def attempt():
        barrier.wait()
        with contextlib.suppress(IdempotencyInFlightError):
            won.append(claim_request(ops, "r", "p", machine_now=START + LEASE))

    threads = [Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_late_answer_does_not_overwrite_the_run_that_took_over():
    ops = MemoryOps()
    slow = claim_request(ops, "r", "p", machine_now=START)
    quick = claim_request(ops, "r", "p", machine_now=START + LEASE)
    keep_answer(ops, quick, Answer(status=201, headers={}, body="quick"))
    keep_answer(ops, slow, Answer(status=201, headers={}, body="slow"))
    give_back(ops, slow)
    kept = claim_request(ops, "r", "p", machine_now=START + LEASE).answer
    assert kept is not None
    assert kept.body == "quick"


def test_a_claim_whose_own_write_was_answered_twice_is_still_ours():
    """An SDK repeats a conditional put whose answer got lost, and finds its own item."""

    class Twice(MemoryOps):
        def create(self, pk, sk, data, *, expires_at=None):
            super().create(pk, sk, data, expires_at=expires_at)
            return super().create(pk, sk, data, expires_at=expires_at)

    ops = Twice()
    assert claim_request(ops, "r", "p", machine_now=START).answer is None
    with pytest.raises(IdempotencyInFlightError):
        claim_request(ops, "r", "p", machine_now=START + timedelta(seconds=1))
    with pytest.raises(IdempotencyMismatchError):
        claim_request(ops, "r", "other", machine_now=START)


def test_the_kept_answer_is_json(world):
    post(world)
    pk = f"request#{Trouble.runs[0]}"
    kept = world.services.ops.get(pk).data["answer"]
    assert json.loads(kept["body"]) == {"name": "x", "request_key": Trouble.runs[0]}
