"""Environments over HTTP: sandboxes, and who am I."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalice.app import Blueprint
from pydantic import AwareDatetime, Field

from chalicelib.application import environments
from chalicelib.application.credentials import token_of_request
from chalicelib.domain.credentials import KeyKind
from chalicelib.domain.environment import Environment
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint

bp = Blueprint(__name__)


class SandboxRequest(Schema):
    name: str = Field(default="Sandbox", min_length=1, max_length=100, examples=["Renewals in 2027"])
    start_at: AwareDatetime | None = Field(default=None, examples=["2027-01-01T00:00:00Z"])
    """Where its clock starts; today if left out."""


class EnvironmentView(View):
    id: str = Field(examples=["live"])
    name: str
    live: bool
    clock: datetime = Field(description="Business time: the sandbox's own, the real one for live.")
    catalog_version: int
    created_at: datetime


class SandboxView(EnvironmentView):
    secret_key: str = Field(
        description="Shown once. Repeating the request with its Idempotency-Key shows it again."
    )
    publishable_key: str = Field(description="For web pages of this sandbox.")


class MeView(View):
    environment: EnvironmentView
    key_id: str
    kind: KeyKind
    scopes: list[Scope]


class SandboxQuery(Schema):
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, min_length=1, max_length=64)


class SandboxPage(View):
    data: list[EnvironmentView]
    next_cursor: str | None


def _token(kind: KeyKind) -> Any:
    def again(call: Call[Any], stored: Mapping[str, Any]) -> str:
        return token_of_request(call.services.keys, stored["id"], kind, call.request_key)

    return again


@endpoint(
    bp,
    "POST",
    "/v1/sandboxes",
    body=SandboxRequest,
    answer=SandboxView,
    status=201,
    scope=Scope.ADMIN,
    tag="Environments",
    summary="Create a sandbox with its own clock, keys and a copy of the current catalog",
    secrets={"secret_key": _token(KeyKind.SECRET), "publishable_key": _token(KeyKind.PUBLISHABLE)},
)
def create_sandbox(call: Call[SandboxRequest]) -> SandboxView:
    opened = environments.open_environment(
        call.services.store,
        call.services.keys,
        name=call.body.name,
        request_key=call.request_key,
        machine_now=call.machine_now,
        start_at=environments.require_start(call.body.start_at, call.machine_now),
        catalog_of=call.ctx.env,
    )
    return SandboxView(
        **_view(opened.environment, call).model_dump(),
        secret_key=opened.secret_token,
        publishable_key=opened.publishable_token,
    )


@endpoint(
    bp,
    "GET",
    "/v1/sandboxes",
    query=SandboxQuery,
    answer=SandboxPage,
    scope=Scope.ADMIN,
    tag="Environments",
    summary="List sandboxes",
)
def list_sandboxes(call: Call[None]) -> SandboxPage:
    found, cursor = environments.list_sandboxes(
        call.services.store, call.services.ops, after=call.query.cursor, limit=call.query.limit
    )
    return SandboxPage(data=[_view(environment, call) for environment in found], next_cursor=cursor)


@endpoint(
    bp,
    "GET",
    "/v1/me",
    answer=MeView,
    publishable=True,
    tag="Environments",
    summary="Which key and environment is this?",
)
def me(call: Call[None]) -> MeView:
    credential = call.credential
    assert credential is not None
    environment = environments.load_environment(call.services.store, call.ctx.env)
    return MeView(
        environment=_view(environment, call),
        key_id=credential.key_id,
        kind=credential.kind,
        scopes=list(credential.scopes),
    )


def _view(environment: Environment, call: Call[Any]) -> EnvironmentView:
    return EnvironmentView(
        id=environment.id,
        name=environment.name,
        live=environment.is_live,
        clock=environment.business_now(call.machine_now),
        catalog_version=environment.catalog_version,
        created_at=environment.created_at,
    )
