"""Checks that every part of a catalog document shares: each yields what is wrong, with its path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from chalicelib.domain.currencies import is_currency
from chalicelib.domain.errors import Problem, ValidationError

_NAME: Final = re.compile(r"[a-z0-9]+(?:[_.-][a-z0-9]+)*")
_LONGEST_NAME: Final = 64


def currency_problems(code: str, path: str) -> Iterator[Problem]:
    if not is_currency(code):
        yield Problem(
            path, f"{code!r} is not an ISO 4217 currency code", "use an upper-case code such as USD"
        )


def name_problems(text: str, path: str) -> Iterator[Problem]:
    if len(text) > _LONGEST_NAME or not _NAME.fullmatch(text):
        yield Problem(
            path,
            f"{text!r} is not a name that programs can use",
            f"use up to {_LONGEST_NAME} lower-case letters and digits, joined by _ . or -",
        )


def repeated(
    values: Iterable[tuple[str, object]],
    message: str,
    fix: str = "give each its own",
    *,
    known: Mapping[str, str] | None = None,
) -> Iterator[Problem]:
    first: dict[object, str] = {}
    first.update(known or {})
    for path, value in values:
        if value in first:
            yield Problem(path, message.format(value, first[value]), fix)
        first.setdefault(value, path)


def checked(check: Callable[[], object], path: str, fix: str | None = None) -> Iterator[Problem]:
    try:
        check()
    except ValidationError as error:
        yield Problem(path, error.message, error.fix or fix)
