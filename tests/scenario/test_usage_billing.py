"""Usage billed, told as stories: after the period, at a change, at the end, and once however often anything runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.application import changes, pauses, subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.renewals import renew_subscription
from chalicelib.application.upcoming import upcoming_invoice
from chalicelib.application.usage import record_usage
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.domain.explanation import check
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.subscription import Billing, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World


def price(amount: str, **more: Any) -> dict[str, Any]:
    return {"interval": "month", "currency": "USD", "model": "flat", "unit_amount": amount, **more}


def plan(id_: str, rank: int, *prices: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "name": id_.title(), "rank": rank, "prices": list(prices), "quotas": {"calls": 1000}}


CALLS = price("2", model="per_unit", meter="calls")
CATALOG: dict[str, Any] = {
    "seller": {"name": "Acme"},
    "meters": [{"id": "calls", "name": "API calls"}],
    "plans": [
        plan("free", 0),
        plan("small", 1, price("2900"), CALLS),
        plan("large", 2, price("29000"), price("1", model="per_unit", meter="calls")),
        plan("patient", 3, price("1000"), {**CALLS, "grace_minutes": 120}),
        plan("pure", 4, price("0"), {**CALLS, "minimum": "5000"}),
    ],
}


@pytest.fixture
def world() -> World:
    world = World(start="2024-02-01")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def bought(world: World, plan: str = "small", **order: Any) -> Subscription:
    subscription = world.subscribe(world.customer(card="pm_card_visa"), plan, **order)
    world.facts()
    return subscription


def use(world: World, sub: Subscription, quantity: int, *, ago: timedelta = timedelta(0)) -> None:
    use.number += 1  # type: ignore[attr-defined]
    event = UsageEvent(
        id=f"e{use.number}",  # type: ignore[attr-defined]
        customer_id=sub.customer_id,
        name="calls",
        at=world.now - ago,
        recorded_at=world.now,
        value=quantity,
    )
    record_usage(world.ctx(), [event])


use.number = 0  # type: ignore[attr-defined]


def amounts(world: World, sub: Subscription) -> list[list[int]]:
    invoices = world.invoices(sub)
    assert [check(invoice) for invoice in invoices] == [[] for _ in invoices]
    return [[line.amount for line in invoice.lines] for invoice in invoices]


def test_usage_is_billed_with_the_next_period_beside_its_fee(world: World) -> None:
    sub = bought(world)
    use(world, sub, 95)
    assert [line.amount for line in upcoming_invoice(world.ctx(), sub.id).lines] == [190, 2900]
    world.advance(
        days=29, expect=["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"]
    )
    use(world, sub, 5)
    world.advance(days=31)
    assert amounts(world, sub) == [[2900], [190, 2900], [10, 2900]]
    assert world.mrr() == 2900, "usage that nobody committed to is no recurring revenue"


def test_a_plan_of_usage_alone_with_a_commitment(world: World) -> None:
    sub = bought(world, "pure")
    assert (str(sub.status), world.mrr()) == ("active", 5000)
    use(world, sub, 1000)
    world.advance(days=29)
    use(world, sub, 4000)
    world.advance(days=31)
    assert amounts(world, sub)[-2:] == [[2000, 3000, 0], [8000, 0]]


def test_what_is_late_within_the_grace_is_in_the_invoice(world: World) -> None:
    sub = bought(world, "patient")
    world.advance(days=29, hours=1)
    use(world, sub, 50, ago=timedelta(hours=2))
    use(world, sub, 7)
    assert amounts(world, sub) == [[1000]], "the invoice waits"
    world.advance(hours=1)
    assert amounts(world, sub)[-1] == [100, 1000]
    world.advance(days=31)
    assert amounts(world, sub)[-1] == [14, 1000]


def test_what_is_later_is_on_the_next_invoice_under_its_old_period(world: World) -> None:
    sub = bought(world)
    use(world, sub, 10)
    world.advance(days=30)
    use(world, sub, 50, ago=timedelta(days=3))
    world.advance(days=31)
    invoice = world.invoices(sub)[-1]
    late = next(line for line in invoice.lines if line.kind == "late_usage")
    assert late.amount == 100
    assert late.period == world.invoices(sub)[0].period
    assert amounts(world, sub) == [[2900], [20, 2900], [100, 0, 2900]]


class TestChange:
    def test_usage_so_far_is_billed_at_its_own_price(self, world: World) -> None:
        sub = bought(world, billing=Billing.CALENDAR)
        use(world, sub, 95)
        world.advance(days=11, hours=6)
        sub = changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="large"))
        invoice = world.invoices(sub)[-1]
        assert invoice.total == 18000 + 190 - 1800
        use(world, sub, 30)
        world.advance(days=20)
        assert amounts(world, sub) == [[2900], [190, -1800, 18000], [30, 29000]]

    def test_refused_it_is_billed_later_and_once(self, world: World) -> None:
        sub = bought(world)
        use(world, sub, 95)
        world.advance(days=3)
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        with pytest.raises(PaymentDeclinedError):
            changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="large"))
        use(world, sub, 5)
        world.card(sub.customer_id, "pm_card_visa")
        world.advance(days=29)
        paid = [i for i in world.invoices(sub) if str(i.status) == "paid"]
        assert [[line.amount for line in invoice.lines] for invoice in paid] == [[2900], [190, 10, 2900]]

    def test_what_was_used_on_the_free_plan_stays_free(self, world: World) -> None:
        sub = bought(world, "free")
        use(world, sub, 500)
        world.advance(days=3)
        sub = changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="small"))
        use(world, sub, 10)
        world.advance(days=31)
        assert amounts(world, sub) == [[2900], [20, 2900]]


class TestEnd:
    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_a_final_invoice_bills_what_was_used(self, world: World, at_period_end: bool) -> None:
        sub = bought(world)
        use(world, sub, 95)
        world.advance(days=3)
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=at_period_end, reason="")
        world.advance(days=40)
        assert amounts(world, sub) == [[2900], [190]]
        assert [str(invoice.status) for invoice in world.invoices(sub)] == ["paid", "paid"]


def test_a_renewal_killed_anywhere_bills_usage_once() -> None:
    def prepare(world: World) -> str:
        publish_catalog(world.ctx(), CATALOG, expected=1)
        sub = bought(world)
        use(world, sub, 95)
        return sub.id

    def act(world: World, subject: str) -> None:
        renew_subscription(world.ctx().at(datetime(2026, 4, 30, 12, tzinfo=UTC)), subject)

    def repair(world: World, _: str) -> None:
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(prepare, act, repair):
        (sub,) = world.parts.store.records(Subscription)
        assert amounts(world, sub) == [[2900], [190, 2900]]


class TestWhileLateUsageIsWaitedFor:
    """The period is over and its renewal is not due yet: nothing is left of it that could change."""

    @pytest.fixture
    def sub(self, world: World) -> Subscription:
        sub = bought(world, "patient")
        use(world, sub, 100)
        assert sub.period is not None
        world.advance(to=(sub.period.end + timedelta(minutes=30)).isoformat())
        return sub

    def test_a_change_comes_with_the_renewal(self, world: World, sub: Subscription) -> None:
        changed = changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="pure", at=When.NOW))
        assert changed.pending is not None
        assert (changed.pending.at, changed.plan.product) == (sub.period and sub.period.end, "patient")
        world.advance(hours=3)
        assert world.reload(sub).plan.product == "pure"
        assert amounts(world, sub) == [[1000], [200, 0]]

    def test_a_pause_comes_with_the_renewal(self, world: World, sub: Subscription) -> None:
        pauses.pause_subscription(world.ctx(), sub.id, at_period_end=False)
        world.advance(hours=3)
        assert str(world.reload(sub).status) == "paused"
        assert amounts(world, sub) == [[1000], [200]]
