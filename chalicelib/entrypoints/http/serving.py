"""From a raw request to an answer: key, scope, query, body, idempotency, handler, errors."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from chalice.app import Request, Response
from pydantic import BaseModel

from chalicelib import composition
from chalicelib.application.context import Context
from chalicelib.domain.credentials import Scope, authorise
from chalicelib.domain.errors import DomainError
from chalicelib.domain.journal import Actor, ActorKind
from chalicelib.entrypoints.http import bodies, idempotency
from chalicelib.entrypoints.http.auth import authenticate, is_publishable
from chalicelib.entrypoints.http.card_numbers import refuse_card_numbers
from chalicelib.entrypoints.http.endpoints import Call, Endpoint, Reply
from chalicelib.entrypoints.http.limiting import count_write, network_of
from chalicelib.entrypoints.http.problems import problem_of

CURRENT: ContextVar[Request] = ContextVar("request")
"""Set by the edge: Chalice's own current request belongs to the app and so to every thread at once."""


def serve(endpoint: Endpoint, path: Mapping[str, str]) -> Response:
    """The answer to the current request. Refusals become problems; anything unexpected is the edge's."""
    request = CURRENT.get()
    services = composition.services()
    try:
        return _serve(endpoint, {name: unquote(value) for name, value in path.items()}, request, services)
    except DomainError as error:
        return _refuse(error, services, request)


def request_id_of(request: Request) -> str:
    """The gateway's id of the request: in the answer's header, in problems and in the log."""
    return str(request.context.get("requestId") or getattr(request.lambda_context, "aws_request_id", ""))


def _serve(
    endpoint: Endpoint, path: dict[str, str], request: Request, services: composition.Services
) -> Response:
    machine_now = services.machine_now()
    raw = request.raw_body
    raw = raw if isinstance(raw, bytes) else raw.encode()
    bodies.require_size(raw)
    query = _query(request)
    call = _call(endpoint, path, request, services, raw, machine_now)
    if not endpoint.public:
        principal = authenticate(services, request.headers, query, machine_now=machine_now)
        authorise(principal.credential, endpoint.scope or Scope.READ, publishable=endpoint.publishable)
        if endpoint.method != "GET" and is_publishable(principal.credential):
            count_write(call, principal.environment.id, principal.credential.key_id)
        context = Context(
            env=principal.environment.id,
            now=principal.environment.business_now(machine_now),
            machine_now=machine_now,
            services=services,
            actor=Actor(ActorKind.API, principal.credential.key_id),
        )
        call = call.with_context(context, principal.credential)
    return _run(endpoint, call, query, request)


def _run(endpoint: Endpoint, call: Call[Any], query: dict[str, list[str]], request: Request) -> Response:
    key = idempotency.key_in(call.headers) if endpoint.method == "POST" and not endpoint.public else None
    content = None if endpoint.raw else bodies.parse_json(call.raw)
    call = _checked(endpoint, call, content, query)
    call = _named(endpoint, call, key, bodies.fingerprint(content, query))
    if key is None:
        return _handle(endpoint, call)
    return idempotency.once(
        endpoint,
        call,
        lambda: _handle(endpoint, call),
        lambda error: _refuse(error, call.services, request),
    )


def _checked(endpoint: Endpoint, call: Call[Any], content: Any, query: dict[str, list[str]]) -> Call[Any]:
    """The call with its body and query validated."""
    checked = bodies.validate_query(endpoint.query, query) if not endpoint.raw or endpoint.query else None
    body: Any = None
    if not endpoint.raw:
        refuse_card_numbers(content)
        if endpoint.body is None:
            bodies.refuse_content(content)
        else:
            body = bodies.validate(endpoint.body, call.raw)
    return replace(call, body=body, query=checked)


def _named(endpoint: Endpoint, call: Call[Any], key: str | None, fingerprint: str) -> Call[Any]:
    """The call with its request key and fingerprint, in its context too."""
    if call.context is None:
        return replace(call, request_key=idempotency.fresh_key(), request_print=fingerprint)
    path = endpoint.path.format(**call.path)
    if key is not None and is_publishable(call.credential):
        key = _visitors_key(call, key)
    name = idempotency.request_key(call.context.env, endpoint, path, key)
    context = replace(call.context, request_key=name, request_print=fingerprint)
    return replace(call, request_key=name, request_print=fingerprint, context=context)


def _visitors_key(call: Call[Any], key: str) -> str:
    """A visitor's Idempotency-Key. Ids follow from it, and an id is all that opens a sign-up: so whoever guesses the
    key neither computes the id nor, from another network, is given the answer.
    """
    secret = hmac.new(call.services.pepper, f"{network_of(call.client)} {key}".encode(), "sha256")
    return f"visitor {secret.hexdigest()}"


def _handle(endpoint: Endpoint, call: Call[Any]) -> Response:
    result = endpoint.handler(call)
    if isinstance(result, Response):
        return result
    reply = result if isinstance(result, Reply) else Reply(content=result)
    return _conditional(endpoint, call, _response(endpoint, reply))


def _response(endpoint: Endpoint, reply: Reply) -> Response:
    content = reply.content
    headers: dict[str, str | list[str]] = {**reply.headers}
    if isinstance(content, BaseModel):
        headers.setdefault("Content-Type", "application/json")
        content = content.model_dump_json(by_alias=True)
    return Response(body=content or "", status_code=reply.status or endpoint.status, headers=headers)


def _conditional(endpoint: Endpoint, call: Call[Any], response: Response) -> Response:
    """304 when the caller already has this version."""
    tag = response.headers.get("ETag")
    known = call.headers.get("if-none-match", "")
    if endpoint.method != "GET" or tag is None or response.status_code != 200:
        return response
    if known.strip() != "*" and tag not in [each.strip().removeprefix("W/") for each in known.split(",")]:
        return response
    kept = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    return Response(body="", status_code=304, headers=kept)


def _refuse(error: DomainError, services: composition.Services, request: Request) -> Response:
    return problem_of(error, base=services.public_url, request_id=request_id_of(request))


def _query(request: Request) -> dict[str, list[str]]:
    given = request.query_params
    return {} if given is None else {name: given.getlist(name) for name in given}


def _call(
    endpoint: Endpoint,
    path: dict[str, str],
    request: Request,
    services: composition.Services,
    raw: bytes,
    machine_now: datetime,
) -> Call[Any]:
    return Call(
        services=services,
        machine_now=machine_now,
        request_id=request_id_of(request),
        body=None,
        path=path,
        headers=request.headers,
        raw=raw,
        client=str((request.context.get("identity") or {}).get("sourceIp") or ""),
    )
