"""Counts request units by DynamoDB's published rules, because no local engine reports them right.

Sizes come from the items themselves; what a write did to the indexes is known by reading the item before it
(outside the count). For measuring one flow at a time: concurrent writers of one item may blur its index moves.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

WRITE_BYTES = 1024
READ_BYTES = 4096
_HALF = Fraction(1, 2)
_REFUSED = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})
_INSERT = re.compile(r"INSERT INTO \"([^\"]+)\" VALUE \{(.*)\}")
_ASKED = "before-parameter-build.dynamodb"
_ANSWERED = "after-call.dynamodb"

RawItem = Mapping[str, Mapping[str, Any]]
Attributes = tuple[str, ...]


@dataclass(slots=True)
class Usage:
    """What was used: units (halves are possible when reading) and round trips, retries included."""

    write_units: int = 0
    read_units: Fraction = Fraction(0)
    calls: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    """Round trips by operation name."""
    writes_by_partition: Counter[str] = field(default_factory=Counter)
    """Write units by partition key of the table (not of its indexes)."""


@contextmanager
def metered(target: Any) -> Iterator[Usage]:
    """Counts every DynamoDB call that goes through a botocore client, or the store that holds one, in the block."""
    meter = _Meter(getattr(target, "client", target))
    events = meter.client.meta.events
    events.register(_ASKED, meter.before)
    events.register(_ANSWERED, meter.after)
    try:
        yield meter.usage
    finally:
        events.unregister(_ASKED, meter.before)
        events.unregister(_ANSWERED, meter.after)


def item_size(item: RawItem) -> int:
    """Bytes of an item: the UTF-8 names and the values of its attributes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def write_units(*sizes: int) -> int:
    """Units of a write: the larger of the item before and after counts, in begun kilobytes, at least one."""
    return max(1, -(-max(sizes) // WRITE_BYTES))


def read_units(size: int, *, consistent: bool) -> Fraction:
    """Units of a read: begun 4 KB, at least one; half of it when not consistent."""
    units = max(1, -(-size // READ_BYTES))
    return Fraction(units) if consistent else units * _HALF


def index_units(keys: Attributes, projected: Attributes, old: RawItem, new: RawItem) -> int:
    """Writes to one index: one to enter, one to leave, two to move, none where nothing in it changed."""
    before, after = _projection(keys, projected, old), _projection(keys, projected, new)
    if before == after:
        return 0
    moved = before and after and any(before[name] != after[name] for name in keys)
    entries = [before, after] if moved else [after or before]
    return sum(write_units(item_size(entry)) for entry in entries if entry)


class _Write(NamedTuple):
    table: str
    key: RawItem
    item: RawItem | None
    """None until it is known: an update's result is read afterwards."""


class _Schema(NamedTuple):
    key: Attributes
    indexes: tuple[tuple[Attributes, Attributes], ...]
    """(key attributes, projected attributes) of each."""


class _Meter:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.usage = Usage()
        self._lock = threading.Lock()
        self._own_calls = threading.local()
        self._schemas: dict[str, _Schema] = {}

    def before(self, params: Any, model: Any, context: Any, **_: Any) -> None:
        """Keeps what is asked, and for writes what was there."""
        if getattr(self._own_calls, "active", False):
            return
        with self._outside_the_count():
            writes = self._writes(model.name, params)
            old = [self._read(write) for write in writes]
        context["metered"] = (params, writes, old)

    def after(self, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        """Counts the call, refused or done."""
        if "metered" not in context:
            return
        params, writes, old = context.pop("metered")
        error = parsed.get("Error", {}).get("Code")
        used = Usage(calls=1 + parsed.get("ResponseMetadata", {}).get("RetryAttempts", 0))
        if error is None:
            used.read_units = _reads(model.name, params, parsed)
        if error is None or error in _REFUSED:
            with self._outside_the_count():
                self._count_writes(model.name, writes, old, done=error is None, used=used)
        with self._lock:
            self.usage.calls += used.calls
            self.usage.operations[model.name] += used.calls
            self.usage.read_units += used.read_units
            self.usage.write_units += used.write_units
            self.usage.writes_by_partition.update(used.writes_by_partition)

    def _count_writes(
        self, operation: str, writes: Sequence[_Write], old: Sequence[RawItem], *, done: bool, used: Usage
    ) -> None:
        times = 2 if operation == "TransactWriteItems" else 1
        for write, before in zip(writes, old, strict=True):
            after = self._read(write) if write.item is None else write.item
            units = times * write_units(item_size(before), item_size(after))
            used.writes_by_partition[str(write.key["pk"]["S"]) if "pk" in write.key else write.table] += units
            if done:
                schema = self._schema(write.table)
                units += sum(index_units(*index, before, after) for index in schema.indexes)
            used.write_units += units

    def _writes(self, operation: str, params: Mapping[str, Any]) -> list[_Write]:
        match operation:
            case "PutItem":
                return [self._put(params)]
            case "DeleteItem":
                return [_Write(params["TableName"], params["Key"], {})]
            case "UpdateItem":
                return [_Write(params["TableName"], params["Key"], None)]
            case "TransactWriteItems":
                return [self._action(action) for action in params["TransactItems"]]
            case "BatchWriteItem":
                return [
                    self._action(_in_table(request, table))
                    for table, requests in params["RequestItems"].items()
                    for request in requests
                ]
            case "BatchExecuteStatement":
                return [self._insert(statement) for statement in params["Statements"]]
        return []

    def _insert(self, statement: Mapping[str, Any]) -> _Write:
        """PartiQL's INSERT of an item with parameters; one that is refused as a duplicate costs as much."""
        found = _INSERT.fullmatch(statement["Statement"])
        if found is None:
            raise NotImplementedError(f"the meter knows INSERT only, not {statement['Statement']}")
        names = [each.strip().partition(":")[0].strip("'") for each in found[2].split(",")]
        item = dict(zip(names, statement["Parameters"], strict=True))
        return self._put({"TableName": found[1], "Item": item})

    def _action(self, action: Mapping[str, Any]) -> _Write:
        ((kind, body),) = action.items()
        if kind == "Put":
            return self._put(body)
        return _Write(body["TableName"], body["Key"], {} if kind == "Delete" else None)

    def _put(self, body: Mapping[str, Any]) -> _Write:
        key = {name: body["Item"][name] for name in self._schema(body["TableName"]).key}
        return _Write(body["TableName"], key, body["Item"])

    def _read(self, write: _Write) -> RawItem:
        answer = self.client.get_item(TableName=write.table, Key=write.key, ConsistentRead=True)
        found: RawItem = answer.get("Item", {})
        return found

    def _schema(self, table: str) -> _Schema:
        if table not in self._schemas:
            description = self.client.describe_table(TableName=table)["Table"]
            key = _names(description["KeySchema"])
            indexes = []
            for index in description.get("GlobalSecondaryIndexes", ()):
                if index["Projection"]["ProjectionType"] != "KEYS_ONLY":
                    raise NotImplementedError(
                        f"the meter knows indexes of keys only, not {index['IndexName']}"
                    )
                index_key = _names(index["KeySchema"])
                indexes.append((index_key, tuple({*index_key, *key})))
            self._schemas[table] = _Schema(key, tuple(indexes))
        return self._schemas[table]

    @contextmanager
    def _outside_the_count(self) -> Iterator[None]:
        self._own_calls.active = True
        try:
            yield
        finally:
            self._own_calls.active = False


def _reads(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> Fraction:
    match operation:
        case "GetItem":
            return read_units(
                item_size(answer.get("Item", {})), consistent=params.get("ConsistentRead", False)
            )
        case "Query" | "Scan":
            size = sum(item_size(item) for item in answer.get("Items", ()))
            return read_units(size, consistent=params.get("ConsistentRead", False))
        case "BatchGetItem":
            return sum(
                (
                    _batch_reads(request, answer["Responses"].get(table, ()), _unread(answer, table))
                    for table, request in params["RequestItems"].items()
                ),
                Fraction(0),
            )
        case "TransactGetItems":
            sizes = [item_size(response.get("Item", {})) for response in answer["Responses"]]
            return sum((2 * read_units(size, consistent=True) for size in sizes), Fraction(0))
    return Fraction(0)


def _batch_reads(request: Mapping[str, Any], items: Sequence[RawItem], unread: int) -> Fraction:
    """Each key counts for itself, also one that leads to nothing."""
    consistent = request.get("ConsistentRead", False)
    missing = len(request["Keys"]) - unread - len(items)
    sizes = [item_size(item) for item in items] + [0] * missing
    return sum((read_units(size, consistent=consistent) for size in sizes), Fraction(0))


def _unread(answer: Mapping[str, Any], table: str) -> int:
    return len(answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ()))


def _in_table(request: Mapping[str, Any], table: str) -> dict[str, Any]:
    ((kind, body),) = request.items()
    return {kind.removesuffix("Request"): {"TableName": table, **body}}


def _names(key_schema: Sequence[Mapping[str, str]]) -> Attributes:
    return tuple(part["AttributeName"] for part in key_schema)


def _projection(keys: Attributes, projected: Attributes, item: RawItem) -> dict[str, Any]:
    """The item's entry in a sparse index; empty when it has none."""
    if any(name not in item for name in keys):
        return {}
    return {name: item[name] for name in projected if name in item}


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "N":
            return _number_size(content)
        case "SS" | "NS" | "BS":
            return sum(_value_size({kind[0]: member}) for member in content)
        case "L":
            return 3 + sum(1 + _value_size(member) for member in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(member) for name, member in content.items())
    return 1


def _number_size(text: str) -> int:
    """One byte per two significant digits and one more, and one for a sign."""
    digits = text.lstrip("-").partition("e")[0].replace(".", "").strip("0")
    return -(-len(digits) // 2) + 1 + text.startswith("-")
