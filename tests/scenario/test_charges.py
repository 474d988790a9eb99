"""One-off charges told as stories: on the next invoice, or at once; what is declined touches nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.application import charges, subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.invoices import pay_invoice
from chalicelib.application.renewals import renew_subscription
from chalicelib.domain.errors import InvalidStateError, NotFoundError, PaymentDeclinedError, ValidationError
from chalicelib.domain.explanation import check
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_changes import CATALOG, amounts, bought
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World


@pytest.fixture
def world() -> World:
    world = World(start="2024-03-05T12:12:00+00:00")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def charge(
    world: World, sub: Subscription, amount: str = "2500", *, request: str = "", **more: Any
) -> Subscription:
    what = {"description": "Training", "unit_amount": amount, "quantity": 1, **more}
    return charges.charge_next(world.ctx(request), sub.id, **what)


def now(world: World, sub: Subscription, amount: str = "2500", *, request: str = "") -> Invoice:
    return charges.charge_now(
        world.ctx(request), sub.id, description="Training", unit_amount=amount, quantity=1
    )


def test_on_the_next_invoice_once(world: World) -> None:
    sub = bought(world)
    charge(world, sub, request="once")
    sub = charge(world, sub, request="once")
    sub = charge(world, sub, "33.5", quantity=3)
    assert len(sub.charges) == 2
    world.advance(days=31)
    assert amounts(world, sub) == [[1000], [2500, 101, 1000]]
    assert [check(invoice) for invoice in world.invoices(sub)] == [[], []]
    world.advance(days=30)
    assert amounts(world, sub)[-1] == [1000]
    assert world.mrr() == 1000


def test_taken_back_before(world: World) -> None:
    sub = charge(world, bought(world))
    sub = charges.take_charge_back(world.ctx(), sub.id, sub.charges[0].id)
    assert sub.charges == ()
    with pytest.raises(NotFoundError):
        charges.take_charge_back(world.ctx(), sub.id, "nothing")


def test_what_waits_is_billed_when_it_ends(world: World) -> None:
    sub = charge(world, bought(world))
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    assert amounts(world, sub) == [[1000], [2500]]
    assert [str(invoice.status) for invoice in world.invoices(sub)] == ["paid", "paid"]
    assert world.reload(sub).charges == ()


def test_at_once_on_an_invoice_of_its_own(world: World) -> None:
    sub = bought(world)
    invoice = now(world, sub, request="once")
    assert now(world, sub, request="once").id == invoice.id
    assert (str(invoice.status), str(invoice.cause.kind), invoice.amount_paid) == ("paid", "one_off", 2500)
    assert amounts(world, sub) == [[1000], [2500]]


def test_declined_it_stays_open_and_the_subscription_as_it_is(world: World) -> None:
    sub = bought(world)
    world.card(sub.customer_id, "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentDeclinedError):
        now(world, sub)
    after, invoice = world.reload(sub), world.invoices(sub)[-1]
    assert (str(after.status), after.dunning, str(invoice.status)) == ("active", None, "open")
    world.card(sub.customer_id, "pm_card_visa")
    assert str(pay_invoice(world.ctx(), invoice.id, payment_method=None).status) == "paid"


def test_what_is_refused(world: World) -> None:
    free = bought(world, "free")
    with pytest.raises(InvalidStateError) as refused:
        charge(world, free)
    assert refused.value.field == "invoice"
    with pytest.raises(ValidationError):
        charge(world, bought(world), "-5")


def test_killed_anywhere_it_is_charged_once() -> None:
    def prepare(world: World) -> str:
        publish_catalog(world.ctx(), CATALOG, expected=1)
        return bought(world).id

    def act(world: World, sub: str) -> None:
        charges.charge_now(world.ctx("now"), sub, description="A", unit_amount="700", quantity=1)
        charges.charge_next(world.ctx("next"), sub, description="B", unit_amount="300", quantity=1)
        renew_subscription(world.ctx().at(datetime(2026, 4, 30, 12, tzinfo=UTC)), sub)

    def again(world: World, sub: str) -> None:
        (before,) = world.parts.store.records(Subscription)
        charges.charge_now(world.ctx("now"), sub, description="A", unit_amount="700", quantity=1)
        if before.cycle == 0:
            charges.charge_next(world.ctx("next"), sub, description="B", unit_amount="300", quantity=1)
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(prepare, act, again):
        (sub,) = world.parts.store.records(Subscription)
        assert amounts(world, sub) == [[1000], [700], [300, 1000]]
        assert [invoice.amount_paid for invoice in world.invoices(sub)] == [1000, 700, 1300]
