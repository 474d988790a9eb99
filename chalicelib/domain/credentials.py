"""API keys: what a token looks like, what is kept of it, and what its holder may do.

A token is `prn_live_`, `prn_test_` (secret) or `prn_pub_` (publishable), 43 characters of 256 random bits and a
checksum of 6, so that a mistyped token is told apart without a read. Of a token only an HMAC is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import ForbiddenError, InvalidStateError, UnauthenticatedError, ValidationError

MAX_OVERLAP = timedelta(days=7)
"""How long the old token of a rolled key may live on."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _CHECKSUM = 43, 6
_TOKEN = re.compile(rf"prn_(live|test|pub)_([0-9A-Za-z]{{{_BODY}}})([0-9A-Za-z]{{{_CHECKSUM}}})", re.ASCII)


class Scope(StrEnum):
    """`write` and `refund` include `read`; `admin` includes everything."""

    READ = "read"
    WRITE = "write"
    REFUND = "refund"
    ADMIN = "admin"


_INCLUDES = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.WRITE, Scope.READ}),
    Scope.REFUND: frozenset({Scope.REFUND, Scope.READ}),
    Scope.ADMIN: frozenset(Scope),
}


class KeyKind(StrEnum):
    """`secret` for servers; `publishable` for web pages: it identifies the environment and opens little."""

    SECRET = "secret"
    PUBLISHABLE = "publishable"


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedToken:
    """One token of a key: its digest, its last four characters (to recognise it), and until when it opens."""

    digest: str
    last4: str
    issued_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key of one environment. While it is being rolled it has two live tokens; the newest is last."""

    id: str
    env: str
    kind: KeyKind
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    tokens: tuple[IssuedToken, ...] = ()

    def credential(self, token: IssuedToken) -> Credential:
        """What a holder of `token` proves, as kept under its digest."""
        ends = [end for end in (self.expires_at, self.revoked_at, token.expires_at) if end is not None]
        return Credential(
            key_id=self.id,
            env=self.env,
            kind=self.kind,
            scopes=self.scopes,
            ends_at=min(ends, default=None),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """The proof that a request carries: whose world it may act in, and how. `ends_at` is machine time."""

    key_id: str
    env: str
    kind: KeyKind
    scopes: tuple[Scope, ...]
    ends_at: datetime | None = None


def authorise(credential: Credential, scope: Scope, *, publishable: bool = False) -> None:
    """Refuse (ForbiddenError) what the credential does not cover; `publishable`: publishable keys may."""
    if credential.kind is KeyKind.PUBLISHABLE:
        if not publishable:
            raise ForbiddenError("a publishable key cannot do this", fix="use a secret key, on a server")
        return
    if not any(scope in _INCLUDES[held] for held in credential.scopes):
        raise ForbiddenError(f"this key lacks the scope {scope.value!r}", fix="use a key that has it")


def require_alive(credential: Credential, machine_now: datetime) -> None:
    """Refuse an expired or revoked credential, in the same words as an unknown one."""
    if credential.ends_at is not None and credential.ends_at <= machine_now:
        raise unknown_key()


def unknown_key() -> UnauthenticatedError:
    return UnauthenticatedError("this API key is unknown, expired or revoked", fix="check the key")


def new_token(kind: KeyKind, env: str, entropy: bytes) -> str:
    """The token of 256 bits of entropy; its prefix tells people and scanners what they found."""
    if len(entropy) != 32:
        raise ValueError("a token takes exactly 256 bits")
    prefix = "pub" if kind is KeyKind.PUBLISHABLE else "live" if env == LIVE else "test"
    body = _base62(int.from_bytes(entropy, "big"), _BODY)
    return f"prn_{prefix}_{body}{_checksum(prefix, body)}"


def require_well_formed(token: str) -> str:
    """The token, if its form and checksum are right, else UnauthenticatedError. No read, no secret."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise UnauthenticatedError(
            "this is not an API key", fix="keys look like prn_test_…, prn_live_… or prn_pub_…"
        )
    if _checksum(match[1], match[2]) != match[3]:
        raise UnauthenticatedError("this API key is mistyped", fix="copy it again, whole")
    return token


def digest_of(token: str, pepper: bytes) -> str:
    """What is kept of a token: HMAC-SHA256 under the pepper, 64 hex digits."""
    return _hmac(pepper, "digest", token).hex()


def entropy_of(pepper: bytes, *cause: str) -> bytes:
    """256 bits that only the pepper's holder can compute, the same for the same cause: a repeated request shows
    the same token again although nobody kept it."""
    return _hmac(pepper, "token", *cause)


def require_scopes(kind: KeyKind, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """The scopes in canonical order: secret keys need one, publishable keys take none."""
    if kind is KeyKind.PUBLISHABLE and scopes:
        raise ValidationError("a publishable key has no scopes", field="scopes", fix="leave them out")
    if kind is KeyKind.SECRET and not scopes:
        raise ValidationError("a secret key needs a scope", field="scopes", fix="give at least one")
    return tuple(scope for scope in Scope if scope in scopes)


def rolled(key: ApiKey, token: IssuedToken, *, overlap: timedelta) -> ApiKey:
    """The key with a new token; earlier ones end after `overlap` (or earlier, if they did already)."""
    if key.revoked_at is not None:
        raise InvalidStateError("this key is revoked", fix="create a new one", id=key.id)
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValidationError("the overlap is 0 to 7 days", field="overlap_hours", fix="give 0 to 168 hours")
    end = token.issued_at + overlap
    older = tuple(replace(old, expires_at=min(old.expires_at or end, end)) for old in key.tokens)
    return replace(key, tokens=(*older, token))


def revoked(key: ApiKey, machine_now: datetime) -> ApiKey:
    return key if key.revoked_at is not None else replace(key, revoked_at=machine_now)


def _hmac(pepper: bytes, *parts: str) -> bytes:
    if len(pepper) < 32:
        raise ValueError("the pepper must have at least 32 bytes")
    return hmac.new(pepper, "\x1f".join(parts).encode(), hashlib.sha256).digest()


def _checksum(prefix: str, body: str) -> str:
    return _base62(zlib.crc32(f"{prefix}_{body}".encode()), _CHECKSUM)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
