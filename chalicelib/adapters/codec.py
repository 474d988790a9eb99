"""Frozen dataclasses to compact JSON values and back, compiled once per class.

The format: a dataclass is an object without the fields that equal their default, a tuple an array, an instant
an ISO string in UTC, an enum its value. Reading ignores fields it does not know (an older program reads what
a newer one wrote) and gives missing ones their default, so a field's default belongs to the format: change it
only together with the name. `Any` passes through and must hold JSON values.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Convert = Callable[[Any], Any]

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(record: Any) -> dict[str, Any]:
    """The record as a dict of JSON values. TypeError for a class with a field that has no stored form."""
    encoded: dict[str, Any] = coder_of(type(record)).encode(record)
    return encoded


def decode(type_: type[T], stored: Mapping[str, Any]) -> T:
    """The inverse of `encode`. Raises TypeError when a field without default is missing."""
    record: T = coder_of(type_).decode(stored)
    return record


def dumps(value: Any) -> str:
    """Compact JSON text of an encoded value."""
    return _to_json(value)


class Coder(NamedTuple):
    """How one type is written and read; None where the value is its own stored form."""

    encode: Any
    decode: Any


_AS_IS = Coder(None, None)
_PLAIN = frozenset({str, int, bool, type(None), Any})


def coder_of(annotation: Any) -> Coder:
    """The compiled form of a type; TypeError when it has none."""
    return _compiled(annotation)


@cache
def _compiled(annotation: Any) -> Coder:
    if annotation in _PLAIN or get_origin(annotation) is Literal:
        return _AS_IS
    if get_origin(annotation) in (Union, types.UnionType):
        return _union(get_args(annotation))
    if get_origin(annotation) is tuple:
        return _tuple(get_args(annotation))
    if get_origin(annotation) in (dict, Mapping):
        return _mapping(get_args(annotation))
    if isinstance(annotation, type):
        return _class(annotation)
    raise TypeError(f"{annotation!r} has no stored form")


def _class(class_: type[Any]) -> Coder:
    if issubclass(class_, datetime):
        return Coder(_write_instant, datetime.fromisoformat)
    if issubclass(class_, date):
        return Coder(date.isoformat, date.fromisoformat)
    if issubclass(class_, Enum):
        return Coder(attrgetter("value"), class_)
    if is_dataclass(class_):
        return _dataclass(class_)
    raise TypeError(f"{class_!r} has no stored form")


def _write_instant(instant: datetime) -> str:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _union(parts: tuple[Any, ...]) -> Coder:
    """`X | None`, or parts that are all their own stored form: nothing else could be told apart on reading."""
    coders = [coder_of(part) for part in parts if part is not types.NoneType]
    if all(coder == _AS_IS for coder in coders):
        return _AS_IS
    if len(coders) > 1:
        raise TypeError(f"a union of {parts!r} has no stored form")
    return Coder(_unless_none(coders[0].encode), _unless_none(coders[0].decode))


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _tuple(parts: tuple[Any, ...]) -> Coder:
    if len(parts) == 2 and parts[1] is Ellipsis:
        each = coder_of(parts[0])
        return Coder(_all_through(each.encode, list), _all_through(each.decode, tuple))
    coders = [coder_of(part) for part in parts]
    return Coder(
        _each_through([coder.encode for coder in coders], list),
        _each_through([coder.decode for coder in coders], tuple),
    )


def _all_through(convert: Convert | None, build: Callable[[Any], Any]) -> Convert:
    if convert is None:
        return build
    return lambda values: build([convert(value) for value in values])


def _each_through(converts: list[Convert | None], build: Callable[[Any], Any]) -> Convert:
    return lambda values: build(
        [
            value if convert is None else convert(value)
            for convert, value in zip(converts, values, strict=True)
        ]
    )


def _mapping(parts: tuple[Any, ...]) -> Coder:
    key, value = parts
    if key is not str:
        raise TypeError(f"a mapping with keys of {key!r} has no stored form")
    coder = coder_of(value)
    return Coder(_values_through(coder.encode), _values_through(coder.decode))


def _values_through(convert: Convert | None) -> Convert:
    if convert is None:
        return dict
    return lambda mapping: {key: convert(value) for key, value in mapping.items()}


class _Field(NamedTuple):
    name: str
    default: Any
    encode: Convert | None
    decode: Convert | None


def _dataclass(class_: type[Any]) -> Coder:
    hints = get_type_hints(class_)
    plan = [_Field(field.name, _default(field), *coder_of(hints[field.name])) for field in fields(class_)]

    def write(record: Any) -> dict[str, Any]:
        stored = {}
        for name, default, convert, _ in plan:
            value = getattr(record, name)
            if value is default or (default is not MISSING and value == default):
                continue
            stored[name] = value if convert is None else convert(value)
        return stored

    def read(stored: Mapping[str, Any]) -> Any:
        values = {}
        for name, _, _, convert in plan:
            if name in stored:
                value = stored[name]
                values[name] = value if convert is None else convert(value)
        return class_(**values)

    return Coder(write, read)


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default
