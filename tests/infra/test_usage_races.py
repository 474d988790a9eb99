"""Usage and prepaid credits under races, on engines that model concurrency."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application import subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.credit_grants import Wanted, give_credits, settle_credits
from chalicelib.application.ports import VersionConflict
from chalicelib.application.renewals import renew_subscription
from chalicelib.application.usage import fold, record_usage, usage_of
from chalicelib.application.usage_invoices import bill_usage
from chalicelib.domain.errors import DomainError
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.subscription import Subscription
from tests.conftest import ops_beside
from tests.scenario.test_prepaid import assert_owed, balance
from tests.scenario.test_usage_billing import amounts
from tests.scenario.test_usage_invoices import CATALOG, bought
from tests.scenario.world import Parts, World

pytestmark = pytest.mark.engine


@pytest.fixture
def world(real_store: Any) -> World:
    parts = Parts(real_store, MemoryGateway(), MemoryQueues(), ops_beside(real_store))
    world = World(start="2024-02-01", parts=parts)
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def event(world: World, sub: Subscription, id_: str, value: int) -> UsageEvent:
    return UsageEvent(
        id=id_,
        customer_id=sub.customer_id,
        name="calls",
        at=world.now,
        recorded_at=world.now,
        value=value,
        subscription_id=sub.id,
    )


def together(*acts: Callable[[], object]) -> None:
    """All started at once; a refusal that brings a message back is none of theirs."""
    gate = Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
        except (DomainError, VersionConflict):
            return

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(run, acts))


def billed(world: World, sub: Subscription) -> int:
    """Minor units of usage on all invoices, each of which follows from its lines."""
    amounts(world, sub)
    lines = [line for invoice in world.invoices(sub) for line in invoice.lines]
    return sum(line.amount for line in lines if line.kind in ("usage", "late_usage"))


def test_lanes_that_come_again_at_once_count_once(world: World) -> None:
    sub = bought(world)
    lanes = [
        [(f"{place:03d}", event(world, sub, f"{lane}-{place}", 2)) for place in range(12)]
        for lane in range(4)
    ]
    acts = [partial(fold, world.ctx(), sub.customer_id, lane, lanes[lane]) for lane in range(4) for _ in "ab"]
    together(*acts)
    for lane, arrived in enumerate(lanes):  # the stream goes on until every batch went through
        fold(world.ctx(), sub.customer_id, lane, arrived)
    (usage,) = usage_of(world.ctx(), sub.id)
    (window,) = usage.windows
    assert (window.reading.events, window.reading.quantity) == (48, 96)


def test_reports_that_pass_a_quota_at_once_tell_it_once_and_bill_once(world: World) -> None:
    sub = bought(world)
    events = [event(world, sub, f"e{number % 12}", 100) for number in range(16)]
    for start in (0, 8):
        together(*(partial(record_usage, world.ctx(), [each]) for each in events[start : start + 8]))
    for each in events:
        record_usage(world.ctx(), [each])
    told = [
        fact.data["percent"]
        for e in world.journal()
        for fact in e.facts
        if fact.type.endswith("quota_reached")
    ]
    assert sorted(told) == [80, 100]
    (usage,) = usage_of(world.ctx(), sub.id)
    together(*(partial(bill_usage, world.ctx(), usage.id) for _ in range(5)))
    assert billed(world, sub) == 2400
    assert [i.cause.kind for i in world.invoices(sub)].count("usage") == 1


def test_a_renewal_a_threshold_a_cancellation_and_reports_at_once_bill_each_unit_once(world: World) -> None:
    sub = bought(world)
    record_usage(world.ctx(), [event(world, sub, "first", 600)])
    (usage,) = usage_of(world.ctx(), sub.id)
    late = world.ctx(now=world.now + timedelta(days=29))
    together(
        partial(bill_usage, world.ctx(), usage.id),
        partial(renew_subscription, late, sub.id),
        partial(record_usage, world.ctx(), [event(world, sub, "second", 50)]),
        partial(record_usage, world.ctx(), [event(world, sub, "third", 7)]),
        partial(subscriptions.cancel_subscription, late, sub.id, at_period_end=False, reason=""),
    )
    for id_, value in (("second", 50), ("third", 7)):
        record_usage(world.ctx(), [event(world, sub, id_, value)])
    world.advance(days=40)
    assert billed(world, sub) == 2 * 657


def test_draws_at_once_share_what_there_is(world: World) -> None:
    customer = world.customer(card="pm_card_visa")
    subs = [world.subscribe(customer, "plain") for _ in range(4)]
    give_credits(world.ctx(), customer, Wanted(amount=2500, currency="USD"))
    for each in subs:
        record_usage(world.ctx(), [event(world, each, each.id, 500)])
    names = [usage_of(world.ctx(), each.id)[0].id for each in subs]
    sweep = partial(settle_credits, world.ctx(), customer)
    together(*(partial(bill_usage, world.ctx(), name) for name in names), sweep, sweep)
    world.advance(minutes=5)
    invoices = [i for i in world.invoices(customer) if i.cause.kind == "usage"]
    assert sum(use.amount for i in invoices for use in i.credits_used) == 2500
    assert sum(i.total for i in invoices) == 4000 - 2500
    assert balance(world, subs[0]) == 0
    assert_owed(world)
