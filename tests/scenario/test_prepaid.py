"""Prepaid credits told as stories: given and bought, drawn by usage, expired, topped up, and owed until then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.application import collection, credit_grants, voiding
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.credit_grants import Wanted, buy_credits, give_credits, settle_credits
from chalicelib.application.dunning import mark_uncollectible
from chalicelib.application.usage import usage_of
from chalicelib.application.usage_invoices import bill_usage
from chalicelib.domain.credit_grant import TopUp
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.prepaid import balance_of
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.test_usage_billing import amounts
from tests.scenario.test_usage_invoices import CATALOG, bought, use
from tests.scenario.world import World, assert_books


@pytest.fixture
def world() -> World:
    world = World(start="2024-02-01")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


@pytest.fixture
def sub(world: World) -> Subscription:
    return bought(world)


def give(world: World, sub: Subscription, amount: int, **more: object) -> str:
    wanted = Wanted(amount=amount, currency="USD", **more)
    return give_credits(world.ctx(), sub.customer_id, wanted).id


def buy(world: World, sub: Subscription, amount: int, price: int) -> str:
    wanted = Wanted(amount=amount, currency="USD")
    return buy_credits(world.ctx(), sub.id, wanted, price=price).id


def balance(world: World, sub: Subscription) -> int:
    return balance_of(world.account(sub.customer_id), "USD", world.now)


def assert_owed(world: World) -> None:
    """What was paid for and not drawn is owed, to the cent."""
    people = {invoice.customer_id for invoice in world.everything(Invoice)}
    accounts = [world.account(each) for each in people]
    owed = sum(grant.deferred for account in accounts for grant in account.grants)
    owed += sum(credit.amount for account in accounts for credit in account.credits)
    assert -world.ledger().get(LedgerAccount.CUSTOMER_CREDIT, 0) == owed
    assert_books(world)


def test_usage_is_taken_from_them_and_the_fee_is_not(world: World, sub: Subscription) -> None:
    give(world, sub, 700)
    use(world, sub, 400)
    world.advance(days=31)
    invoice = world.invoices(sub)[-1]
    assert [(line.amount, line.discount) for line in invoice.lines] == [(800, 700), (2900, 0)]
    assert (invoice.total, balance(world, sub)) == (3000, 0)
    assert world.facts().count("credits.depleted") == 1
    amounts(world, sub)
    assert_owed(world)


def test_the_lowest_priority_first_then_what_expires_first(world: World, sub: Subscription) -> None:
    last = give(world, sub, 100, priority=5, expires_at=world.now + timedelta(days=40))
    third = give(world, sub, 100)
    second = give(world, sub, 100, expires_at=world.now + timedelta(days=90))
    first = give(world, sub, 100, expires_at=world.now + timedelta(days=50))
    use(world, sub, 175)
    world.advance(days=30)
    assert [use.grant_id for use in world.invoices(sub)[-1].credits_used] == [first, second, third, last]
    assert balance(world, sub) == 50


def test_bought_ones_are_revenue_when_they_are_drawn(world: World, sub: Subscription) -> None:
    before = world.ledger()[LedgerAccount.REVENUE]
    buy(world, sub, 10_000, 9001)
    assert world.ledger()[LedgerAccount.REVENUE] == before
    assert_owed(world)
    use(world, sub, 1500)
    world.advance(days=1)
    assert world.invoices(sub)[-1].total == 0
    assert world.ledger()[LedgerAccount.REVENUE] == before - 2700
    use(world, sub, 3500)
    world.advance(days=1)
    assert world.ledger()[LedgerAccount.REVENUE] == before - 9001
    assert_owed(world)


def test_what_expires_is_written_off(world: World, sub: Subscription) -> None:
    wanted = Wanted(amount=1000, currency="USD", expires_at=world.now + timedelta(days=10))
    buy_credits(world.ctx(), sub.id, wanted, price=1000)
    give(world, sub, 50, expires_at=world.now + timedelta(days=10))
    world.facts()
    world.advance(days=11, expect=["credits.expired", "credits.expired"])
    assert (balance(world, sub), world.account(sub.customer_id).grants) == (0, ())
    assert world.ledger().get(LedgerAccount.CUSTOMER_CREDIT, 0) == 0
    assert_owed(world)


def test_declined_they_wait_and_are_there_once_paid(world: World, sub: Subscription) -> None:
    world.card(sub.customer_id, "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentDeclinedError):
        buy(world, sub, 1000, 1000)
    use(world, sub, 100)
    assert balance(world, sub) == 0
    assert_owed(world)
    world.card(sub.customer_id, "pm_card_visa")
    collection.begin_and_collect(world.ctx(), world.invoices(sub)[-1].id)
    assert balance(world, sub) == 1000
    assert_owed(world)


def test_given_up_they_never_come(world: World, sub: Subscription) -> None:
    world.card(sub.customer_id, "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentDeclinedError):
        buy(world, sub, 1000, 1000)
    mark_uncollectible(world.ctx(), world.invoices(sub)[-1].id)
    world.advance(days=2)
    assert (balance(world, sub), world.account(sub.customer_id).grants) == (0, ())
    assert_owed(world)


def test_void_the_credits_are_there_again(world: World, sub: Subscription) -> None:
    give(world, sub, 300)
    buy(world, sub, 100, 100)
    world.card(sub.customer_id, "pm_card_chargeCustomerFail")
    use(world, sub, 600)
    world.advance(minutes=5)
    invoice = world.invoices(sub)[-1]
    assert (invoice.total, balance(world, sub)) == (800, 0)
    voiding.void_invoice(world.ctx(), invoice.id)
    assert balance(world, sub) == 400
    assert_owed(world)


class TestTopUp:
    def set_up(self, world: World, sub: Subscription, most: int = 2) -> None:
        top_up = TopUp(
            currency="USD", below=500, amount=1000, price=900, subscription_id=sub.id, most_per_month=most
        )
        credit_grants.set_top_up(world.ctx(), sub.customer_id, top_up)

    def test_below_its_mark_it_is_bought_once_and_at_most_so_often(
        self, world: World, sub: Subscription
    ) -> None:
        self.set_up(world, sub)
        give(world, sub, 1200)
        for left in (1200, 1200, 200, 0):
            use(world, sub, 500)
            world.advance(minutes=5)
            left = 1200 if left == 1200 else left
            assert balance(world, sub) == left
        assert [i.total for i in world.invoices(sub) if i.cause.kind == "one_off"] == [900, 900]
        world.advance(days=29)
        use(world, sub, 500)
        world.advance(minutes=5)
        assert_owed(world)

    def test_killed_anywhere_it_is_bought_once(self) -> None:
        def prepare(world: World) -> str:
            publish_catalog(world.ctx(), CATALOG, expected=1)
            sub = bought(world)
            self.set_up(world, sub)
            give(world, sub, 1200)
            use(world, sub, 500)
            (usage,) = usage_of(world.ctx(), sub.id)
            bill_usage(world.ctx(), usage.id)
            assert balance(world, sub) == 200
            return sub.customer_id

        def act(world: World, subject: str) -> None:
            settle_credits(world.ctx(), subject)

        for world in every_step(prepare, act, lambda w, _: w.advance(days=2) and None):
            (sub,) = world.parts.store.records(Subscription)
            assert balance(world, sub) == 1200
            assert [i.total for i in world.invoices(sub) if i.cause.kind == "one_off"] == [900]
            assert_owed(world)

    def test_a_decline_buys_nothing_more(self, world: World, sub: Subscription) -> None:
        self.set_up(world, sub, most=9)
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        give(world, sub, 1200)
        for _ in range(3):
            use(world, sub, 500)
            world.advance(minutes=5)
        assert len([i for i in world.invoices(sub) if i.cause.kind == "one_off"]) == 1


def test_a_purchase_killed_anywhere_and_repeated_is_one() -> None:
    def prepare(world: World) -> str:
        publish_catalog(world.ctx(), CATALOG, expected=1)
        return bought(world).id

    def act(world: World, subject: str) -> None:
        buy_credits(world.ctx("once"), subject, Wanted(amount=1000, currency="USD"), price=900)

    for world in every_step(prepare, act, act):
        (sub,) = world.parts.store.records(Subscription)
        assert balance(world, sub) == 1000
        assert len(world.parts.gateway.charges()) == 2
        assert_owed(world)


def test_drawn_at_once_never_more_than_there_is(world: World) -> None:
    """Four subscriptions of one customer bill their usage at the same time."""
    customer = world.customer(card="pm_card_visa")
    subs = [world.subscribe(customer, "plain") for _ in range(4)]
    give(world, subs[0], 2500)
    for each in subs:
        use(world, each, 500, to=each)
    names = [usage_of(world.ctx(), each.id)[0].id for each in subs]

    def bill(name: str) -> None:
        with suppress(Exception):
            bill_usage(world.ctx(), name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bill, names))
    world.advance(minutes=5)
    invoices = [i for i in world.invoices(customer) if i.cause.kind == "usage"]
    assert len(invoices) == 4
    assert sum(use.amount for i in invoices for use in i.credits_used) == 2500
    assert sum(i.total for i in invoices) == 4 * 1000 - 2500
    assert world.facts().count("credits.depleted") == 1
    assert_owed(world)


def test_the_books_see_credits_that_were_lost(world: World, sub: Subscription) -> None:
    """The check itself can fail."""
    buy(world, sub, 1000, 1000)
    account = world.account(sub.customer_id)
    world.edit(account, grants=(replace(account.grants[0], deferred=1),))
    with pytest.raises(AssertionError):
        assert_owed(world)
