"""Usage told as stories: reported by the product, counted once, told once, on sandboxes and on the live stream."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.application.catalog import publish_catalog
from chalicelib.application.entitlements import get_entitlements
from chalicelib.application.usage import fold, record_usage, usage_of
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.subscription import Subscription
from tests.scenario.world import World

CATALOG: dict[str, Any] = {
    "seller": {"name": "Acme"},
    "meters": [
        {"id": "api_calls"},
        {"id": "active_users", "event": "login", "aggregation": "unique_count", "property": "user"},
    ],
    "plans": [
        {
            "id": "pro",
            "name": "Pro",
            "rank": 1,
            "quotas": {"api_calls": 1000, "active_users": 5},
            "hard_quotas": ["active_users"],
            "prices": [{"interval": "month", "currency": "USD", "model": "flat", "unit_amount": "1000"}],
        },
    ],
}


@pytest.fixture
def world() -> World:
    world = World(start="2026-06-01")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


@pytest.fixture
def sub(world: World) -> Subscription:
    subscription = world.subscribe(world.customer(card="pm_card_visa"), "pro")
    world.facts()
    return subscription


def event(world: World, sub: Subscription, id_: str, value: int = 1, **more: Any) -> UsageEvent:
    at: datetime = more.pop("at", world.now)
    more.setdefault("name", "api_calls")
    return UsageEvent(id=id_, customer_id=sub.customer_id, at=at, recorded_at=world.now, value=value, **more)


def report(world: World, *events: UsageEvent) -> list[bool]:
    """Which of them were new."""
    return [not receipt.duplicate for receipt in record_usage(world.ctx(), events)]


def used(world: World, sub: Subscription, meter: str = "api_calls") -> int:
    (grant,) = get_entitlements(world.ctx(), sub.customer_id).grants
    return next(each.used for each in grant.metered if each.meter == meter)


def test_a_quota_is_told_at_80_and_100_per_cent_once(world: World, sub: Subscription) -> None:
    for number, value in enumerate((799, 1, 199, 1, 500)):
        report(world, event(world, sub, f"e{number}", value))
    assert report(world, event(world, sub, "e4", 500)) == [False]
    assert world.facts() == ["usage.quota_reached", "usage.quota_reached"]
    assert used(world, sub) == 1500


def test_an_id_counts_once_within_a_request_and_across(world: World, sub: Subscription) -> None:
    one = event(world, sub, "a", 5)
    assert report(world, one, replace(one, value=7), event(world, sub, "b", 1)) == [True, False, True]
    assert report(world, replace(one, value=9)) == [False]
    assert used(world, sub) == 6


def test_one_customers_ids_are_not_anothers(world: World, sub: Subscription) -> None:
    other = world.subscribe(world.customer(card="pm_card_visa"), "pro")
    assert report(world, event(world, sub, "a"), event(world, other, "a")) == [True, True]
    assert (used(world, sub), used(world, other)) == (1, 1)


def test_a_hundred_at_once_of_which_some_came_before(world: World, sub: Subscription) -> None:
    events = [event(world, sub, f"e{number}") for number in range(100)]
    report(world, *events[40:60])
    assert sum(report(world, *events)) == 80
    assert used(world, sub) == 100


def test_different_users_are_counted_once_each(world: World, sub: Subscription) -> None:
    def login(id_: str, user: str) -> UsageEvent:
        return event(world, sub, id_, name="login", properties={"user": user})

    report(world, login("1", "ada"), login("2", "bo"), login("3", "ada"))
    report(world, login("4", "bo"), login("5", "cy"))
    assert used(world, sub, "active_users") == 3
    world.advance(days=31)
    report(world, login("6", "ada"))
    assert used(world, sub, "active_users") == 1, "every period counts anew"


def test_usage_of_the_last_period_that_arrives_late_counts_there(world: World, sub: Subscription) -> None:
    world.advance(days=31)
    report(world, event(world, sub, "late", 5, at=world.now - timedelta(days=2)), event(world, sub, "now", 3))
    assert used(world, sub) == 3
    (usage,) = usage_of(world.ctx(), sub.id)
    assert [window.reading.quantity for window in usage.windows] == [5, 3]


def test_nothing_is_taken_in_where_one_event_is_refused(world: World, sub: Subscription) -> None:
    with pytest.raises(ValidationError) as refused:
        report(world, event(world, sub, "a"), event(world, sub, "b", at=world.now - timedelta(days=36)))
    assert refused.value.field == "events[1].at"
    with pytest.raises(NotFoundError):
        report(world, event(world, sub, "a"), replace(event(world, sub, "b"), customer_id=f"cus_{'0' * 26}"))
    assert used(world, sub) == 0


def test_fifty_at_once_cross_a_threshold_once(world: World, sub: Subscription) -> None:
    events = [event(world, sub, f"e{number % 40}", 25) for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda each: report(world, each)[0], events))
    assert sum(new) == 40
    assert used(world, sub) == 1000
    assert sorted(world.facts()) == ["usage.quota_reached", "usage.quota_reached"]


class TestStream:
    """The live way: events are stored first, and lanes of a stream bring them, more than once."""

    def arrive(self, world: World, sub: Subscription, lane: int, *positions: int, value: int = 10) -> None:
        arrived = [(f"{p:021d}", event(world, sub, f"lane{lane}-{p}", value)) for p in positions]
        fold(world.ctx(), sub.customer_id, lane, arrived)

    def test_a_batch_that_comes_again_counts_once(self, world: World, sub: Subscription) -> None:
        for _ in range(3):
            self.arrive(world, sub, 0, 1, 2, 3)
        self.arrive(world, sub, 0, 2, 3, 4)
        assert used(world, sub) == 40

    def test_lanes_do_not_meet(self, world: World, sub: Subscription) -> None:
        for lane in (3, 0, 15, 3):
            self.arrive(world, sub, lane, 1, 2)
        assert used(world, sub) == 60

    def test_killed_anywhere_it_counts_once(self, world: World, sub: Subscription) -> None:
        """A batch of several transactions dies after each of them in turn, and comes again whole."""
        positions = range(1, 91)
        store = world.parts.store

        def die(_env: str, _records: Any) -> None:
            raise ConnectionError("killed")

        store.after_commit = die
        for _ in range(3):
            with pytest.raises(ConnectionError):
                self.arrive(world, sub, 0, *positions, value=1)
        store.after_commit = None
        self.arrive(world, sub, 0, *positions, value=1)
        assert used(world, sub) == 90

    def test_different_users_are_counted_once_when_a_batch_comes_again(
        self, world: World, sub: Subscription
    ) -> None:
        arrived = [
            (f"{p:021d}", event(world, sub, f"e{p}", name="login", properties={"user": user}))
            for p, user in enumerate(("ada", "bo", "ada"), 1)
        ]
        for _ in range(2):
            fold(world.ctx(), sub.customer_id, 0, arrived)
        assert used(world, sub, "active_users") == 2

    def test_eight_lanes_at_once(self, world: World, sub: Subscription) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda lane: self.arrive(world, sub, lane, *range(1, 6)), range(8)))
        assert used(world, sub) == 8 * 50
