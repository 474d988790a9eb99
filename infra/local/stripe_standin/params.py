"""Request parameters held to the pinned SDK's typed request classes, at every depth.

The classes' source is read with `ast`, one file per endpoint and only when that endpoint is first called:
nothing of the SDK is imported here, so the stand-in starts at once and stays small.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import invalid, required
from .forms import name

WITHDRAWN = {"payment_method_types": "payment_method_types_no_longer_supported"}
"""Removed from the API of the pinned version, with the code that the API answers instead."""


@dataclass
class Shape:
    """What one parameter may be. A union of types is the union of these fields."""

    scalars: set[str] = field(default_factory=set)
    literals: set[str] = field(default_factory=set)
    items: Shape | None = None
    mapping: bool = False
    classes: list[str] = field(default_factory=list)


@dataclass
class Schema:
    """One endpoint's request class and the nested classes in the same file."""

    root: str
    classes: dict[str, ast.ClassDef]
    shapes: dict[str, dict[str, tuple[Shape, bool]]] = field(default_factory=dict)

    def fields(self, name: str) -> dict[str, tuple[Shape, bool]]:
        """Field name to its shape and whether it is required."""
        if name not in self.shapes:
            self.shapes[name] = dict(compile_fields(self.classes[name], self.classes))
        return self.shapes[name]


def check(endpoint: str, tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with typed leaves, or a 400 that names the first unknown, missing or malformed parameter."""
    for gone, code in WITHDRAWN.items():
        if gone in tree and not endpoint.endswith("list"):
            raise invalid(
                f"The parameter {gone} is no longer supported; use allowed_{gone}.", param=gone, code=code
            )
    schema = load(endpoint)
    return hash_of(tree, [schema.root], schema, ())


@cache
def load(endpoint: str) -> Schema:
    """The schema of e.g. `payment_intent_create` or `checkout/session_create`."""
    folder, _, stem = endpoint.rpartition("/")
    path = sdk_folder() / "params" / folder / f"_{stem}_params.py"
    classes = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
    root = "".join(part.capitalize() for part in stem.split("_")) + "Params"
    return Schema(root, classes)


@cache
def sdk_folder() -> Path:
    spec = find_spec("stripe")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the stripe package is not installed")
    return Path(spec.submodule_search_locations[0])


# --- Reading the classes -----------------------------------------------------------------------------------


def compile_fields(
    node: ast.ClassDef, classes: dict[str, ast.ClassDef]
) -> Iterable[tuple[str, tuple[Shape, bool]]]:
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            annotation, is_required = unwrap(statement.annotation)
            yield statement.target.id, (compile_shape(annotation, Shape(), classes), is_required)


def unwrap(annotation: ast.expr) -> tuple[ast.expr, bool]:
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "NotRequired":
        return annotation.slice, False
    return annotation, True


def compile_shape(node: ast.expr, shape: Shape, classes: dict[str, ast.ClassDef]) -> Shape:
    match node:
        case ast.Constant(value=str() as text):
            compile_shape(ast.parse(text, mode="eval").body, shape, classes)
        case ast.BinOp(left=left, right=right):
            compile_shape(left, shape, classes)
            compile_shape(right, shape, classes)
        case ast.Subscript(value=ast.Name(id="Union" | "Optional"), slice=inner):
            for part in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
                compile_shape(part, shape, classes)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            shape.literals |= {str(part.value) for part in parts if isinstance(part, ast.Constant)}
        case ast.Subscript(value=ast.Name(id="List"), slice=inner):
            shape.items = compile_shape(inner, shape.items or Shape(), classes)
        case ast.Subscript(value=ast.Name(id="Dict" | "UntypedStripeObject")):
            shape.mapping = True
        case ast.Name(id=id) if id in classes:
            shape.classes.append(id)
        case ast.Name(id=id):
            shape.scalars.add(id)
        case _:
            raise RuntimeError(f"unknown annotation in the SDK: {ast.unparse(node)}")
    return shape


# --- Applying them -----------------------------------------------------------------------------------------


def hash_of(
    tree: dict[str, Any], classes: list[str], schema: Schema, path: tuple[str, ...]
) -> dict[str, Any]:
    fields: dict[str, tuple[Shape, bool]] = {}
    for class_name in classes:
        fields.update(schema.fields(class_name))
    checked = {}
    for key, raw in tree.items():
        here = (*path, key)
        if key not in fields:
            raise invalid(
                f"Received unknown parameter: {name(here)}", param=name(here), code="parameter_unknown"
            )
        checked[key] = value_of(raw, fields[key][0], schema, here)
    for key, (_, is_required) in fields.items():
        if is_required and key not in checked:
            raise required(name((*path, key)))
    return checked


def value_of(raw: Any, shape: Shape, schema: Schema, path: tuple[str, ...]) -> Any:
    if isinstance(raw, dict):
        return branch_of(raw, shape, schema, path)
    return leaf_of(raw, shape, path)


def branch_of(raw: dict[str, Any], shape: Shape, schema: Schema, path: tuple[str, ...]) -> Any:
    if shape.items is not None and all(key.isdigit() for key in raw):
        ordered = sorted(raw.items(), key=lambda pair: int(pair[0]))
        return [value_of(item, shape.items, schema, (*path, key)) for key, item in ordered]
    if shape.classes:
        return hash_of(raw, shape.classes, schema, path)
    if shape.mapping:
        for key, item in raw.items():
            if isinstance(item, dict):
                raise invalid(
                    f"Invalid string: {name((*path, key))} must not be a hash.", param=name((*path, key))
                )
        return raw
    raise invalid(f"Invalid parameter: {name(path)} cannot be a hash or list.", param=name(path))


def leaf_of(raw: str, shape: Shape, path: tuple[str, ...]) -> Any:
    if raw == "" and ("" in shape.literals or shape.items is not None or shape.mapping):
        return ""
    if "bool" in shape.scalars and raw in ("true", "false"):
        return raw == "true"
    if "int" in shape.scalars:
        if re.fullmatch(r"-?\d{1,18}", raw):
            return int(raw)
        raise invalid(f"Invalid integer: {raw[:80]}", param=name(path), code="parameter_invalid_integer")
    if shape.literals - {""} and shape.scalars <= {"str", "bool"}:
        if raw in shape.literals:
            return raw
        allowed = ", ".join(sorted(literal for literal in shape.literals if literal)[:12])
        raise invalid(f"Invalid {name(path)}: must be one of {allowed}", param=name(path))
    if "bool" in shape.scalars and not shape.scalars & {"str"}:
        raise invalid(f"Invalid boolean: {raw[:80]}", param=name(path))
    if shape.scalars:
        return non_empty(raw, path)
    raise invalid(f"Invalid {name(path)}: a hash or list is expected.", param=name(path))


def non_empty(raw: str, path: tuple[str, ...]) -> str:
    """Text as it is. An empty one clears a field only where the SDK's class says so."""
    if raw == "" and path[0] != "metadata":
        message = (
            f"You passed an empty string for '{name(path)}'. Empty values are an attempt to unset a field."
        )
        raise invalid(message, param=name(path), code="parameter_invalid_empty")
    return raw
