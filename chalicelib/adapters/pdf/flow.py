"""Which parts of a document go on which page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Something `height` points high. `joined`: on the page of the part before it, if there is a page for both."""

    content: T
    height: float
    joined: bool = False


def paginate(parts: Sequence[Part[T]], *, first: float, later: float) -> list[list[Part[T]]]:
    """Every part once and in order, on pages that are `first` and then `later` points high.

    What is joined stays together unless it fits no page; a part that fits no page has one of its own.
    """
    pages: list[list[Part[T]]] = [[]]
    left = first
    for group in _joined(parts):
        if _height(group) > left and _height(group) <= later and pages[-1]:
            pages.append([])
            left = later
        for part in group:
            if part.height > left and pages[-1]:
                pages.append([])
                left = later
            pages[-1].append(part)
            left -= part.height
    return pages


def _joined(parts: Sequence[Part[T]]) -> Iterator[list[Part[T]]]:
    group: list[Part[T]] = []
    for part in parts:
        if group and not part.joined:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _height(group: Sequence[Part[T]]) -> float:
    return sum(part.height for part in group)
