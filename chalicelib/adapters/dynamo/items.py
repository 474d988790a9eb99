"""A record as an item of the billing table, and back.

`doc` is the record's compact JSON without its version (that is `v`). Of the long types only what somebody
looking at the table wants to see stays there; the rest is deflated into `packed`, so that an ordinary
subscription, invoice or journal entry costs one write unit (1 KB).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.adapters import codec
from chalicelib.adapters.dynamo.packing import pack, unpack
from chalicelib.adapters.rows import expected_version
from chalicelib.application.records import LAYOUTS, due_entry, key_of, list_entry
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.customer import Claim
from chalicelib.domain.environment import Environment
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import Usage

Item = dict[str, dict[str, Any]]

TYPES: dict[str, type[Any]] = {type_.__name__: type_ for type_ in (*LAYOUTS, Environment, Catalog, Claim)}
PLAIN: dict[type[Any], frozenset[str]] = {
    Subscription: frozenset({"status", "currency", "mrr"}),
    Invoice: frozenset({"status", "number", "currency", "total", "amount_paid", "collect_at"}),
    Usage: frozenset({"meter"}),
    JournalEntry: frozenset({"cause", "schema"}),
    Catalog: frozenset({"version", "default_currency"}),
}
"""The types that are packed, and what of them stays readable."""


def item_of(env: str, record: Any, mark: str) -> Item:
    """The item to put: the record one version on. `mark` names the write, to know it again."""
    key = key_of(env, record)
    document = codec.encode(record)
    if key.type is not Catalog:
        document.pop("version", None)
    document, long = _split(key.type, document)
    item: Item = {
        "pk": {"S": key.pk},
        "sk": {"S": key.sk},
        "type": {"S": key.type.__name__},
        "v": {"N": str(expected_version(record) + 1)},
        "w": {"S": mark},
        "doc": {"S": codec.dumps(document)},
    }
    if long:
        item["packed"] = {"B": pack(codec.dumps(long), key.pk + key.sk)}
    if (due := due_entry(env, record)) is not None:
        item["due_shard"], item["due_at"] = {"S": due[0]}, {"S": due[1]}
    if (listed := list_entry(env, record)) is not None:
        item["list_pk"], item["list_sk"] = {"S": listed[0]}, {"S": listed[1]}
    return item


def record_of(item: Mapping[str, Mapping[str, Any]]) -> Any:
    """The record in an item, with the version that is stored."""
    type_ = TYPES[item["type"]["S"]]
    document = json.loads(item["doc"]["S"])
    if "packed" in item:
        document |= json.loads(unpack(item["packed"]["B"], item["pk"]["S"] + item["sk"]["S"]))
    if type_ is not Catalog:
        document["version"] = int(item["v"]["N"])
    return codec.decode(type_, document)


def from_image(image: Mapping[str, Mapping[str, Any]]) -> tuple[str, Any]:
    """(environment, record) of a stream record's NEW_IMAGE, as Lambda hands it over (binary in base 64)."""
    return image["pk"]["S"].partition("#")[0], record_of(image)


def _split(type_: type[Any], document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stays readable, and what is packed."""
    plain = PLAIN.get(type_)
    if plain is None:
        return document, {}
    return (
        {name: value for name, value in document.items() if name in plain},
        {name: value for name, value in document.items() if name not in plain},
    )
