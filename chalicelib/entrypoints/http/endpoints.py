"""What an endpoint is, what its handler is handed, and the register of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from chalice.app import Response
from pydantic import BaseModel

from chalicelib.application.context import Context
from chalicelib.composition import Services
from chalicelib.domain.credentials import Credential, Scope
from chalicelib.domain.errors import DomainError
from chalicelib.domain.journal import Actor
from chalicelib.entrypoints.http.auth import current_environment

B = TypeVar("B")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[B]):
    """One request, checked: the handler's only argument.

    `body` is the validated body (None without a schema), `query` the validated query string, `path` the
    decoded path parameters, `headers` case-insensitive, `raw` the body's bytes, `client` the caller's address.
    """

    services: Services
    machine_now: datetime
    request_id: str
    body: B
    query: Any = None
    path: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    client: str = ""
    request_key: str = ""
    request_print: str = ""
    credential: Credential | None = None
    context: Context | None = None

    @property
    def ctx(self) -> Context:
        """The context of the key's environment. A public route has no key: use `entering`."""
        if self.context is None:
            raise LookupError("a public route has no environment of its own")
        return self.context

    def entering(self, env: str, actor: Actor) -> Context:
        """For public routes: the context of the environment that something trusted (a session, a signature)
        names. Raises UnauthenticatedError when there is no such environment.
        """
        environment = current_environment(self.services, env, machine_now=self.machine_now)
        return Context(
            env=env,
            now=environment.business_now(self.machine_now),
            machine_now=self.machine_now,
            services=self.services,
            actor=actor,
            request_key=self.request_key,
            request_print=self.request_print,
        )

    def with_context(self, context: Context, credential: Credential) -> Call[B]:
        return replace(self, context=context, credential=credential)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer with its own status or headers. `content` is a view, text (with its Content-Type), or None."""

    content: BaseModel | str | bytes | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call[Any]], BaseModel | Reply | Response | None]
Recompute = Callable[[Call[Any], Mapping[str, Any]], str]
"""(call, the stored body) → a secret that the stored body leaves out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A route as declared. Exactly one of: `public` (no key), `publishable` (a publishable key, or a secret key
    with `scope`), or neither (a secret key with `scope`).
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    publishable: bool
    public: bool
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: type[BaseModel] | None
    status: int
    tag: str
    summary: str
    errors: tuple[type[DomainError], ...]
    secrets: Mapping[str, Recompute]
    raw: bool
    hidden: bool
    also: Mapping[int, str]
    media: str | None = None

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"


ENDPOINTS: dict[tuple[str, str], Endpoint] = {}
"""Every declared endpoint by method and path: what OpenAPI and the scope tests are made from."""
