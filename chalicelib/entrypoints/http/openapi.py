"""The API's description (OpenAPI 3.1), made from the register of endpoints and their schemas."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.domain.credentials import Scope
from chalicelib.domain.errors import (
    CaptchaRequiredError,
    ConflictError,
    DomainError,
    ForbiddenError,
    IdempotencyInFlightError,
    IdempotencyMismatchError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
    ValidationError,
)
from chalicelib.entrypoints.http.endpoints import Endpoint
from chalicelib.entrypoints.http.idempotency import HEADER, MAX_LENGTH
from chalicelib.entrypoints.http.limiting import CAPTCHA_HEADER
from chalicelib.entrypoints.http.problems import (
    KINDS,
    MEDIA_TYPE,
    BodyTooLargeError,
    CardNumberError,
    MalformedBodyError,
    UnsupportedMediaTypeError,
)

VERSION = "1.0.0"
_REF = "#/components/schemas/{model}"
_Mode = Literal["validation", "serialization"]

_DESCRIPTION = """\
Subscription billing. Amounts are integers in the currency's minor unit; instants are ISO 8601 in UTC.

The API key decides the environment (live, or a sandbox with its own clock): send it as
`Authorization: Bearer prn_test_…`. Every POST takes an `Idempotency-Key`: the same key and body get the same
answer again. Errors are problems (RFC 9457) with a stable `code`, the `field` concerned and a `fix`.
"""

_PROBLEM = {
    "type": "object",
    "description": "What was wrong, as of RFC 9457.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Explains the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: made for programs.", "enum": sorted(KINDS)},
        "detail": {"type": "string", "description": "Made for people."},
        "field": {"type": "string", "description": "Path of the field concerned, `items[0].quantity`."},
        "fix": {"type": "string", "description": "What to do about it."},
        "errors": {
            "type": "array",
            "description": "Every field concerned, when there are several.",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                    "fix": {"type": "string"},
                },
            },
        },
        "ids": {
            "type": "object",
            "description": "The things concerned.",
            "additionalProperties": {"type": "string"},
        },
        "request_id": {"type": "string", "description": "Under which it was logged."},
    },
}

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `prn_live_…`, `prn_test_…`."},
    "basic": {"type": "http", "scheme": "basic", "description": "The API key as user name, no password."},
    "publishable": {
        "type": "apiKey",
        "in": "query",
        "name": "key",
        "description": "A publishable key, `prn_pub_…`.",
    },
}


def describe(endpoints: Iterable[Endpoint], *, base: str) -> dict[str, Any]:
    """The document. `base` is the installation's public address."""
    shown = [endpoint for endpoint in endpoints if not endpoint.hidden]
    schemas, references = _schemas(shown)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for endpoint in shown:
        paths[endpoint.path][endpoint.method.lower()] = _operation(endpoint, schemas, references)
    for model in {endpoint.query for endpoint in shown if endpoint.query is not None}:
        schemas.pop(_name(references[model, "validation"]), None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Perennial", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": base}],
        "tags": [{"name": tag} for tag in _tags(shown)],
        "paths": dict(paths),
        "components": {"schemas": {**schemas, "Problem": _PROBLEM}, "securitySchemes": _SECURITY},
    }


def _tags(endpoints: list[Endpoint]) -> list[str]:
    """In the order of declaration, what is not about billing last."""
    return sorted(dict.fromkeys(endpoint.tag for endpoint in endpoints), key=lambda tag: tag == "Meta")


References = dict[tuple[type[BaseModel], _Mode], dict[str, Any]]


def _schemas(endpoints: list[Endpoint]) -> tuple[dict[str, Any], References]:
    inputs: set[tuple[type[BaseModel], _Mode]] = {
        (model, "validation") for each in endpoints for model in (each.body, each.query) if model is not None
    }
    outputs: set[tuple[type[BaseModel], _Mode]] = {
        (each.answer, "serialization") for each in endpoints if each.answer is not None
    }
    wanted = sorted(inputs | outputs, key=lambda pair: (pair[0].__module__, pair[0].__qualname__, pair[1]))
    references, definitions = models_json_schema(wanted, ref_template=_REF)
    schemas = {name: _tidy(schema) for name, schema in definitions.get("$defs", {}).items()}
    return schemas, dict(references)  # type: ignore[arg-type]


def _tidy(schema: Any) -> Any:
    """Without the titles that only repeat a field's name, and with `X or null` as one type."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: {field: _tidy(each) for field, each in value.items()} if name == "properties" else _tidy(value)
        for name, value in schema.items()
        if name not in ("title", "examples", "default", "enum", "const")
    } | {name: schema[name] for name in ("examples", "default", "enum", "const") if name in schema}
    options = kept.get("anyOf", [])
    if len(options) == 2 and options[1] == {"type": "null"} and isinstance(options[0].get("type"), str):
        option = options[0]
        if "enum" not in option and "const" not in option:
            del kept["anyOf"]
            return {**option, "type": [option["type"], "null"], **kept}
    return kept


def _operation(endpoint: Endpoint, schemas: dict[str, Any], references: References) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": _policy(endpoint),
        "security": _security(endpoint),
        "parameters": _parameters(endpoint, schemas, references),
        "responses": _responses(endpoint, references),
    }
    if endpoint.body is not None:
        schema = references[endpoint.body, "validation"]
        required = any(field.is_required() for field in endpoint.body.model_fields.values())
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _policy(endpoint: Endpoint) -> str:
    if endpoint.public:
        return "Needs no key."
    scope = (endpoint.scope or Scope.READ).value
    if endpoint.publishable:
        return f"Takes a publishable key, or a secret key with the scope `{scope}`."
    return f"Takes a secret key with the scope `{scope}`."


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.public:
        return []
    schemes = ["bearer", "basic", *(["publishable"] if endpoint.publishable else [])]
    return [{scheme: []} for scheme in schemes]


def _parameters(endpoint: Endpoint, schemas: dict[str, Any], references: References) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    if endpoint.query is not None:
        found += _query_parameters(schemas[_name(references[endpoint.query, "validation"])])
    if endpoint.method == "POST" and not endpoint.public:
        found.append(
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "description": "Names the request: sent again, it gets the same answer and has no second effect.",
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": "^[ -~]+$"},
            }
        )
    if CaptchaRequiredError in endpoint.errors:
        found.append(
            {
                "name": CAPTCHA_HEADER,
                "in": "header",
                "required": False,
                "description": "A captcha's solution, with a publishable key where the site asks for one.",
                "schema": {"type": "string", "maxLength": 8192, "pattern": "^[!-~]*$"},
            }
        )
    return found


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": _without_null(each),
            **({"description": each["description"]} if "description" in each else {}),
        }
        for name, each in schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An absent parameter is None; there is no way to send null in a query string."""
    if isinstance(schema.get("type"), list):
        schema = {**schema, "type": schema["type"][0]}
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default", "description")}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return kept | options[0] if len(options) == 1 else {**kept, **({"anyOf": options} if options else {})}


def _responses(endpoint: Endpoint, references: References) -> dict[str, Any]:
    success: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.answer is not None:
        schema = references[endpoint.answer, "serialization"]
        success["content"] = {"application/json": {"schema": schema}}
    if endpoint.media is not None:
        success["content"] = {endpoint.media: {}}
    if endpoint.status == 302:
        success["headers"] = {"Location": {"schema": {"type": "string", "format": "uri"}}}
    responses = {str(endpoint.status): success}
    for status, why in endpoint.also.items():
        responses[str(status)] = (
            {"description": why} if status in (204, 304) else {**success, "description": why}
        )
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in _codes(endpoint):
        by_status[KINDS[code].status].append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problem_response(codes)
    return responses


def _codes(endpoint: Endpoint) -> list[str]:
    """Every code that the kit or the handler may answer with, once."""
    errors: list[type[DomainError]] = [ValidationError, *endpoint.errors]
    if not endpoint.public:
        errors += [UnauthenticatedError, ForbiddenError]
    if endpoint.publishable and endpoint.method != "GET":
        errors.append(RateLimitedError)
    if "{" in endpoint.path:
        errors.append(NotFoundError)
    if endpoint.method not in ("GET", "DELETE"):
        errors += [
            MalformedBodyError,
            CardNumberError,
            BodyTooLargeError,
            UnsupportedMediaTypeError,
            ConflictError,
        ]
    if endpoint.method == "DELETE":
        errors.append(ConflictError)
    if endpoint.method == "POST" and not endpoint.public:
        errors += [IdempotencyInFlightError, IdempotencyMismatchError]
    return list(dict.fromkeys([*(error.code for error in errors), "internal"]))


def _problem_response(codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {"value": {"type": f"/problems/{code}", "title": kind.title, "status": kind.status, "code": code,
                         "detail": kind.title, "request_id": "3f0e…"}}
        for code in codes
        for kind in [KINDS[code]]
    }  # fmt: skip
    return {
        "description": "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}, "examples": examples}},
    }


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]
