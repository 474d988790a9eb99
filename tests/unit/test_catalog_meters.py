"""Meters in a catalog: what is refused, and that what is written reads back."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.domain.catalog_document import write_catalog
from chalicelib.domain.catalog_rules import problems_in, read_catalog
from chalicelib.domain.meter import Aggregation

FREE: dict[str, Any] = {"id": "free", "name": "Free", "rank": 0, "quotas": {"api_calls": 1000}}
CALLS: dict[str, Any] = {"id": "api_calls"}


def catalog(*meters: dict[str, Any]) -> Any:
    return {"seller": {"name": "Acme"}, "plans": [FREE], "meters": list(meters)}


def test_a_meter_is_its_id_unless_it_says_more() -> None:
    (meter,) = read_catalog(catalog(CALLS), version=1).meters
    assert (meter.id, meter.name, meter.event, meter.aggregation) == (
        "api_calls",
        "api_calls",
        "api_calls",
        Aggregation.SUM,
    )


def test_what_is_written_reads_back() -> None:
    full = {
        "id": "active_users",
        "name": "Active users",
        "event": "login",
        "aggregation": "unique_count",
        "property": "user",
        "filters": {"region": ["eu", "us"]},
        "alerts": [90],
    }
    published = read_catalog(catalog(CALLS, full), version=3)
    assert read_catalog(write_catalog(published), version=3) == published


@pytest.mark.parametrize(
    ("meter", "path"),
    [
        ({"id": "API calls"}, "meters[0].id"),
        ({"id": "users", "event": "Log in"}, "meters[0].event"),
        ({"id": "users", "aggregation": "unique_count"}, "meters[0].property"),
        ({"id": "users", "filters": {"region": []}}, "meters[0].filters.region"),
        ({"id": "users", "alerts": [5, 0]}, "meters[0].alerts[1]"),
    ],
)
def test_what_is_wrong_is_named(meter: dict[str, Any], path: str) -> None:
    assert [problem.field for problem in problems_in(catalog(meter))] == [path]


def test_an_id_is_used_once() -> None:
    assert [problem.field for problem in problems_in(catalog(CALLS, CALLS))] == ["meters[1].id"]
