"""Lists with Stripe's cursors, and expansion of ids into objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from .context import Call, dumps
from .errors import invalid
from .ids import kind_of
from .store import Record

MAX_EXPANSION_DEPTH = 4
Filter = Callable[[dict[str, Any]], bool]


def page(call: Call, url: str, records: Iterable[Record], keep: Filter = lambda data: True) -> dict[str, Any]:
    """One page, newest first, of the caller's records: honours limit, both cursors and `created`."""
    limit = call.params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("Invalid integer: limit must be between 1 and 100.", param="limit",
                      code="parameter_invalid_integer")  # fmt: skip
    matching = (r for r in records if call.sees(r) and in_range(call, r.data) and keep(r.data))
    found, more = window(call, matching, limit)
    return {"object": "list", "data": found, "has_more": more, "url": url}


def window(call: Call, records: Iterable[Record], limit: int) -> tuple[list[Record], bool]:
    after, before = call.params.get("starting_after"), call.params.get("ending_before")
    if after and before:
        raise invalid("You may only specify one of these parameters: starting_after, ending_before.")
    if before:
        newer = list(up_to(records, before, "ending_before"))
        return newer[-limit:], len(newer) > limit
    if after:
        everything = iter(records)
        for _ in up_to(everything, after, "starting_after"):
            pass
        records = everything
    found = list(islice(records, limit + 1))
    return found[:limit], len(found) > limit


def up_to(records: Iterable[Record], id: str, param: str) -> Iterable[Record]:
    for record in records:
        if record.id == id:
            return
        yield record
    raise invalid(f"No such object in this list: '{id}'", param=param, code="resource_missing")


def in_range(call: Call, data: dict[str, Any]) -> bool:
    wanted = call.params.get("created")
    if wanted is None:
        return True
    created: int = data["created"]
    if isinstance(wanted, int):
        return created == wanted
    return bool(
        created > wanted.get("gt", -1)
        and created >= wanted.get("gte", 0)
        and created < wanted.get("lt", created + 1)
        and created <= wanted.get("lte", created)
    )


def matches(call: Call, *names: str) -> dict[str, str]:
    """The given ones of the indexed filters, for `Store.newest_first`."""
    return {name: call.params[name] for name in names if call.params.get(name)}


def render(call: Call, result: Record | dict[str, Any]) -> str:
    """The JSON of an answer, with whatever `expand` asked for."""
    paths = call.params.get("expand")
    if isinstance(result, Record):
        if not paths:
            return result.raw or dumps(result.data)
        return dumps(expanded(call, result.data, paths))
    if result.get("object") != "list":
        return dumps(expanded(call, result, paths) if paths else result)
    if paths:
        plain = {**result, "data": [record_data(item) for item in result["data"]]}
        return dumps(expanded(call, plain, paths))
    items = ",".join(
        [item.raw or dumps(item.data) if isinstance(item, Record) else dumps(item) for item in result["data"]]
    )
    return f'{{"object":"list","data":[{items}],"has_more":{dumps(result["has_more"])},"url":{dumps(result["url"])}}}'


def record_data(item: Any) -> Any:
    return item.data if isinstance(item, Record) else item


def expanded(call: Call, data: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_EXPANSION_DEPTH:
            raise invalid(f"You cannot expand more than {MAX_EXPANSION_DEPTH} levels.", param="expand")
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
    return unfold(call, data, tree)


def unfold(call: Call, data: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    copy = {**data, **included(call, data, tree)}
    for key, below in tree.items():
        if key not in copy:
            raise invalid(f"This property cannot be expanded ({key}).", param="expand")
        copy[key] = unfold_value(call, copy[key], below)
    return copy


def unfold_value(call: Call, value: Any, below: dict[str, Any]) -> Any:
    if isinstance(value, str):
        kind = kind_of(value)
        record = call.store.get(kind, value) if kind else None
        if record is None:
            raise invalid(f"This property cannot be expanded ({value}).", param="expand")
        return unfold(call, record.data, below)
    if isinstance(value, list):
        return [
            unfold(call, item, below) if isinstance(item, dict) else unfold_value(call, item, below)
            for item in value
        ]
    return unfold(call, value, below) if isinstance(value, dict) else value


def included(call: Call, data: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    """Lists that an object carries only when they are asked for."""
    if "line_items" in tree and data.get("object") == "checkout.session":
        record = call.store.get("checkout.session", data["id"])
        items = record.hidden["line_items"] if record else []
        url = f"/v1/checkout/sessions/{data['id']}/line_items"
        return {"line_items": {"object": "list", "data": items, "has_more": False, "url": url}}
    if "refunds" in tree and data.get("object") == "charge":
        refunds = [record.data for record in call.store.newest_first("refund", charge=data["id"])]
        url = f"/v1/charges/{data['id']}/refunds"
        return {"refunds": {"object": "list", "data": refunds, "has_more": False, "url": url}}
    return {}
