"""A customer is erased: killed at any step and asked again, in a race with a new subscription, and what is left."""

from __future__ import annotations

import pytest

from chalicelib.application import erasure, feed, members, subscriptions
from chalicelib.application.trials import EMAIL
from chalicelib.domain.customer import Claim, Customer, Member
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import JournalEntry
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World, assert_books

CANARY = "canary@example.com"


def left(world: World) -> str:
    """Whose? Paid for a month, gone since."""
    customer = world.customer("pm_card_visa", email=CANARY)
    members.add_member(world.ctx(), customer, email=f"colleague.{CANARY}", name="A Colleague")
    sub = world.subscribe(customer, "starter", trial_days=0)
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    return customer


def erase(world: World, customer: str) -> None:
    erasure.erase_customer(world.ctx(), customer)


def test_killed_anywhere_and_asked_again_nothing_is_left() -> None:
    for world in every_step(left, erase, erase):
        (customer,) = world.parts.store.records(Customer)
        assert customer.erased_at is not None
        assert world.parts.store.records(Member) == []
        assert CANARY not in repr(world.parts.store._partitions)
        assert "Colleague" not in repr(world.parts.store._partitions)
        assert world.parts.gateway.customers == {}
        assert world.facts().count("customer.erased") == 1
        (invoice,) = world.parts.store.records(Invoice)
        assert (invoice.status, invoice.buyer.email) == (InvoiceStatus.PAID, "")
        assert_books(world)


def test_twice_is_once() -> None:
    world = World()
    customer = left(world)
    first = erasure.erase_customer(world.ctx(), customer)
    entries = len(world.parts.store.records(JournalEntry))
    assert erasure.erase_customer(world.ctx(), customer).erased_at == first.erased_at
    assert len(world.parts.store.records(JournalEntry)) == entries


def test_not_while_a_subscription_runs() -> None:
    world = World()
    customer = world.customer("pm_card_visa", email=CANARY)
    sub = world.subscribe(customer, "starter", trial_days=0)
    with pytest.raises(InvalidStateError) as refused:
        erase(world, customer)
    assert refused.value.ids["subscription"] == sub.id
    assert world.parts.store.records(Customer)[0].email == CANARY


def test_not_while_an_invoice_is_open() -> None:
    world = World(start="2026-01-31T12:00:00+00:00")
    customer = world.customer("pm_card_visa", email=CANARY)
    sub = world.subscribe(customer, "starter", trial_days=0)
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "generic_decline")
    world.advance(days=31)
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    assert [each.status for each in world.parts.store.records(Invoice)].count(InvoiceStatus.OPEN) == 1
    with pytest.raises(InvalidStateError) as refused:
        erase(world, customer)
    assert refused.value.ids["invoice"].startswith("inv_")


@pytest.mark.parametrize(("plan", "trial_days"), [("starter", 0), ("starter", None), ("free", None)])
def test_a_subscription_that_begins_meanwhile_wins_or_is_refused(plan: str, trial_days: int | None) -> None:
    """The account is written by both, also where nothing is due: whoever is second decides anew."""
    world = World()
    customer = world.customer("pm_card_visa", email=CANARY)

    def begun(env: str, records: object) -> None:
        world.parts.store.before_commit = None
        world.subscribe(customer, plan, trial_days=trial_days)

    world.parts.store.before_commit = begun
    with pytest.raises(InvalidStateError):
        erase(world, customer)
    assert world.parts.store.records(Customer)[0].erased_at is None

    other = world.customer("pm_card_mastercard", email=f"other.{CANARY}")

    def erased(env: str, records: object) -> None:
        world.parts.store.before_commit = None
        erase(world, other)

    world.parts.store.before_commit = erased
    with pytest.raises(InvalidStateError):
        world.subscribe(other, plan, trial_days=trial_days)


def test_the_trial_that_was_had_stays_had() -> None:
    world = World()
    customer = world.customer(email=CANARY)
    sub = world.subscribe(customer, "starter")
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    erase(world, customer)
    assert [claim.kind for claim in world.parts.store.records(Claim)] == [EMAIL]
    with pytest.raises(ValidationError, match="had a trial"):
        world.subscribe(world.customer(email=CANARY), "starter", trial_days=14)


def test_the_feed_names_nobody() -> None:
    world = World()
    customer = left(world)
    erase(world, customer)
    feed.append(world.parts.ops, world.env, world.parts.store.records(JournalEntry))
    told = repr(feed.read_events(world.parts.ops, world.env, limit=100))
    assert "customer.erased" in told
    assert CANARY not in told
