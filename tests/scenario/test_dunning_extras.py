"""What the customer tries between the days of a dunning run."""

from __future__ import annotations

import pytest

from chalicelib.application import invoices
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.world import World, assert_books


def in_arrears(world: World, decline: str) -> tuple[str, Subscription]:
    """A renewal that was declined on 5 April."""
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    behave(world, customer, decline)
    world.advance(to="2026-04-05T12:00:00+00:00")
    return customer, world.reload(sub)


def behave(world: World, customer: str, decline: str) -> None:
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, decline)


def pay(world: World, sub: Subscription) -> None:
    invoices.pay_invoice(world.ctx(), world.invoices(sub)[-1].id, payment_method=None)


def day_of_next_attempt(world: World, sub: Subscription) -> str:
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    return run.next_at.isoformat()[:10]


def test_payments_that_the_customer_tries_use_up_no_day_of_the_run() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    _, sub = in_arrears(world, "insufficient_funds")
    world.facts()
    for _ in range(6):
        with pytest.raises(PaymentDeclinedError):
            pay(world, sub)
    world.expect(*["payment.failed"] * 6)
    assert world.reload(sub).status is Status.PAST_DUE
    assert day_of_next_attempt(world, sub) == "2026-04-07"
    for days in (2, 5, 7):
        world.advance(days=days, expect=["payment.failed"])
    with pytest.raises(PaymentDeclinedError):
        pay(world, sub)
    assert day_of_next_attempt(world, sub) == "2026-04-26"
    world.facts()
    world.advance(days=7, expect=["payment.failed", "subscription.canceled", "invoice.uncollectible"])


def test_a_card_that_is_short_of_funds_after_a_lost_one_goes_on_with_the_days() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer, sub = in_arrears(world, "lost_card")
    assert day_of_next_attempt(world, sub) == "2026-04-26"
    world.card(customer, "pm_card_mastercard")
    behave(world, customer, "insufficient_funds")
    world.advance(days=3)
    with pytest.raises(PaymentDeclinedError):
        pay(world, sub)
    assert world.reload(sub).status is Status.PAST_DUE
    assert day_of_next_attempt(world, sub) == "2026-04-12"
    behave(world, customer, "ok")
    world.advance(days=5)
    assert world.reload(sub).status is Status.ACTIVE
    assert world.invoices(sub)[-1].status is InvoiceStatus.PAID
    assert_books(world)


def test_a_lost_card_tried_between_the_days_skips_to_the_last() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer, sub = in_arrears(world, "insufficient_funds")
    behave(world, customer, "lost_card")
    with pytest.raises(PaymentDeclinedError):
        pay(world, sub)
    assert day_of_next_attempt(world, sub) == "2026-04-26"
