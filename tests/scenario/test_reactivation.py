"""Cancelled and brought back, more than once on one day."""

from __future__ import annotations

from chalicelib.application import subscriptions
from chalicelib.domain.customer import CollectionMethod, Terms
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.world import World, assert_books


def come_and_go(world: World, sub: Subscription, times: int) -> Subscription:
    for _ in range(times):
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        sub = subscriptions.reactivate_subscription(world.ctx(), sub.id)
    return sub


def test_time_that_was_billed_and_never_began_is_not_billed_again() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    back = come_and_go(world, sub, 3)
    assert back.status is Status.ACTIVE
    assert [invoice.period.start.day for invoice in world.invoices(sub) if invoice.period] == [5, 6]
    world.advance(to="2026-04-05T12:00:00+00:00")
    assert len(world.invoices(sub)) == 2
    world.advance(to="2026-04-06T00:00:00+00:00")
    assert [invoice.period.start.day for invoice in world.invoices(sub) if invoice.period] == [5, 6, 6]
    assert world.mrr() == 1900
    assert world.parts.gateway.totals("USD") == 3 * 1900
    assert_books(world)


def test_the_next_day_is_new_time() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    come_and_go(world, sub, 1)
    world.advance(days=1)
    come_and_go(world, sub, 1)
    assert [invoice.period.start.day for invoice in world.invoices(sub) if invoice.period] == [5, 6, 7]


def test_an_invoice_that_was_sent_is_not_sent_again() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    terms = Terms(method=CollectionMethod.SEND_INVOICE, net_days=14)
    sub = world.subscribe(world.customer(), "starter", trial_days=0, terms=terms)
    assert come_and_go(world, sub, 2).status is Status.ACTIVE
    assert len(world.invoices(sub)) == 2


def test_a_free_plan_comes_back_at_the_same_instant() -> None:
    world = World()
    sub = world.subscribe(world.customer(), "free")
    assert come_and_go(world, sub, 2).status is Status.ACTIVE
