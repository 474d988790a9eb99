"""The two tables as PynamoDB models, opened over one connection.

PynamoDB makes a client per model (50–290 ms each, and a connection pool of its own); here the models share
one. Names and endpoint come from the caller. Billing's attributes: see `items.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

CONNECT_SECONDS = 1
READ_SECONDS = 3
HTTP_ATTEMPTS = 3
POOL = 32
"""Connections kept open: as many as the threads of one worker may use at once."""


class DueIndex(GlobalSecondaryIndex["BillingItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = UnicodeAttribute(range_key=True)


class ListIndex(GlobalSecondaryIndex["BillingItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "list"
        projection = KeysOnlyProjection()

    list_pk = UnicodeAttribute(hash_key=True)
    list_sk = UnicodeAttribute(range_key=True)


class BillingItem(Model):
    """`v` the version, `w` the mark of the write that made it, `doc` and `packed` the record's content."""

    class Meta:
        table_name = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    type = UnicodeAttribute()
    v = NumberAttribute()
    w = UnicodeAttribute()
    doc = UnicodeAttribute()
    packed = BinaryAttribute(legacy_encoding=False, null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = UnicodeAttribute(null=True)
    list_pk = UnicodeAttribute(null=True)
    list_sk = UnicodeAttribute(null=True)
    due_index = DueIndex()
    list_index = ListIndex()


class OpsItem(Model):
    """`d` the document as JSON, `v` its version, `n` a counter, `ttl` when the engine may drop it (epoch s)."""

    class Meta:
        table_name = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    d = UnicodeAttribute(null=True)
    v = NumberAttribute(null=True)
    n = NumberAttribute(null=True)
    ttl = NumberAttribute(null=True)


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables, and the one botocore client (safe to share between threads) under them."""

    client: Any
    billing: type[BillingItem]
    ops: type[OpsItem]


def connect(*, endpoint: str | None = None, region: str | None = None) -> Connection:
    """The process's one connection. Makes no request; address and credentials, if not given, come from the
    usual places.
    """
    return Connection(
        region=region,
        host=endpoint,
        connect_timeout_seconds=CONNECT_SECONDS,
        read_timeout_seconds=READ_SECONDS,
        retry_configuration={"total_max_attempts": HTTP_ATTEMPTS, "mode": "standard"},
        max_pool_connections=POOL,
    )


def open_tables(*, billing: str, ops: str, connection: Connection | None = None) -> Tables:
    """Models bound to these table names, over `connection` or one of the usual kind. Makes its client."""
    shared = connection or connect()
    return Tables(shared.client, _bound(BillingItem, billing, shared), _bound(OpsItem, ops, shared))


def _bound(model: Any, table_name: str, connection: Connection) -> Any:
    """A subclass of the model with this table name, speaking over the shared connection."""
    bound: Any = type(model.__name__, (model,), {"Meta": type("Meta", (), {"table_name": table_name})})
    table = bound._get_connection()  # its own connection is lazy: no client was made for it
    connection.add_meta_table(table.get_meta_table())
    table.connection = connection
    return bound
