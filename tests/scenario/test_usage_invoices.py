"""Usage on invoices of its own, told as stories: at an amount within the period, and after the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.application import subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.usage import record_usage, usage_of
from chalicelib.application.usage_invoices import bill_usage
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.money import round_half_away
from chalicelib.domain.pricing import PricingModel, Rate, Tier, rate
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.test_usage_billing import amounts, plan, price
from tests.scenario.world import World, assert_books

TIERS: list[dict[str, Any]] = [
    {"up_to": 100, "unit_amount": "10.05"},
    {"unit_amount": "3.3", "flat_amount": "0.7"},
]
CATALOG: dict[str, Any] = {
    "seller": {"name": "Acme"},
    "meters": [{"id": "calls", "name": "API calls"}],
    "plans": [
        plan("plain", 1, price("2900"), price("2", model="per_unit", meter="calls", bill_at=1000)),
        plan(
            "tiered",
            2,
            price("2900"),
            {
                "interval": "month",
                "currency": "USD",
                "model": "graduated",
                "tiers": TIERS,
                "meter": "calls",
                "bill_at": 300,
                "minimum": "5000",
            },
        ),
    ],
}
NUMBERS = iter(range(10**6))


@pytest.fixture
def world() -> World:
    world = World(start="2024-02-01")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def bought(world: World, plan: str = "plain") -> Subscription:
    subscription = world.subscribe(world.customer(card="pm_card_visa"), plan)
    world.facts()
    return subscription


def use(
    world: World,
    sub: Subscription,
    quantity: int,
    *,
    ago: timedelta = timedelta(0),
    to: Subscription | None = None,
) -> None:
    at = world.now - ago
    id_ = f"e{next(NUMBERS)}"
    record_usage(
        world.ctx(),
        [
            UsageEvent(
                id=id_,
                customer_id=sub.customer_id,
                name="calls",
                at=at,
                recorded_at=world.now,
                value=quantity,
                subscription_id=to.id if to else None,
            )
        ],
    )


class TestAtAnAmount:
    def test_it_is_billed_when_it_comes_to_the_amount_and_the_rest_at_the_end(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=1)
        use(world, sub, 499)
        world.advance(days=1)
        assert amounts(world, sub) == [[2900]]
        use(world, sub, 1)
        world.advance(minutes=1, expect=["invoice.opened", "payment.succeeded", "invoice.paid"])
        use(world, sub, 700)
        world.advance(days=1)
        use(world, sub, 3)
        assert amounts(world, sub) == [[2900], [1000], [1400]]
        world.advance(days=29)
        assert amounts(world, sub)[-1] == [6, 2900]
        assert len({invoice.cause.reference for invoice in world.invoices(sub)}) == 4

    def test_tiers_and_fractions_come_to_what_all_of_it_costs(self, world: World) -> None:
        sub = bought(world, "tiered")
        total = 0
        for quantity in (31, 40, 33, 101, 95, 7):
            world.advance(hours=7)
            use(world, sub, quantity)
            total += quantity
        world.advance(days=30)
        usage = [line for i in world.invoices(sub) for line in i.lines if line.kind == "usage"]
        tiers = tuple(Tier(t.get("up_to"), t["unit_amount"], t.get("flat_amount", "0")) for t in TIERS)
        whole = round_half_away(rate(Rate(PricingModel.GRADUATED, tiers=tiers), total).amount)
        assert len(usage) > 4
        assert sum(line.amount for line in usage) == whole
        (true_up,) = [
            line for i in world.invoices(sub)[:-1] for line in i.lines if line.kind == "true_up"
        ] or [line for line in world.invoices(sub)[-1].lines if line.kind == "true_up"]
        assert true_up.amount == 5000 - whole
        amounts(world, sub)

    def test_what_is_taken_back_is_credited_and_below_nothing_is_nothing(self, world: World) -> None:
        sub = bought(world)
        use(world, sub, 600)
        world.advance(days=1)
        use(world, sub, -900)
        world.advance(days=31)
        assert amounts(world, sub) == [[2900], [1200], [-1200, 2900]]

    def test_fifty_reports_and_five_workers_at_once_bill_it_once(self, world: World) -> None:
        sub = bought(world)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: use(world, sub, 20), range(50)))
        (usage,) = usage_of(world.ctx(), sub.id)
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda _: bill_usage(world.ctx(), usage.id), range(5)))
        assert amounts(world, sub) == [[2900], [2000]]
        assert len(world.parts.gateway.charges()) == 2

    def test_declined_it_is_tried_again_and_given_up_while_the_subscription_goes_on(
        self, world: World
    ) -> None:
        sub = bought(world)
        good = world.account(sub.customer_id).payment_method
        assert good is not None
        world.parts.gateway.behave(good.id, "generic_decline")
        use(world, sub, 500)
        world.advance(days=20)
        invoice = world.invoices(sub)[-1]
        assert [(a.at - invoice.issued_at).days for a in invoice.attempts] == [0, 2, 7, 14]
        assert (str(invoice.status), world.reload(sub).status) == ("open", Status.ACTIVE)
        world.advance(days=2)
        invoice = world.invoices(sub)[-1]
        assert (str(invoice.status), len(invoice.attempts)) == ("uncollectible", 5)
        assert (world.reload(sub).status, world.reload(sub).dunning) == (Status.ACTIVE, None)

    def test_a_new_try_that_works_pays_it(self, world: World) -> None:
        sub = bought(world)
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        use(world, sub, 500)
        world.advance(days=1)
        world.card(sub.customer_id, "pm_card_visa")
        world.advance(days=2)
        assert str(world.invoices(sub)[-1].status) == "paid"


class TestAfterTheEnd:
    def ended(self, world: World) -> Subscription:
        sub = bought(world)
        use(world, sub, 10)
        world.advance(days=3)
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        world.advance(hours=1)
        assert amounts(world, sub) == [[2900], [20]]
        return sub

    def test_what_arrives_later_is_one_more_invoice(self, world: World) -> None:
        sub = self.ended(world)
        use(world, sub, 5, ago=timedelta(days=1))
        world.advance(hours=20)
        use(world, sub, 6, ago=timedelta(days=2))
        assert amounts(world, sub) == [[2900], [20]], "what else comes that day goes with it"
        world.advance(days=40)
        assert amounts(world, sub) == [[2900], [20], [22]]

    def test_what_was_not_in_force_is_not_billed(self, world: World) -> None:
        sub = self.ended(world)
        use(world, sub, 5)
        world.advance(days=2)
        assert amounts(world, sub) == [[2900], [20]]

    def test_declined_it_stays_open(self, world: World) -> None:
        sub = self.ended(world)
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        use(world, sub, 500, ago=timedelta(days=1))
        world.advance(days=60)
        invoice = world.invoices(sub)[-1]
        assert (str(invoice.status), len(invoice.attempts)) == ("open", 1)
        assert world.reload(sub).status is Status.CANCELED


@pytest.mark.parametrize("after_the_end", [True, False])
def test_killed_anywhere_it_is_billed_once(after_the_end: bool) -> None:
    def prepare(world: World) -> str:
        publish_catalog(world.ctx(), CATALOG, expected=1)
        sub = bought(world)
        world.advance(days=3)
        if after_the_end:
            subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        use(world, sub, 600, ago=timedelta(hours=1))
        (usage,) = usage_of(world.ctx(), sub.id)
        return usage.id

    def act(world: World, subject: str) -> None:
        bill_usage(world.ctx(now=world.now + timedelta(days=1)), subject)

    def repair(world: World, _: str) -> None:
        world.advance(days=2)

    for world in every_step(prepare, act, repair):
        (sub,) = world.parts.store.records(Subscription)
        assert amounts(world, sub) == [[2900], *([[0]] if after_the_end else []), [1200]]
        assert {str(invoice.status) for invoice in world.invoices(sub)} == {"paid"}
        assert len(world.parts.gateway.charges()) == 2
        assert_books(world)
