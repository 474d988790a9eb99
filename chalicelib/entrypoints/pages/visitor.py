"""Who looks at a page: a visitor of the environment that a publishable key, or a link of ours, leads to."""

from __future__ import annotations

import re
from typing import Any

from chalicelib.application.context import Context
from chalicelib.application.credentials import check_token
from chalicelib.domain.contact import language_tag
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import NotFoundError, UnauthenticatedError, ValidationError
from chalicelib.domain.journal import Actor, ActorKind
from chalicelib.entrypoints.formatting import DEFAULT_LANGUAGE
from chalicelib.entrypoints.http.auth import is_publishable
from chalicelib.entrypoints.http.kit import Call

VISITOR = Actor(ActorKind.CUSTOMER)
_ENVIRONMENT = re.compile(r"live|sbx_[0-9a-z]{26}", re.ASCII)


def enter_by_key(call: Call[Any], key: str | None) -> Context:
    """The environment of a publishable key, live without one. UnauthenticatedError for any other key."""
    if not key:
        return call.entering(LIVE, VISITOR)
    credential = check_token(call.services.keys, key, machine_now=call.machine_now)
    if not is_publishable(credential):
        raise UnauthenticatedError("a secret key must not be part of an address")
    return call.entering(credential.env, VISITOR)


def enter_by_link(call: Call[Any], env: str) -> Context:
    """The environment named by a link that also carries an unguessable id. NotFoundError for an unknown one."""
    if not _ENVIRONMENT.fullmatch(env):
        raise NotFoundError("no such page")
    try:
        return call.entering(env, VISITOR)
    except UnauthenticatedError:
        raise NotFoundError("no such page", id=env) from None


def page_language(tag: str | None) -> str:
    """The language of amounts and dates; English unless it is a plain tag."""
    try:
        return language_tag(tag or DEFAULT_LANGUAGE, field="language")
    except ValidationError:
        return DEFAULT_LANGUAGE


def guessed_country(accept_language: str) -> str:
    """The region of the browser's first language that names one (`de-AT,de` → AT), or nothing."""
    for part in accept_language.split(",")[:5]:
        region = part.partition(";")[0].strip().rpartition("-")[2]
        if len(region) == 2 and region.isalpha() and "-" in part:
            return region.upper()
    return ""
