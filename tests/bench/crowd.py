"""Many subscriptions in little time: copies of one that was really bought, written by the batch past the SDK."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from chalicelib.adapters.dynamo.items import Item, item_of
from chalicelib.application.records import account_key, customer_key
from chalicelib.domain import ids
from chalicelib.domain.environment import LIVE
from chalicelib.domain.subscription import Subscription
from tests.bench.world import Bench

BATCH = 25
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


def copies(bench: Bench, original: Subscription, number: int) -> list[Subscription]:
    """Subscriptions of as many other customers, who pay with the same card. Each renews as the original does."""
    account: Any
    customer: Any
    account, customer = bench.services.store.get_many(
        [account_key(LIVE, original.customer_id), customer_key(LIVE, original.customer_id)]
    )
    made, items = [], []
    for _ in range(number):
        id_ = ids.customer_id(original.id, bench.name())
        subscription = replace(
            original,
            id=ids.child_id("sub", id_, "copy"),
            customer_id=id_,
            payer_id=id_,
            version=original.version - 1,
        )
        records = (replace(account, customer_id=id_), replace(customer, id=id_))
        items += [item_of(LIVE, replace(each, version=each.version - 1), "copy") for each in records]
        items.append(item_of(LIVE, subscription, "copy"))
        made.append(replace(subscription, version=original.version))
    write(bench, items)
    return made


def fill(bench: Bench, original: Subscription, number: int) -> None:
    """That many more subscriptions, with accounts, that are due a year later: they are only there."""
    account = bench.services.store.get(account_key(LIVE, original.customer_id))
    later = replace(original, period=_a_year_later(original), cycle=original.cycle + 12)
    write(bench, _fillers(item_of(LIVE, account, "fill"), item_of(LIVE, later, "fill"), number))


def write(bench: Bench, items: Iterable[Item]) -> None:
    connection = http.client.HTTPConnection(urlsplit(bench.endpoint).netloc, timeout=60)
    table, rest = bench.services.settings.billing_table, iter(items)
    while batch := list(islice(rest, BATCH)):
        body = {"RequestItems": {table: [{"PutRequest": {"Item": item}} for item in batch]}}
        connection.request("POST", "/", json.dumps(body, default=_binary), _HEADERS)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said
        assert not json.loads(said).get("UnprocessedItems")
    connection.close()


def _fillers(account: Item, subscription: Item, number: int) -> Iterator[Item]:
    child = subscription["sk"]["S"]
    for each in range(number):
        pk = {"S": f"{LIVE}#{ids.token('filler', str(each))}"}
        yield account | {"pk": pk}
        due = {"due_shard": {"S": f"{LIVE}#{each % 16:02d}"}, "due_at": subscription["due_at"]}
        listed = {"list_sk": {"S": f"{subscription['list_sk']['S'][:28]}{each:08d}"}}
        yield subscription | {"pk": pk, "sk": {"S": child}} | due | listed


def _a_year_later(subscription: Subscription) -> Any:
    assert subscription.period is not None
    period = subscription.period
    return replace(period, start=period.start + timedelta(days=365), end=period.end + timedelta(days=365))


def _binary(value: object) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()
