"""CPU of a renewal against the bare SDK calls that it makes: the same requests, sent by nobody but the SDKs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
import stripe
from botocore.config import Config

from chalicelib.adapters.codec import dumps, encode
from chalicelib.adapters.stripe.client import API_VERSION, Client
from chalicelib.application import renewals
from chalicelib.application.ports import DueRow
from chalicelib.domain.subscription import Subscription
from chalicelib.entrypoints.jobs import due
from tests.bench.world import Bench, invoke, message_event

Request = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cpu:
    """Milliseconds of this process's CPU per renewal, least of three rounds each."""

    renewal: float
    in_batches: float
    """By the worker's handler: ten at once in threads, reading of messages included."""
    bare: float
    """boto3's client, and the Stripe SDK's `payment_intents.create` as its documentation has it."""
    bare_raw: float
    """The same, with the SDK's `raw_request` over our transport instead."""


def cpu_of_renewal(bench: Bench, number: int = 60, rounds: int = 3) -> Cpu:
    found = [_round(bench, number) for _ in range(rounds)]
    return Cpu(*(min(values) for values in zip(*found, strict=True)))


def _round(bench: Bench, number: int) -> tuple[float, float, float, float]:
    crowds = [bench.subscribers(number) for _ in range(3)]
    bench.a_month_on()
    one_by_one = _cpu(lambda: _renew(bench, crowds[0])) / number
    in_batches = worked(bench, [bench.due_row(each) for each in crowds[1]])
    with _state_restored(bench), _recorded(bench) as (requests, charges):
        _renew(bench, crowds[2])
    assert (len(requests), len(charges)) == (3 * number, number)
    dynamodb, sdk = _dynamodb(bench), _stripe(bench)
    reads_and_writes = _cpu(lambda: [getattr(dynamodb, name)(**params) for name, params in requests])
    typed = _cpu(lambda: _charge(sdk, charges))
    raw = _cpu(lambda: _charge_raw(bench, charges))
    return one_by_one, in_batches, (reads_and_writes + typed) / number, (reads_and_writes + raw) / number


def worked(bench: Bench, rows: list[DueRow]) -> float:
    """Milliseconds of CPU per row of the worker's handler, given batches of ten."""
    bodies = [dumps(encode(row)) for row in rows]
    batches = [message_event(bodies[start : start + 10]) for start in range(0, len(bodies), 10)]

    def work() -> None:
        for batch in batches:
            answer = invoke(due.work_due, batch)
            assert answer == {"batchItemFailures": []}, answer

    return _cpu(work) / len(rows)


def _renew(bench: Bench, subscriptions: list[Subscription]) -> None:
    for subscription in subscriptions:
        renewals.renew_subscription(bench.ctx(), subscription.id)


def _cpu(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


@contextmanager
def _recorded(bench: Bench) -> Iterator[tuple[list[Request], list[dict[str, Any]]]]:
    """The DynamoDB requests and the charges of the block, in order."""
    requests: list[Request] = []
    charges: list[dict[str, Any]] = []
    names = {"BatchGetItem": "batch_get_item", "TransactWriteItems": "transact_write_items"}

    def before(params: Any, model: Any, **_: Any) -> None:
        requests.append((names[model.name], copy.deepcopy(dict(params))))

    call = Client.call

    def noted(self: Client, method: str, path: str, **how: Any) -> Any:
        charges.append(copy.deepcopy(how))
        return call(self, method, path, **how)

    events = bench.services.tables.client.meta.events
    events.register("provide-client-params.dynamodb", before)
    try:
        with patch.object(Client, "call", noted):
            yield requests, charges
    finally:
        events.unregister("provide-client-params.dynamodb", before)


@contextmanager
def _state_restored(bench: Bench) -> Iterator[None]:
    """After the block the table is as it was before it, so that the same requests succeed again."""
    before = {_address(item): item for item in _items(bench)}
    yield
    client, table = bench.services.tables.client, bench.services.settings.billing_table
    for item in _items(bench):
        old = before.get(_address(item))
        if old is None:
            client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
        elif old != item:
            client.put_item(TableName=table, Item=old)


def _items(bench: Bench) -> list[dict[str, Any]]:
    pages = bench.services.tables.client.get_paginator("scan").paginate(
        TableName=bench.services.settings.billing_table
    )
    return [item for page in pages for item in page["Items"]]


def _address(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _dynamodb(bench: Bench) -> Any:
    config = Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 3})
    client = boto3.client("dynamodb", endpoint_url=bench.endpoint, config=config)
    client.list_tables()  # connected
    return client


def _stripe(bench: Bench) -> Any:
    key = bench.services.secrets.get("stripe_secret_key")
    sdk = stripe.StripeClient(key, stripe_version=API_VERSION, base_addresses={"api": bench.stripe})
    sdk.v1.customers.list({"limit": 1})  # connected
    return sdk


def _charge(sdk: Any, charges: list[dict[str, Any]]) -> None:
    for charge in charges:
        body = {name: value for name, value in charge.items() if name not in ("key", "retries")}
        sdk.v1.payment_intents.create(body, {"idempotency_key": f"{charge['key']}:typed"})


def _charge_raw(bench: Bench, charges: list[dict[str, Any]]) -> None:
    client: Any = bench.services.gateway._client  # type: ignore[attr-defined]
    for charge in charges:
        client.call("post", "/v1/payment_intents", **{**charge, "key": f"{charge['key']}:raw"})
