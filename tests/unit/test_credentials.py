"""API keys: the token's form, what is kept of it, rolling, revoking, scopes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application.credentials import (
    CACHE_FOR,
    KeyRing,
    check_token,
    issue_key,
    list_keys,
    revoke_key,
    roll_key,
)
from chalicelib.domain.credentials import (
    Credential,
    KeyKind,
    Scope,
    authorise,
    digest_of,
    entropy_of,
    new_token,
    require_well_formed,
)
from chalicelib.domain.errors import (
    ForbiddenError,
    InvalidStateError,
    NotFoundError,
    UnauthenticatedError,
    ValidationError,
)

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PEPPER = b"p" * 32


@pytest.fixture
def ring():
    return KeyRing(MemoryOps(), PEPPER)


def issue(ring, request_key="r1", **changes):
    wanted = {"kind": KeyKind.SECRET, "name": "n", "scopes": (Scope.READ,), "machine_now": NOW} | changes
    return issue_key(ring, "sbx_1", request_key=request_key, **wanted)


def another_process(ring):
    return KeyRing(ring.ops, ring.pepper)


@pytest.mark.parametrize(
    ("kind", "env", "prefix"),
    [
        (KeyKind.SECRET, "live", "prn_live_"),
        (KeyKind.SECRET, "sbx_1", "prn_test_"),
        (KeyKind.PUBLISHABLE, "live", "prn_pub_"),
        (KeyKind.PUBLISHABLE, "sbx_1", "prn_pub_"),
    ],
)
def test_prefix_tells_kind_and_environment(kind, env, prefix):
    token = new_token(kind, env, entropy_of(PEPPER, "x"))
    assert token.startswith(prefix)
    assert len(token) == len(prefix) + 43 + 6
    assert require_well_formed(token) == token


def test_every_single_mistyped_character_is_noticed():
    token = new_token(KeyKind.SECRET, "live", entropy_of(PEPPER, "x"))
    for index in range(len("prn_live_"), len(token)):
        wrong = token[:index] + ("a" if token[index] != "a" else "b") + token[index + 1 :]
        with pytest.raises(UnauthenticatedError):
            require_well_formed(wrong)


@pytest.mark.parametrize(
    "text", ["", "prn_live_", "sk_live_abc", "prn_live_" + "x" * 48, "prn_live_" + "é" * 49]
)
def test_what_is_no_token_is_refused_by_its_form(text):
    with pytest.raises(UnauthenticatedError):
        require_well_formed(text)


def test_a_token_has_256_bits_and_no_less():
    with pytest.raises(ValueError, match="256"):
        new_token(KeyKind.SECRET, "live", b"short")
    with pytest.raises(ValueError, match="pepper"):
        digest_of("prn_live_x", b"weak")


def test_digests_differ_by_pepper_and_token():
    digests = {digest_of(token, pepper) for token in ("a", "b") for pepper in (b"1" * 32, b"2" * 32)}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("held", "covered"),
    [
        ((Scope.READ,), {Scope.READ}),
        ((Scope.WRITE,), {Scope.READ, Scope.WRITE}),
        ((Scope.REFUND,), {Scope.READ, Scope.REFUND}),
        ((Scope.WRITE, Scope.REFUND), {Scope.READ, Scope.WRITE, Scope.REFUND}),
        ((Scope.ADMIN,), set(Scope)),
        ((), set()),
    ],
)
def test_scopes_cover(held, covered):
    credential = Credential(key_id="key_1", env="live", kind=KeyKind.SECRET, scopes=held)
    for scope in Scope:
        if scope in covered:
            authorise(credential, scope)
        else:
            with pytest.raises(ForbiddenError):
                authorise(credential, scope)


def test_publishable_keys_open_what_is_declared_for_them_only():
    credential = Credential(key_id="key_1", env="live", kind=KeyKind.PUBLISHABLE, scopes=())
    authorise(credential, Scope.READ, publishable=True)
    with pytest.raises(ForbiddenError):
        authorise(credential, Scope.READ)


def test_scopes_must_fit_the_kind(ring):
    with pytest.raises(ValidationError):
        issue(ring, scopes=())
    with pytest.raises(ValidationError):
        issue(ring, kind=KeyKind.PUBLISHABLE, scopes=(Scope.READ,))


def test_an_issued_key_opens_and_is_not_kept(ring):
    key, token = issue(ring)
    credential = check_token(another_process(ring), token, machine_now=NOW)
    assert (credential.key_id, credential.env, credential.scopes) == (key.id, "sbx_1", (Scope.READ,))
    kept = ring.ops.dump()
    assert token not in kept
    assert token[9:52] not in kept
    assert digest_of(token, PEPPER) in kept


def test_issuing_again_changes_nothing_and_shows_the_same_token(ring):
    first = issue(ring)
    before = ring.ops.dump()
    assert issue(ring, machine_now=NOW + timedelta(hours=1)) == first
    assert ring.ops.dump() == before
    assert issue(ring, request_key="r2")[1] != first[1]


def test_an_unknown_token_with_a_right_checksum_is_refused(ring):
    with pytest.raises(UnauthenticatedError):
        check_token(ring, new_token(KeyKind.SECRET, "live", b"x" * 32), machine_now=NOW)


def test_an_expired_key_is_refused_even_from_the_cache(ring):
    _, token = issue(ring, expires_at=NOW + timedelta(seconds=30))
    check_token(ring, token, machine_now=NOW)
    with pytest.raises(UnauthenticatedError):
        check_token(ring, token, machine_now=NOW + timedelta(seconds=30))


def test_rolling_overlaps_then_the_old_token_ends(ring):
    key, old = issue(ring)
    _, new = roll_key(ring, "sbx_1", key.id, overlap=timedelta(hours=2), request_key="roll", machine_now=NOW)
    assert new != old
    for at, opens in ((NOW, True), (NOW + timedelta(minutes=119), True), (NOW + timedelta(hours=2), False)):
        check_token(another_process(ring), new, machine_now=at)
        if opens:
            check_token(another_process(ring), old, machine_now=at)
        else:
            with pytest.raises(UnauthenticatedError):
                check_token(another_process(ring), old, machine_now=at)


def test_rolling_again_with_the_same_request_answers_the_same(ring):
    key, _ = issue(ring)
    first = roll_key(ring, "sbx_1", key.id, overlap=timedelta(0), request_key="roll", machine_now=NOW)
    later = NOW + timedelta(minutes=5)
    again = roll_key(ring, "sbx_1", key.id, overlap=timedelta(0), request_key="roll", machine_now=later)
    assert again == first
    check_token(another_process(ring), again[1], machine_now=later)


def test_rolling_cannot_lengthen_an_earlier_end(ring):
    key, oldest = issue(ring)
    roll_key(ring, "sbx_1", key.id, overlap=timedelta(hours=1), request_key="a", machine_now=NOW)
    roll_key(ring, "sbx_1", key.id, overlap=timedelta(days=7), request_key="b", machine_now=NOW)
    with pytest.raises(UnauthenticatedError):
        check_token(another_process(ring), oldest, machine_now=NOW + timedelta(hours=1))


def test_revoking_ends_every_token_elsewhere_within_the_cache(ring):
    key, old = issue(ring)
    _, new = roll_key(ring, "sbx_1", key.id, overlap=timedelta(days=1), request_key="roll", machine_now=NOW)
    elsewhere = another_process(ring)
    check_token(elsewhere, new, machine_now=NOW)
    revoke_key(ring, "sbx_1", key.id, machine_now=NOW)
    for token in (old, new):
        with pytest.raises(UnauthenticatedError):
            check_token(ring, token, machine_now=NOW)
    with pytest.raises(UnauthenticatedError):
        check_token(elsewhere, new, machine_now=NOW + CACHE_FOR)
    with pytest.raises(InvalidStateError):
        roll_key(ring, "sbx_1", key.id, overlap=timedelta(0), request_key="r", machine_now=NOW)


def test_rolling_does_not_undo_a_revocation_at_the_same_time(ring):
    class Overtaken(MemoryOps):
        """Between the new key and its proofs, somebody else revokes it."""

        def put(self, pk, sk, data, *, expires_at=None):
            if key_id and not revoked:
                revoked.append(revoke_key(KeyRing(ring.ops, PEPPER), "sbx_1", key_id[0], machine_now=NOW))
            return super().put(pk, sk, data, expires_at=expires_at)

    key_id, revoked = [], []
    overtaken = Overtaken()
    overtaken._items = ring.ops._items
    rolling = KeyRing(overtaken, PEPPER)
    key, old = issue(rolling)
    key_id.append(key.id)
    _, new = roll_key(
        rolling, "sbx_1", key.id, overlap=timedelta(days=1), request_key="roll", machine_now=NOW
    )
    assert len(revoked) == 1
    for token in (old, new):
        with pytest.raises(UnauthenticatedError):
            check_token(another_process(ring), token, machine_now=NOW)


def test_a_broken_off_creation_is_completed_by_running_it_again(ring):
    class Crash(Exception):
        pass

    class Crashing(MemoryOps):
        def create(self, pk, sk, data, *, expires_at=None):
            raise Crash

    broken = Crashing()
    with pytest.raises(Crash):
        issue(KeyRing(broken, PEPPER))
    ring.ops._items.update(broken._items)
    key, token = issue(ring)
    assert check_token(ring, token, machine_now=NOW).key_id == key.id
    assert [each.id for each in list_keys(ring, "sbx_1")] == [key.id]


def test_keys_belong_to_their_environment(ring):
    key, _ = issue(ring)
    assert list_keys(ring, "sbx_2") == []
    with pytest.raises(NotFoundError):
        revoke_key(ring, "sbx_2", key.id, machine_now=NOW)


@pytest.mark.parametrize(
    "key_id", ["", "x", "key_", "key_" + "a" * 2000, "cus_" + "0" * 26, "key_" + "#" * 26]
)
def test_what_cannot_be_a_key_is_not_looked_for(key_id):
    with pytest.raises(NotFoundError):
        revoke_key(KeyRing(None, PEPPER), "sbx_1", key_id, machine_now=NOW)


def test_the_ring_does_not_print_its_pepper(ring):
    assert "pppp" not in repr(ring)
