"""What publishing one catalog after another would change, object by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from chalicelib.domain.catalog import Catalog
from chalicelib.domain.catalog_document import write_catalog

ChangedObject = Literal["catalog", "plan", "add_on", "price"]


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """`object` was added, removed or changed at `path`.

    Paths name things by id (`plans[pro].prices[pro_month_usd].unit_amount`): a place in a list would move
    with its neighbours. `before` and `after` are JSON values, None where there is nothing.
    """

    kind: ChangeKind
    object: ChangedObject
    path: str
    before: Any = None
    after: Any = None


def difference(old: Catalog | None, new: Catalog) -> tuple[Change, ...]:
    """All changes from `old` (None: nothing published yet) to `new`, in the new document's order."""
    before = write_catalog(old or Catalog())
    after = write_catalog(new)
    return (
        *(_fields("catalog", "", before, after) if old else ()),
        *_listed("plan", "plans", before["plans"], after["plans"]),
        *_listed("add_on", "add_ons", before["add_ons"], after["add_ons"]),
    )


def _listed(kind: ChangedObject, path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    old, new = _by_id(before), _by_id(after)
    for id_, thing in new.items():
        place = f"{path}[{id_}]"
        if id_ in old:
            yield from _fields(kind, f"{place}.", old[id_], thing)
        else:
            yield Change(ChangeKind.ADDED, kind, place, after=thing)
        if "prices" in thing:
            yield from _listed(
                "price", f"{place}.prices", old.get(id_, {}).get("prices", []), thing["prices"]
            )
    for id_, thing in old.items():
        if id_ not in new:
            yield Change(ChangeKind.REMOVED, kind, f"{path}[{id_}]", before=thing)


def _fields(
    kind: ChangedObject, prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    for name, value in after.items():
        if name not in {"plans", "add_ons", "prices"} and before[name] != value:
            yield Change(ChangeKind.CHANGED, kind, f"{prefix}{name}", before[name], value)


def _by_id(things: list[Any]) -> dict[str, Any]:
    return {thing["id"]: thing for thing in things}
