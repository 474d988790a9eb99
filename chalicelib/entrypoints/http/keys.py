"""API keys over HTTP. A token is in the answer that made it, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalice.app import Blueprint
from pydantic import AwareDatetime, Field

from chalicelib.application import credentials
from chalicelib.domain.credentials import ApiKey, KeyKind
from chalicelib.domain.errors import InvalidStateError, NotFoundError
from chalicelib.domain.errors import ValidationError as InvalidError
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint

bp = Blueprint(__name__)


class KeyRequest(Schema):
    name: str = Field(min_length=1, max_length=100, examples=["Website back end"])
    kind: KeyKind = KeyKind.SECRET
    scopes: list[Scope] = Field(default=[], max_length=4, examples=[["read", "write"]])
    expires_at: AwareDatetime | None = None


class RollRequest(Schema):
    overlap_hours: int = Field(
        default=24, ge=0, le=168, description="How long the present key goes on working."
    )


class KeyQuery(Schema):
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, min_length=1, max_length=64)


class KeyView(View):
    id: str
    name: str
    kind: KeyKind
    scopes: list[Scope]
    last4: str = Field(description="The last four characters of the newest key.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKeyView(KeyView):
    key: str = Field(description="Shown once. Repeating the request with its Idempotency-Key shows it again.")


class KeyPage(View):
    data: list[KeyView]
    next_cursor: str | None


def _again(call: Call[Any], stored: Mapping[str, Any]) -> str:
    return credentials.token_of_request(
        call.services.keys, call.ctx.env, KeyKind(stored["kind"]), call.request_key
    )


@endpoint(
    bp,
    "POST",
    "/v1/api_keys",
    body=KeyRequest,
    answer=NewKeyView,
    status=201,
    scope=Scope.ADMIN,
    tag="API keys",
    summary="Create an API key of this environment",
    secrets={"key": _again},
)
def create_key(call: Call[KeyRequest]) -> NewKeyView:
    expires_at = call.body.expires_at
    if expires_at is not None and expires_at <= call.machine_now:
        raise InvalidError("this is past", field="expires_at", fix="give a later instant")
    if expires_at is not None and expires_at.year > call.machine_now.year + 100:
        raise InvalidError(
            "this is too far away", field="expires_at", fix="leave it out for a key without an end"
        )
    key, token = credentials.issue_key(
        call.services.keys,
        call.ctx.env,
        kind=call.body.kind,
        name=call.body.name,
        scopes=tuple(call.body.scopes),
        request_key=call.request_key,
        machine_now=call.machine_now,
        expires_at=expires_at,
    )
    return NewKeyView(**_view(key).model_dump(), key=token)


@endpoint(
    bp,
    "GET",
    "/v1/api_keys",
    query=KeyQuery,
    answer=KeyPage,
    scope=Scope.ADMIN,
    tag="API keys",
    summary="List API keys",
)
def list_keys(call: Call[None]) -> KeyPage:
    keys = credentials.list_keys(
        call.services.keys, call.ctx.env, after=call.query.cursor, limit=call.query.limit
    )
    cursor = keys[-1].id if len(keys) == call.query.limit else None
    return KeyPage(data=[_view(key) for key in keys], next_cursor=cursor)


@endpoint(
    bp,
    "POST",
    "/v1/api_keys/{id}/roll",
    body=RollRequest,
    answer=NewKeyView,
    scope=Scope.ADMIN,
    tag="API keys",
    summary="Replace a key; the present one works on for a while",
    errors=(NotFoundError, InvalidStateError),
    secrets={"key": _again},
)
def roll_key(call: Call[RollRequest]) -> NewKeyView:
    key, token = credentials.roll_key(
        call.services.keys,
        call.ctx.env,
        call.path["id"],
        overlap=timedelta(hours=call.body.overlap_hours),
        request_key=call.request_key,
        machine_now=call.machine_now,
    )
    return NewKeyView(**_view(key).model_dump(), key=token)


@endpoint(
    bp,
    "DELETE",
    "/v1/api_keys/{id}",
    answer=KeyView,
    scope=Scope.ADMIN,
    tag="API keys",
    summary="Revoke a key, within a minute everywhere",
    errors=(NotFoundError,),
)
def revoke_key(call: Call[None]) -> KeyView:
    key = credentials.revoke_key(
        call.services.keys, call.ctx.env, call.path["id"], machine_now=call.machine_now
    )
    return _view(key)


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        kind=key.kind,
        scopes=list(key.scopes),
        last4=key.tokens[-1].last4,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
