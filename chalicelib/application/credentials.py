"""API keys: issue, roll, revoke, list and check. Tokens are derived, shown once and never kept.

Two kinds of documents: under a token's digest what it proves (one keyed read checks a request), and per
environment the keys themselves, which lead to the digests. The first is written before the second, and all of
it derives from the request: a run that broke off is completed by running it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.application.ops import Document, Ops
from chalicelib.domain import ids
from chalicelib.domain.credentials import (
    ApiKey,
    Credential,
    IssuedToken,
    KeyKind,
    Scope,
    digest_of,
    entropy_of,
    new_token,
    require_alive,
    require_scopes,
    require_well_formed,
    revoked,
    rolled,
    unknown_key,
)
from chalicelib.domain.errors import ConflictError, NotFoundError

CACHE_FOR = timedelta(seconds=60)
"""A revoked key may still open for this long where it was used just before."""
_CACHE_SIZE = 1_000
_KEEP_ENDED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Where keys are kept, the pepper (≥ 32 bytes) of their digests, and this process's cache of checked ones."""

    ops: Ops
    pepper: bytes = field(repr=False)
    cache: dict[str, tuple[datetime, Credential]] = field(default_factory=dict, repr=False)


def issue_key(
    ring: KeyRing,
    env: str,
    *,
    kind: KeyKind,
    name: str,
    scopes: tuple[Scope, ...],
    request_key: str,
    machine_now: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its token. The same `request_key` gives the same key and token, stored once."""
    token = token_of_request(ring, env, kind, request_key)
    key = ApiKey(
        id=f"key_{ids.token('key', env, kind.value, request_key)}",
        env=env,
        kind=kind,
        name=name,
        scopes=require_scopes(kind, scopes),
        created_at=machine_now,
        expires_at=expires_at,
    )
    existing = _find(ring, env, key.id)
    if existing is not None:
        return _key(existing), token
    issued = _issued(ring, token, machine_now)
    key = rolled(key, issued, overlap=timedelta(0))
    _keep_credential(ring, key, issued)
    ring.ops.create(_keys_of(env), key.id, _key_data(key))
    return key, token


def roll_key(
    ring: KeyRing, env: str, key_id: str, *, overlap: timedelta, request_key: str, machine_now: datetime
) -> tuple[ApiKey, str]:
    """A second token for the key; the earlier ones end after `overlap`. Running it again answers the same."""
    document = _require(ring, env, key_id)
    key = _key(document)
    token = token_of_request(ring, env, key.kind, request_key)
    issued = _issued(ring, token, machine_now)
    if all(old.digest != issued.digest for old in key.tokens):
        key = rolled(key, issued, overlap=overlap)
        _replace(ring, document, key)
    _keep_credentials(ring, env, key)
    return key, token


def revoke_key(ring: KeyRing, env: str, key_id: str, *, machine_now: datetime) -> ApiKey:
    """End the key now, with all its tokens (elsewhere within CACHE_FOR). Running it again changes nothing."""
    document = _require(ring, env, key_id)
    key = revoked(_key(document), machine_now)
    _replace(ring, document, key)
    _keep_credentials(ring, env, key)
    for each in key.tokens:
        ring.cache.pop(each.digest, None)
    return key


def list_keys(ring: KeyRing, env: str, *, after: str | None = None, limit: int = 100) -> list[ApiKey]:
    """The environment's keys in the order of their ids, revoked ones included."""
    return [_key(document) for document in ring.ops.query(_keys_of(env), after=after, limit=limit)]


def check_token(ring: KeyRing, token: str, *, machine_now: datetime) -> Credential:
    """What the token proves: at most one keyed read, none within CACHE_FOR. Raises UnauthenticatedError."""
    digest = digest_of(require_well_formed(token), ring.pepper)
    cached = ring.cache.get(digest)
    if cached is not None and cached[0] <= machine_now < cached[0] + CACHE_FOR:
        credential = cached[1]
    else:
        document = ring.ops.get(_token_key(digest))
        if document is None:
            raise unknown_key()
        credential = _credential(document.data)
        if len(ring.cache) >= _CACHE_SIZE:
            ring.cache.clear()
        ring.cache[digest] = (machine_now, credential)
    require_alive(credential, machine_now)
    return credential


def token_of_request(ring: KeyRing, env: str, kind: KeyKind, request_key: str) -> str:
    """The token that the request with this key made (or will make)."""
    return new_token(kind, env, entropy_of(ring.pepper, env, kind.value, request_key))


def _issued(ring: KeyRing, token: str, machine_now: datetime) -> IssuedToken:
    return IssuedToken(digest=digest_of(token, ring.pepper), last4=token[-4:], issued_at=machine_now)


def _find(ring: KeyRing, env: str, key_id: str) -> Document | None:
    return ring.ops.get(_keys_of(env), key_id)


def _require(ring: KeyRing, env: str, key_id: str) -> Document:
    document = _find(ring, env, ids.require("key", key_id))
    if document is None:
        raise NotFoundError("no such object", id=key_id)
    return document


def _replace(ring: KeyRing, document: Document, key: ApiKey) -> None:
    if ring.ops.replace(document, _key_data(key)) is None:
        raise ConflictError("the key was changed at the same time", fix="repeat the request", id=key.id)


def _keep_credentials(ring: KeyRing, env: str, key: ApiKey) -> None:
    """What each token proves, written until it says what the key says: rolling must not undo a revocation."""
    while True:
        for each in key.tokens:
            _keep_credential(ring, key, each)
        current = _key(_require(ring, env, key.id))
        if current == key:
            return
        key = current


def _keep_credential(ring: KeyRing, key: ApiKey, token: IssuedToken) -> None:
    credential = key.credential(token)
    ends = credential.ends_at
    data = {
        "key_id": credential.key_id,
        "env": credential.env,
        "kind": credential.kind.value,
        "scopes": [scope.value for scope in credential.scopes],
        "ends_at": _iso(ends),
    }
    ring.ops.put(_token_key(token.digest), "0", data, expires_at=ends and ends + _KEEP_ENDED)


def _token_key(digest: str) -> str:
    return f"token#{digest}"


def _keys_of(env: str) -> str:
    return f"{env}#keys"


def _credential(data: Mapping[str, Any]) -> Credential:
    return Credential(
        key_id=data["key_id"],
        env=data["env"],
        kind=KeyKind(data["kind"]),
        scopes=tuple(Scope(scope) for scope in data["scopes"]),
        ends_at=_instant(data["ends_at"]),
    )


def _key_data(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "env": key.env,
        "kind": key.kind.value,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "created_at": _iso(key.created_at),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "tokens": [
            {
                "digest": token.digest,
                "last4": token.last4,
                "issued_at": _iso(token.issued_at),
                "expires_at": _iso(token.expires_at),
            }
            for token in key.tokens
        ],
    }


def _key(document: Document) -> ApiKey:
    data = document.data
    return ApiKey(
        id=data["id"],
        env=data["env"],
        kind=KeyKind(data["kind"]),
        name=data["name"],
        scopes=tuple(Scope(scope) for scope in data["scopes"]),
        created_at=datetime.fromisoformat(data["created_at"]),
        expires_at=_instant(data["expires_at"]),
        revoked_at=_instant(data["revoked_at"]),
        tokens=tuple(
            IssuedToken(
                digest=token["digest"],
                last4=token["last4"],
                issued_at=datetime.fromisoformat(token["issued_at"]),
                expires_at=_instant(token["expires_at"]),
            )
            for token in data["tokens"]
        ),
    )


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
