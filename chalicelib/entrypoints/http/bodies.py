"""Request bodies and query strings: size, JSON, strict schemas."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.entrypoints.http.problems import (
    BodyTooLargeError,
    InvalidFieldsError,
    MalformedBodyError,
)

MAX_BODY = 256 * 1024

M = TypeVar("M", bound=BaseModel)


class Schema(BaseModel):
    """Base of every request: unknown fields are refused by name, nothing is coerced, nothing changes.

    Validators are built on first use: a cold start pays for the schemas of its request, not for all.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class View(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def require_size(raw: bytes) -> None:
    if len(raw) > MAX_BODY:
        raise BodyTooLargeError(f"the body has {len(raw)} bytes", fix=f"send at most {MAX_BODY} bytes")


def parse_json(raw: bytes) -> Any:
    """The body as JSON values; None for no body. Raises MalformedBodyError with line and column."""
    if not raw.strip():
        return None
    try:
        return json.loads(raw, parse_constant=_no_constant, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBodyError(f"not JSON: {error.msg} at {where}", fix="send a JSON object") from None
    except (ValueError, RecursionError):
        raise MalformedBodyError("the body is not JSON in UTF-8", fix="send a JSON object") from None


def validate(model: type[M], raw: bytes) -> M:
    """The body as `model`. Raises InvalidFieldsError naming every wrong or unknown field."""
    try:
        return model.model_validate_json(raw if raw.strip() else b"{}")
    except ValidationError as error:
        _refuse(error, model)


def validate_query(model: type[M] | None, values: Mapping[str, list[str]]) -> M | None:
    """The query string as `model`; each parameter once; without a model there may be none."""
    repeated = [name for name, given in values.items() if len(given) > 1]
    if repeated:
        raise InvalidFieldsError([{"field": name, "detail": "give this parameter once"} for name in repeated])
    if model is None:
        if values:
            unknown = [{"field": name, "detail": "there is no such parameter"} for name in values]
            raise InvalidFieldsError(unknown, fix="this route takes no query parameters")
        return None
    try:
        return model.model_validate_strings({name: given[0] for name, given in values.items()})
    except ValidationError as error:
        _refuse(error, model)


def refuse_content(content: Any) -> None:
    """A route without a body schema takes no body, or an empty object."""
    if content not in (None, {}):
        names = list(content) if isinstance(content, dict) else [""]
        unknown = [{"field": name, "detail": "there is no such field"} for name in names]
        raise InvalidFieldsError(unknown, fix="send no body")


def fingerprint(content: Any, query: Mapping[str, list[str]]) -> str:
    """The content of a request, whatever its spacing and the order of its fields."""
    canonical = json.dumps([content, query], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse(error: ValidationError, model: type[BaseModel]) -> NoReturn:
    first = error.errors(include_url=False, include_input=False)[0]
    if not first["loc"] and first["type"] in ("json_invalid", "model_type"):
        raise MalformedBodyError(f"not a JSON object: {first['msg']}", fix="send a JSON object") from None
    errors = [
        {"field": _path(each["loc"]), "detail": _detail(each["type"], each["msg"])}
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    unknown = any(each["type"] == "extra_forbidden" for each in error.errors(include_input=False))
    known = ", ".join(field.alias or name for name, field in model.model_fields.items())
    raise InvalidFieldsError(errors, fix=f"known fields: {known or 'none'}" if unknown else None) from None


def _detail(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "missing":
        return "this field is required"
    return (
        message[:1].lower() + message[1:].removeprefix("alue error, ") if kind == "value_error" else message
    )


def _path(parts: tuple[int | str, ...]) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedBodyError("this field is given twice", field=twice, fix="give it once")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
