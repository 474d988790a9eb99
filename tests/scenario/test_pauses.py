"""Pauses told as stories: nothing is billed while it rests, and resuming begins anew, paid first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.application import changes, pauses
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.entitlements import get_entitlements
from chalicelib.domain.errors import InvalidStateError, PaymentDeclinedError, ValidationError
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_changes import CATALOG, amounts, bought
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World


@pytest.fixture
def world() -> World:
    world = World(start="2024-03-05T12:12:00+00:00")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def pause(world: World, sub: Subscription, *, at_period_end: bool = False, **more: Any) -> Subscription:
    return pauses.pause_subscription(world.ctx(), sub.id, at_period_end=at_period_end, **more)


def test_at_the_end_of_the_period_and_until_somebody_resumes_it(world: World) -> None:
    sub = pause(world, bought(world), at_period_end=True)
    assert (str(sub.status), sub.pending is not None) == ("active", True)
    world.facts()
    world.advance(days=100, expect=["subscription.paused"])
    sub = world.reload(sub)
    assert (str(sub.status), sub.period, world.mrr()) == ("paused", None, 0)
    assert not get_entitlements(world.ctx(), sub.customer_id).active
    sub = pauses.resume_subscription(world.ctx(), sub.id)
    world.expect("invoice.opened", "payment.succeeded", "invoice.paid", "subscription.resumed")
    assert sub.period is not None
    assert (str(sub.status), sub.period.start, world.mrr()) == ("active", world.now, 1000)
    assert get_entitlements(world.ctx(), sub.customer_id).active
    world.advance(days=31)
    assert amounts(world, sub) == [[1000], [1000], [1000]]


def test_now_with_what_is_unused_as_credit(world: World) -> None:
    sub = bought(world)
    world.advance(days=6)
    sub = pause(world, sub)
    assert str(sub.status) == "paused"
    assert amounts(world, sub) == [[1000], [-774]]
    assert [credit.amount for credit in world.account(sub.customer_id).credits] == [774]
    pauses.resume_subscription(world.ctx(), sub.id)
    invoice = world.invoices(sub)[-1]
    assert (invoice.total, invoice.credit_applied, invoice.amount_paid) == (1000, 774, 226)


def test_now_without_credit(world: World) -> None:
    sub = pause(world, bought(world), credit=False)
    assert (str(sub.status), amounts(world, sub)) == ("paused", [[1000]])


def test_it_goes_on_by_itself(world: World) -> None:
    sub = bought(world)
    back = world.now + timedelta(days=60)
    pause(world, sub, at_period_end=True, resumes_at=back)
    world.facts()
    world.advance(
        days=61,
        expect=[
            "subscription.paused",
            "invoice.opened",
            "payment.succeeded",
            "invoice.paid",
            "subscription.resumed",
        ],
    )
    after = world.reload(sub)
    assert after.period is not None
    assert (str(after.status), after.period.start) == ("active", back)


def test_resuming_that_is_declined_leaves_it_paused(world: World) -> None:
    sub = pause(world, bought(world), credit=False)
    world.card(sub.customer_id, "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentDeclinedError):
        pauses.resume_subscription(world.ctx(), sub.id)
    assert (str(world.reload(sub).status), world.mrr()) == ("paused", 0)
    assert [str(invoice.status) for invoice in world.invoices(sub)] == ["paid", "void"]


def test_a_pause_to_come_can_be_taken_back(world: World) -> None:
    sub = pause(world, bought(world), at_period_end=True)
    sub = changes.revoke_change(world.ctx(), sub.id)
    world.advance(days=31)
    assert (str(world.reload(sub).status), amounts(world, sub)) == ("active", [[1000], [1000]])


def test_what_cannot_be_paused_or_resumed(world: World) -> None:
    with pytest.raises(InvalidStateError):
        pause(world, bought(world, "free"))
    sub = bought(world)
    with pytest.raises(InvalidStateError):
        pauses.resume_subscription(world.ctx(), sub.id)
    with pytest.raises(ValidationError) as refused:
        pause(world, sub, at_period_end=True, resumes_at=world.now + timedelta(days=3))
    assert refused.value.field == "resumes_at"
    pause(world, sub)
    with pytest.raises(InvalidStateError):
        pause(world, sub)


def test_killed_anywhere_it_is_paused_once_and_resumed_once() -> None:
    def prepare(world: World) -> str:
        publish_catalog(world.ctx(), CATALOG, expected=1)
        return bought(world).id

    def act(world: World, sub: str) -> None:
        pauses.pause_subscription(world.ctx("pause"), sub, at_period_end=False)
        pauses.resume_subscription(world.ctx("resume"), sub)

    def again(world: World, sub: str) -> None:
        (before,) = world.parts.store.records(Subscription)
        if str(before.status) == "paused" or len(world.invoices(before)) == 1:
            pauses.pause_subscription(world.ctx("pause"), sub, at_period_end=False)
        pauses.resume_subscription(world.ctx("resume"), sub)

    for world in every_step(prepare, act, again):
        (sub,) = world.parts.store.records(Subscription)
        assert (str(sub.status), world.mrr()) == ("active", 1000)
        assert amounts(world, sub) == [[1000], [-967], [1000]]
