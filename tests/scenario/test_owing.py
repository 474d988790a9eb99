"""Leaving with something unpaid, and coming back."""

from __future__ import annotations

import pytest

from chalicelib.application import dunning, subscriptions
from chalicelib.application.invoices import pay_invoice
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.subscription import Status
from tests.scenario.world import World, assert_books


def test_who_left_with_an_open_invoice_pays_it_before_coming_back() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "insufficient_funds")
    world.advance(to="2026-04-05T12:00:00+00:00")
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    owed = world.invoices(sub)[-1]
    # The day of 5 April was served, 29 of 30 were not.
    assert (owed.status, owed.credited, owed.amount_remaining) == ("open", 1837, 63)
    assert_books(world)
    world.advance(days=40)
    world.parts.gateway.behave(method.id, "ok")
    with pytest.raises(InvalidStateError) as refused:
        subscriptions.reactivate_subscription(world.ctx(), sub.id)
    assert refused.value.ids["invoice"] == owed.id
    pay_invoice(world.ctx(), owed.id, payment_method=None)
    assert subscriptions.reactivate_subscription(world.ctx(), sub.id).status is Status.ACTIVE
    assert_books(world)


def test_what_was_credited_on_leaving_is_not_credited_again_when_it_is_written_off() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "insufficient_funds")
    world.advance(to="2026-04-15T12:00:00+00:00")
    world.facts()
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    world.expect("subscription.canceled", "invoice.credited")
    dunning.mark_uncollectible(world.ctx(), world.invoices(sub)[-1].id)
    # 11 of 30 days were served: 6.97 of 19.00.
    assert world.ledger()[LedgerAccount.BAD_DEBT] == 697
    assert world.ledger()[LedgerAccount.REVENUE] == -1900 - 697
    assert_books(world)
