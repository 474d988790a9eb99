"""The operations table in DynamoDB: one JSON attribute, a version, and the engine's TTL."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.application.ops import Document, Write, over

_UNCHANGED = "ConditionalCheckFailedException"
_ATTEMPTS = 5
_LOST = frozenset({"TransactionCanceledException", "TransactionConflictException"})
_NOT_FOR_GOOD = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError"})


class DynamoOps:
    """`client` is a botocore DynamoDB client; one is shared by everything in the process."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, pk: str, sk: str = "0") -> Document | None:
        answer = self._client.get_item(TableName=self._table, Key=_key(pk, sk), ConsistentRead=True)
        item = answer.get("Item")
        return None if item is None else _document(item)

    def create(
        self, pk: str, sk: str, data: Mapping[str, Any], *, expires_at: datetime | None = None
    ) -> Document | None:
        return self._write(pk, sk, data, 1, expires_at, {"ConditionExpression": "attribute_not_exists(pk)"})

    def replace(
        self, document: Document, data: Mapping[str, Any], *, expires_at: datetime | None = None
    ) -> Document | None:
        condition = {
            "ConditionExpression": "v = :v",
            "ExpressionAttributeValues": {":v": {"N": str(document.version)}},
        }
        return self._write(document.pk, document.sk, data, document.version + 1, expires_at, condition)

    def put(self, pk: str, sk: str, data: Mapping[str, Any], *, expires_at: datetime | None = None) -> None:
        self._write(pk, sk, data, 1, expires_at, {})

    def delete(self, pk: str, sk: str = "0") -> None:
        self._client.delete_item(TableName=self._table, Key=_key(pk, sk))

    def query(
        self,
        pk: str,
        *,
        after: str | None = None,
        prefix: str = "",
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Document]:
        request = _range(pk, after, prefix, newest_first) | {
            "TableName": self._table,
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
        }
        found: list[Document] = []
        while len(found) < limit:
            page = self._client.query(**request, Limit=limit - len(found))
            found.extend(_document(item) for item in page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return found

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Document | None]:
        found: dict[tuple[str, str], Document] = {}
        pending = [_key(pk, sk) for pk, sk in dict.fromkeys(keys)]
        for attempt in range(_ATTEMPTS):
            if not pending:
                break
            if attempt:
                time.sleep(random.uniform(0, 0.02 * 2**attempt))
            answer = self._client.batch_get_item(
                RequestItems={self._table: {"Keys": pending, "ConsistentRead": True}}
            )
            for item in answer["Responses"].get(self._table, ()):
                found[item["pk"]["S"], item["sk"]["S"]] = _document(item)
            pending = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        if pending:
            raise TimeoutError(f"{len(pending)} keys stayed unread after {_ATTEMPTS} attempts")
        return [found.get(key) for key in keys]

    def transact(self, writes: Sequence[Write]) -> bool:
        puts = [{"Put": {"TableName": self._table, **_put(write)}} for write in writes]
        try:
            self._client.transact_write_items(TransactItems=puts)
        except ClientError as error:
            response: Mapping[str, Any] = error.response
            reasons = {reason.get("Code", "None") for reason in response.get("CancellationReasons", ())}
            if response["Error"]["Code"] not in _LOST or reasons - _NOT_FOR_GOOD:
                raise
            return False
        return True

    def count(self, pk: str, sk: str, by: int = 1) -> int:
        answer = self._client.update_item(
            TableName=self._table,
            Key=_key(pk, sk),
            UpdateExpression="ADD n :by",
            ExpressionAttributeValues={":by": {"N": str(by)}},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["n"]["N"])

    def take(
        self,
        pk: str,
        sk: str,
        amounts: Mapping[str, int],
        *,
        at_most: Mapping[str, int],
        expires_at: datetime,
    ) -> tuple[str, ...]:
        if full := over({}, amounts, at_most):
            return full
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(pk, sk),
                **_addition(amounts, at_most, int(expires_at.timestamp())),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            response: Mapping[str, Any] = error.response
            if response["Error"]["Code"] != _UNCHANGED:
                raise
            item = response.get("Item", {})
            present = {name: int(item.get(f"c_{name}", {"N": "0"})["N"]) for name in at_most}
            return over(present, amounts, at_most) or tuple(at_most)
        return ()

    def _write(
        self,
        pk: str,
        sk: str,
        data: Mapping[str, Any],
        version: int,
        expires_at: datetime | None,
        condition: Mapping[str, Any],
    ) -> Document | None:
        item = _key(pk, sk) | {"d": {"S": json.dumps(data, separators=(",", ":"))}, "v": {"N": str(version)}}
        if expires_at is not None:
            item["ttl"] = {"N": str(int(expires_at.timestamp()))}
        if condition:
            # The SDK repeats a write whose answer was lost, and meets its own item: this mark tells it apart.
            item["w"] = {"S": secrets.token_hex(8)}
            condition = {**condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        try:
            self._client.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            response: Mapping[str, Any] = error.response
            if response["Error"]["Code"] != _UNCHANGED:
                raise
            if response.get("Item", {}).get("w") != item["w"]:
                return None
        return _document(item)


def _put(write: Write) -> dict[str, Any]:
    item = _key(write.pk, write.sk) | {
        "d": {"S": json.dumps(write.data, separators=(",", ":"))},
        "v": {"N": str(write.version + 1)},
    }
    if not write.version:
        return {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "Item": item,
        "ConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": {"N": str(write.version)}},
    }


def _addition(amounts: Mapping[str, int], at_most: Mapping[str, int], ttl: int) -> dict[str, Any]:
    """Counters are attributes of their own, so that one update can compare and add to each of them."""
    place = {name: str(number) for number, name in enumerate(amounts)}
    added = ", ".join(f"#{number} :{number}" for number in place.values())
    request: dict[str, Any] = {
        "UpdateExpression": f"SET #ttl = :ttl ADD {added}",
        "ExpressionAttributeNames": {"#ttl": "ttl"} | {f"#{place[name]}": f"c_{name}" for name in amounts},
        "ExpressionAttributeValues": {":ttl": {"N": str(ttl)}}
        | {f":{place[name]}": {"N": str(amount)} for name, amount in amounts.items()},
    }
    if at_most:
        request["ConditionExpression"] = " AND ".join(
            f"(attribute_not_exists(#{place[name]}) OR #{place[name]} <= :most{place[name]})"
            for name in at_most
        )
        for name, most in at_most.items():
            request["ExpressionAttributeValues"][f":most{place[name]}"] = {"N": str(most - amounts[name])}
    return request


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _range(pk: str, after: str | None, prefix: str, newest_first: bool) -> dict[str, Any]:
    """The key condition. DynamoDB takes one condition on the sort key: with both, `after` is the start key."""
    values: dict[str, Any] = {":pk": {"S": pk}}
    if prefix:
        values[":prefix"] = {"S": prefix}
        start = {"ExclusiveStartKey": _key(pk, after)} if after is not None else {}
        condition = "pk = :pk AND begins_with(sk, :prefix)"
        return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values, **start}
    condition = "pk = :pk"
    if after is not None:
        condition += f" AND sk {'<' if newest_first else '>'} :after"
        values[":after"] = {"S": after}
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}


def _document(item: Mapping[str, Any]) -> Document:
    return Document(
        pk=item["pk"]["S"],
        sk=item["sk"]["S"],
        data=json.loads(item["d"]["S"]) if "d" in item else {},
        version=int(item["v"]["N"]) if "v" in item else 0,
        expires_at=datetime.fromtimestamp(int(item["ttl"]["N"]), UTC) if "ttl" in item else None,
    )
