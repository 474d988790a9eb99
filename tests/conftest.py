"""The store engines, as fixtures. Nothing heavy is imported before a test asks for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

import pytest

# No test can reach a real account, whatever the machine is set up for.
os.environ.update(
    {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
)
for _name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
    os.environ.pop(_name, None)

DYNAMODB_LOCAL = "DYNAMODB_LOCAL_ENDPOINT"
"""Set it to the address of a running DynamoDB Local to hold the store to Amazon's own engine as well."""
REAL_ENGINES = ["ministack", "dynamodb-local"]
ENGINES = ["memory", "moto", *REAL_ENGINES]


def pytest_report_header() -> str:
    return f"DynamoDB Local: {os.environ.get(DYNAMODB_LOCAL) or f'not asked ({DYNAMODB_LOCAL} is not set)'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without DynamoDB Local its tests are left out, said once in the header instead of once per test. With
    EXAMPLES=10000 every property draws so many, whatever it draws otherwise.
    """
    if os.environ.get("EXAMPLES"):
        _draw(items, int(os.environ["EXAMPLES"]))
    if os.environ.get(DYNAMODB_LOCAL):
        return
    left_out = [item for item in items if "dynamodb-local" in _parameters(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _draw(items: list[pytest.Item], examples: int) -> None:
    from hypothesis import settings

    for item in items:
        function = getattr(item, "function", None)
        if getattr(function, "is_hypothesis_test", False):
            own = getattr(function, "_hypothesis_internal_use_settings", None)
            deep = settings(own, max_examples=examples, deadline=None)
            function._hypothesis_internal_use_settings = deep


def _parameters(item: pytest.Item) -> list[object]:
    call = getattr(item, "callspec", None)
    return list(call.params.values()) if call else []


@pytest.fixture
def memory_store():
    from chalicelib.adapters.memory import MemoryStore

    return MemoryStore()


@pytest.fixture
def moto_store():
    with _moto_store() as store:
        yield store


@pytest.fixture
def engine_store(ministack_endpoint):
    """A store with tables of its own on ministack: real races, real transactions."""
    return _store_at(ministack_endpoint)


@pytest.fixture(params=ENGINES)
def store(request):
    """The store on every engine in turn, always empty: the contract test's subject."""
    yield from _engine(request)


@pytest.fixture(params=REAL_ENGINES)
def real_store(request):
    """The store on the engines that model concurrency."""
    yield from _engine(request)


@pytest.fixture(params=["dynamodb-local"])
def amazon_store(request):
    """The store on Amazon's own engine."""
    yield from _engine(request)


@pytest.fixture(params=["dynamodb-local"])
def amazon_tables(request):
    """Makes a new store and its operations table on Amazon's own engine, as often as it is called. They forget
    nothing: simulated time is long past by the clock that expiry goes by there.
    """

    def make():
        store = _store_at(os.environ[DYNAMODB_LOCAL], forgetful=False)
        return store, ops_beside(store)

    return make


@pytest.fixture(params=["moto", *REAL_ENGINES])
def dynamo_store(request):
    """The store on everything that speaks DynamoDB's protocol."""
    yield from _engine(request)


@pytest.fixture(scope="session")
def ministack_endpoint(tmp_path_factory) -> Iterator[str]:
    """The address of an emulator that lives for the whole test run."""
    pytest.importorskip("ministack", reason="ministack is not installed")
    from infra.local.engine import ChildFailed, running_emulator

    try:
        with running_emulator(tmp_path_factory.mktemp("ministack"), free_port()) as endpoint:
            yield endpoint
    except ChildFailed as failure:
        pytest.skip(f"ministack: {failure}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _engine(request):
    match request.param:
        case "memory":
            yield request.getfixturevalue("memory_store")
        case "moto":
            with _moto_store() as store:
                yield store
        case "ministack":
            yield request.getfixturevalue("engine_store")
        case "dynamodb-local":
            yield _store_at(os.environ[DYNAMODB_LOCAL])


@contextmanager
def _moto_store():
    from moto import mock_aws

    with mock_aws():
        yield _store_at(None)


def ops_beside(store):
    """The operations table that was created with the store's."""
    from chalicelib.adapters.dynamo.ops import DynamoOps

    return DynamoOps(store.client, store._table.replace("BillingTable", "OpsTable"))


def _store_at(endpoint: str | None, *, forgetful: bool = True):
    """A store with new tables of its own."""
    from chalicelib.adapters.dynamo.store import DynamoStore
    from chalicelib.adapters.dynamo.tables import open_tables
    from infra.local.resources import create_tables, load_resources

    prefix = f"t{uuid4().hex[:12]}-"
    connection = _connection(endpoint)
    resources = load_resources()
    if not forgetful:
        resources["OpsTable"]["Properties"].pop("TimeToLiveSpecification")
    create_tables(connection.client, prefix=prefix, resources=resources)
    return DynamoStore(
        open_tables(billing=f"{prefix}BillingTable", ops=f"{prefix}OpsTable", connection=connection)
    )


@cache
def _connection(endpoint: str | None):
    """One per engine: making a client costs more than most tests."""
    from chalicelib.adapters.dynamo.tables import connect

    return connect(endpoint=endpoint, region="us-east-1")
