"""The list of planted bugs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Mutation = Callable[[], Any]
MUTATIONS: dict[str, Mutation] = {}


def planted(plant: Callable[[], Iterator[None]]) -> Mutation:
    """Put it on the list under its own name."""
    MUTATIONS[plant.__name__] = contextmanager(plant)
    return MUTATIONS[plant.__name__]
