"""The Store port on DynamoDB. Point reads are consistent; the version of each record guards its write."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from chalicelib.adapters.cursors import decode_cursor, encode_cursor
from chalicelib.adapters.dynamo.items import Item, item_of, record_of
from chalicelib.adapters.dynamo.tables import DueIndex, ListIndex, Tables
from chalicelib.adapters.rows import check_size, due_bound, due_row, keys_of_commit, list_partition
from chalicelib.application.ports import DueRow, Page, VersionConflict
from chalicelib.application.records import (
    LAYOUTS,
    STANDING,
    CustomerStanding,
    Key,
    due_partition,
    partition,
    standing_of,
)

T = TypeVar("T")
ATTEMPTS = 5
"""How often a call that lost to traffic (a concurrent transaction, throttling) is made before giving up."""
LONGEST_PAUSE = 0.2
_CHECK_FAILED = "ConditionalCheckFailed"
_TRAFFIC = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingError",
        "ThrottlingException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
    }
)


class DynamoStore:
    """Safe to share between threads. `sleep` is for tests."""

    def __init__(self, tables: Tables, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = tables.client
        self._table: str = tables.billing.Meta.table_name
        self._sleep = sleep

    @property
    def client(self) -> Any:
        """The botocore client under it, for whoever wants to watch (see `meter`)."""
        return self._client

    def get(self, key: Key[T]) -> T | None:
        answer = self._client.get_item(TableName=self._table, Key=_address(key), ConsistentRead=True)
        record: T | None = record_of(answer["Item"]) if "Item" in answer else None
        return record

    def get_many(self, keys: Sequence[Key[Any]], *, consistent: bool = True) -> list[Any | None]:
        check_size(keys)
        items = self._items({(key.pk, key.sk) for key in keys}, consistent=consistent)
        found = {address: record_of(item) for address, item in items.items()}
        return [found.get((key.pk, key.sk)) for key in keys]

    def children(
        self,
        type_: type[T],
        env: str,
        customer: str,
        *,
        limit: int | None = None,
        newest_first: bool = False,
        after: str | None = None,
    ) -> list[T]:
        pk, prefix = partition(env, customer), LAYOUTS[type_].prefix
        request = _beginning(pk, prefix) | {"ScanIndexForward": not newest_first}
        if after is not None:
            request["ExclusiveStartKey"] = {"pk": {"S": pk}, "sk": {"S": prefix + after}}
        return [record_of(item) for item in self._query(request, limit)]

    def standing(self, env: str, customer: str) -> CustomerStanding:
        request = _beginning(partition(env, customer), STANDING)
        return standing_of(record_of(item) for item in self._query(request, None))

    def commit(self, env: str, *records: Any, delete: Sequence[Key[Any]] = ()) -> None:
        keys = keys_of_commit(env, records, delete)
        mark = secrets.token_urlsafe(6)
        puts = [self._put(item_of(env, record, mark)) for record in records]
        if len(puts) == 1 and not delete:
            self._until_through(lambda: self._client.put_item(**puts[0]), keys, mark)
        elif puts or delete:
            actions = [{"Put": put} for put in puts] + [{"Delete": self._delete(key)} for key in delete]
            self._until_through(lambda: self._client.transact_write_items(TransactItems=actions), keys, mark)

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        request = {
            "IndexName": DueIndex.Meta.index_name,
            "KeyConditionExpression": "due_shard = :shard AND due_at < :bound",
            "ExpressionAttributeValues": {
                ":shard": {"S": due_partition(env, shard)},
                ":bound": {"S": due_bound(until)},
            },
        }
        return [
            due_row(env, row["due_at"]["S"], row["pk"]["S"], row["sk"]["S"])
            for row in self._query(request, limit)
        ]

    def listing(self, type_: type[Any], env: str, *, limit: int, cursor: str | None = None) -> Page:
        list_pk = list_partition(type_, env)
        request: dict[str, Any] = {
            "IndexName": ListIndex.Meta.index_name,
            "KeyConditionExpression": "list_pk = :list",
            "ExpressionAttributeValues": {":list": {"S": list_pk}},
            "ScanIndexForward": False,
        }
        if cursor is not None:
            list_sk, key = decode_cursor(type_, env, cursor)
            request["ExclusiveStartKey"] = {"list_pk": {"S": list_pk}, "list_sk": {"S": list_sk}} | _address(
                key
            )
        rows = self._query(request, limit + 1)
        records = self.get_many([Key(type_, row["pk"]["S"], row["sk"]["S"]) for row in rows[:limit]])
        following = encode_cursor(rows[limit - 1]["list_sk"]["S"]) if len(rows) > limit else None
        return Page(tuple(record for record in records if record is not None), following)

    def _query(self, request: Mapping[str, Any], limit: int | None) -> list[Item]:
        """All pages of a Query, or as many as hold `limit` items."""
        rows: list[Item] = []
        following: dict[str, Any] = {}
        while limit is None or len(rows) < limit:
            most = {} if limit is None else {"Limit": limit - len(rows)}
            page = self._client.query(TableName=self._table, **{**request, **most, **following})
            rows.extend(page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            following = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return rows

    def _items(self, addresses: set[tuple[str, str]], *, consistent: bool) -> dict[tuple[str, str], Item]:
        """The items that exist. What an answer leaves unprocessed is asked for again."""
        found: dict[tuple[str, str], Item] = {}
        pending = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in sorted(addresses)]
        for attempt in count(1):
            if not pending:
                return found
            if attempt > ATTEMPTS:
                raise TimeoutError(f"{len(pending)} keys stayed unread after {ATTEMPTS} attempts")
            if attempt > 1:
                self._pause(attempt)
            wanted = {self._table: {"Keys": pending, "ConsistentRead": consistent}}
            answer = self._client.batch_get_item(RequestItems=wanted)
            for item in answer["Responses"].get(self._table, ()):
                found[item["pk"]["S"], item["sk"]["S"]] = item
            pending = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return found

    def _put(self, item: Item) -> dict[str, Any]:
        """A put on condition that the version before it is stored, or nothing for the first."""
        version = int(item["v"]["N"]) - 1
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if version:
            condition = {
                "ConditionExpression": "v = :version",
                "ExpressionAttributeValues": {":version": {"N": str(version)}},
            }
        return {
            "TableName": self._table,
            "Item": item,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **condition,
        }

    def _delete(self, key: Key[Any]) -> dict[str, Any]:
        return {"TableName": self._table, "Key": _address(key)}

    def _until_through(self, write: Callable[[], Any], keys: Sequence[Key[Any]], mark: str) -> None:
        """Makes the call, again after losing to traffic. VersionConflict when a condition failed or traffic won.

        A condition also fails when an earlier try was written and its answer lost; then the items carry this
        write's own mark, and the commit has succeeded.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                write()
            except ClientError as error:
                failures = _failures(error)
                if failures is None:
                    raise
                if failures:
                    self._require_own(failures, keys, mark)
                    return
                self._pause(attempt)
            else:
                return
        raise VersionConflict

    def _require_own(
        self, failures: Mapping[int, Mapping[str, Any]], keys: Sequence[Key[Any]], mark: str
    ) -> None:
        for position, old in failures.items():
            if not _is_marked(old, mark):
                raise VersionConflict(keys[position])
        # Engines need not name every failed condition: the ones not named are looked up.
        unnamed = {(key.pk, key.sk) for position, key in enumerate(keys) if position not in failures}
        items = self._items(unnamed, consistent=True)
        if not all(_is_marked(items.get(address, {}), mark) for address in unnamed):
            raise VersionConflict(keys[next(iter(failures))])

    def _pause(self, attempt: int) -> None:
        self._sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))


def _beginning(pk: str, prefix: str) -> dict[str, Any]:
    """One partition's items whose sort keys begin so, read consistently."""
    return {
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {":pk": {"S": pk}, ":prefix": {"S": prefix}},
        "ConsistentRead": True,
    }


def _address(key: Key[Any]) -> Item:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _is_marked(item: Mapping[str, Any], mark: str) -> bool:
    return bool(item.get("w") == {"S": mark})


def _failures(error: ClientError) -> dict[int, Mapping[str, Any]] | None:
    """The failed conditions: position in the commit → the item found there. Empty: only traffic was in the way;
    None: something else is wrong.
    """
    response: Mapping[str, Any] = error.response
    code = response["Error"]["Code"]
    if code == _CHECK_FAILED + "Exception":
        return {0: response.get("Item", {})}
    if code in _TRAFFIC:
        return {}
    if code != "TransactionCanceledException":
        return None
    reasons = response.get("CancellationReasons", [])
    codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
    if not codes or codes - _TRAFFIC - {_CHECK_FAILED}:
        return None
    return {
        position: reason.get("Item", {})
        for position, reason in enumerate(reasons)
        if reason.get("Code") == _CHECK_FAILED
    }
