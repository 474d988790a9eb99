"""Stripe's form encoding: `a[b][0]=c` to a tree of dictionaries with text leaves."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from .errors import invalid

MAX_DEPTH = 12


def parse(text: str) -> dict[str, Any]:
    """A tree from a form body or query string. Lists come out as dictionaries keyed by their index."""
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True, max_num_fields=2000):
        place(tree, path_of(key), value)
    return tree


def path_of(key: str) -> list[str]:
    head, bracket, rest = key.partition("[")
    if not bracket:
        return [head]
    if not rest.endswith("]"):
        raise invalid(f"Invalid parameter name: {key}.", param=key)
    path = [head, *rest[:-1].split("][")]
    if len(path) > MAX_DEPTH:
        raise invalid("Parameters are nested too deeply.", param=head)
    return path


def place(tree: dict[str, Any], path: list[str], value: str) -> None:
    node = tree
    for step in path[:-1]:
        child = node.setdefault(step or str(len(node)), {})
        if not isinstance(child, dict):
            raise invalid(f"Parameter given both as a value and as a hash: {path[0]}.", param=path[0])
        node = child
    node[path[-1] or str(len(node))] = value


def name(path: tuple[str, ...]) -> str:
    """The parameter as Stripe names it in errors: `payment_intent_data[metadata]`."""
    return path[0] + "".join(f"[{step}]" for step in path[1:])
