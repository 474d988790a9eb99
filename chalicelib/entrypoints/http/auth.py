"""Who asks: the API key of a request, checked, with the environment it opens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from chalicelib.application.credentials import CACHE_FOR, check_token
from chalicelib.application.environments import load_environment
from chalicelib.composition import Services
from chalicelib.domain.credentials import Credential, KeyKind, unknown_key
from chalicelib.domain.environment import LIVE, Environment
from chalicelib.domain.errors import NotFoundError, UnauthenticatedError


@dataclass(frozen=True, slots=True)
class Principal:
    """A checked key and its environment as it is now (a sandbox's clock moves)."""

    credential: Credential
    environment: Environment


def authenticate(
    services: Services, headers: Mapping[str, str], query: dict[str, list[str]], *, machine_now: datetime
) -> Principal:
    """The principal of a request, from `Authorization: Bearer`, Basic (the key as user name), or `?key=` for
    publishable keys. `key` is taken out of `query`. Raises UnauthenticatedError.
    """
    token = _token(headers, query)
    credential = check_token(services.keys, token, machine_now=machine_now)
    return Principal(credential, current_environment(services, credential.env, machine_now=machine_now))


def current_environment(services: Services, env: str, *, machine_now: datetime) -> Environment:
    """The environment: live from this process's cache (≤ 60 s), a sandbox read each time, as its clock moves."""
    cached = services.live_environment
    if env == LIVE and cached is not None and cached[0] <= machine_now < cached[0] + CACHE_FOR:
        return cached[1]
    try:
        environment = load_environment(services.store, env)
    except NotFoundError:
        raise unknown_key() from None
    if environment.is_live:
        services.live_environment = (machine_now, environment)
    return environment


def _token(headers: Mapping[str, str], query: dict[str, list[str]]) -> str:
    given = query.pop("key", [])
    if given and not (len(given) == 1 and given[0].startswith("prn_pub_")):
        raise UnauthenticatedError(
            "only a publishable key may be part of an address",
            field="key",
            fix="send a secret key as Authorization: Bearer",
        )
    header = headers.get("authorization")
    if header is not None:
        return _from_header(header)
    if given:
        return given[0]
    raise UnauthenticatedError("this needs an API key", fix="send the header Authorization: Bearer prn_…")


def _from_header(header: str) -> str:
    scheme, _, value = header.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            return _user(value.strip())
    raise UnauthenticatedError("this Authorization is not understood", fix="send Authorization: Bearer prn_…")


def _user(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        raise UnauthenticatedError(
            "this Authorization is not Basic", fix="send Authorization: Bearer prn_…"
        ) from None


def is_publishable(credential: Credential | None) -> bool:
    """Whether a web page asks, not a server: some answers and fields are not for it."""
    return credential is not None and credential.kind is KeyKind.PUBLISHABLE
