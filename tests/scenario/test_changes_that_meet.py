"""Changes that meet something else: another change, a cancellation, a renewal, arrears, a dispute, a trial's end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.application import changes, collection, pauses, subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.change_payments import give_up_if_declined
from chalicelib.application.previews import commit_previewed, preview
from chalicelib.application.upcoming import upcoming_invoice
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.errors import DomainError, InvalidStateError, PaymentDeclinedError, PaymentPendingError
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_changes import CATALOG, YEAR, amounts, bought, change, plan, price
from tests.scenario.test_coupons import assert_counted, offer
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World, assert_books

ASKS = "pm_card_authenticationRequired"
DEBIT = "pm_debit_processing"


@pytest.fixture
def world() -> World:
    world = World(start="2024-03-05T12:12:00+00:00")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def waiting(world: World, card: str, sub: Subscription | None = None, **order: Any) -> Subscription:
    """A subscription whose change waits for its payment."""
    sub = sub or bought(world)
    world.card(sub.customer_id, card)
    with suppress(PaymentDeclinedError, PaymentPendingError):
        change(world, sub, **(order or {"plan": "middle"}))
    sub = world.reload(sub)
    assert sub.pending is not None
    assert sub.pending.invoice_id is not None
    world.facts()
    return sub


def statuses(world: World, sub: Subscription) -> list[str]:
    return [str(invoice.status) for invoice in world.invoices(sub)]


def reference(world: World, sub: Subscription) -> str:
    """The processor's reference of the latest payment."""
    found = world.invoices(sub)[-1].attempts[-1].reference
    assert found is not None
    return found


def booked(world: World, sub: Subscription) -> None:
    """The processor's bank: the debit arrives, and the worker looks."""
    world.parts.gateway.settle(reference(world, sub))
    collection.collect_due(world.ctx(now=world.now + timedelta(days=4)), world.invoices(sub)[-1].id)


class TestAnotherChange:
    @pytest.mark.parametrize("card", [ASKS, DEBIT])
    def test_one_that_waits_is_not_overtaken(self, world: World, card: str) -> None:
        sub = waiting(world, card)
        with pytest.raises(InvalidStateError, match="another change"):
            change(world, sub, plan="large")
        with pytest.raises(InvalidStateError, match="another change"):
            change(world, sub, plan="free")
        assert world.reload(sub).pending == sub.pending

    def test_one_that_was_declined_and_killed_before_its_end_is_out_of_the_way(self, world: World) -> None:
        sub = waiting(world, ASKS)
        invoice, owner = collection.load(world.ctx(), world.invoices(sub)[-1].id)
        gone = world.parts.gateway.cancel_charge(
            collection.charge_request(world.ctx(), invoice, invoice.attempts[-1])
        )
        collection.settle(world.ctx(), invoice, owner, gone)
        world.card(sub.customer_id, "pm_card_visa")
        give_up_if_declined(world.ctx(), sub.id)
        assert change(world, sub, plan="large").plan.product == "large"
        assert statuses(world, sub) == ["paid", "void", "paid"]


class TestACancellation:
    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_what_waits_for_its_customer_is_given_up(self, world: World, at_period_end: bool) -> None:
        sub = waiting(world, ASKS, interval=YEAR)
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=at_period_end, reason="")
        assert statuses(world, sub) == ["paid", "void"]
        assert world.reload(sub).pending is None
        assert_books(world)
        world.advance(days=40)
        assert str(world.reload(sub).status) == "canceled"
        assert world.parts.gateway.totals("USD") == 1000

    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_a_debit_that_still_arrives_goes_back(self, world: World, at_period_end: bool) -> None:
        sub = waiting(world, DEBIT)
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=at_period_end, reason="")
        assert statuses(world, sub) == ["paid", "void"]
        invoice, owner = collection.load(world.ctx(), world.invoices(sub)[-1].id)
        world.parts.gateway.settle(reference(world, sub))
        found = world.parts.gateway.find_charge(
            collection.charge_request(world.ctx(), invoice, invoice.attempts[-1])
        )
        assert found is not None
        collection.settle(world.ctx(), invoice, owner, found)
        gateway = world.parts.gateway
        assert gateway.totals("USD") - gateway.refunded("USD") == 1000
        assert_books(world)

    def test_killed_anywhere_it_ends_with_one_void_invoice(self) -> None:
        def prepare(world: World) -> str:
            publish_catalog(world.ctx(), CATALOG, expected=1)
            return waiting(world, ASKS).id

        def cancel(world: World, sub: str) -> None:
            with suppress(DomainError):
                subscriptions.cancel_subscription(world.ctx("once"), sub, at_period_end=False, reason="")

        for world in every_step(prepare, cancel, cancel):
            (sub,) = world.parts.store.records(Subscription)
            assert (str(sub.status), sub.pending) == ("canceled", None)
            assert statuses(world, sub) == ["paid", "void"]
            assert_books(world)

    def test_whoever_leaves_is_not_moved_before(self, world: World) -> None:
        sub = bought(world)
        change(world, sub, interval=YEAR, at=world.now + timedelta(days=7))
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="")
        world.facts()
        world.advance(days=10, expect=["subscription.change_revoked"])
        assert amounts(world, sub) == [[1000]]

    def test_who_comes_back_is_credited_from_the_new_period(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=7)
        change(world, sub, plan="middle")
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        world.advance(days=60)
        sub = subscriptions.reactivate_subscription(world.ctx(), sub.id)
        change(world, sub, plan="large")
        assert amounts(world, sub)[-1] == [-1500, 1900]


class TestTheEndOfThePeriod:
    def test_a_year_that_is_being_debited_is_not_preceded_by_a_month(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=29)
        waiting(world, DEBIT, sub, interval=YEAR)
        world.advance(days=5)
        assert statuses(world, sub) == ["paid", "open"], "no renewal while nobody knows"
        booked(world, sub)
        sub = world.reload(sub)
        assert (sub.interval, sub.pending, statuses(world, sub)) == (YEAR, None, ["paid", "paid"])
        world.advance(days=40)
        assert len(world.invoices(sub)) == 2

    def test_a_debit_that_fails_leaves_the_renewal_where_it_was(self, world: World) -> None:
        sub = bought(world)
        assert sub.period is not None
        world.advance(days=29)
        waiting(world, DEBIT, sub, interval=YEAR)
        world.advance(days=5)
        world.parts.gateway.settle(reference(world, sub), "insufficient_funds")
        world.card(sub.customer_id, "pm_card_visa")
        world.advance(days=4)
        after = world.reload(sub)
        assert after.period is not None
        assert (after.period.start, after.pending) == (sub.period.end, None)
        assert statuses(world, sub) == ["paid", "void", "paid"]

    def test_a_dearer_plan_that_is_being_debited_is_what_the_next_period_costs(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=25)
        waiting(world, DEBIT, sub)
        world.advance(days=8)
        booked(world, sub)
        world.card(sub.customer_id, "pm_card_visa")
        world.advance(days=2)
        assert amounts(world, sub)[-1] == [1500]


class TestAtItsTime:
    def test_without_a_card_it_is_given_up(self, world: World) -> None:
        sub = bought(world)
        change(world, sub, plan="middle", at=world.now + timedelta(days=7))
        world.edit(world.account(sub.customer_id), payment_method=None)
        advance = world.advance(days=10)
        assert (advance.stuck, world.reload(sub).pending) == ((), None)
        assert (world.reload(sub).plan.product, statuses(world, sub)) == ("small", ["paid", "void"])

    def test_a_dispute_holds_it_until_it_closes(self, world: World) -> None:
        sub = bought(world)
        change(world, sub, plan="middle", at=world.now + timedelta(days=7))
        world.edit(world.account(sub.customer_id), disputes=("dp_1",))
        world.advance(days=10)
        assert statuses(world, sub) == ["paid"]
        world.edit(world.account(sub.customer_id), disputes=())
        world.advance(days=2)
        assert world.reload(sub).plan.product == "middle"

    def test_a_pause_to_come_gives_way_to_arrears(self, world: World) -> None:
        sub = bought(world)
        world.card(sub.customer_id, DEBIT)
        world.advance(days=32)
        pauses.pause_subscription(world.ctx(), sub.id, at_period_end=True)
        world.advance(days=20)
        world.parts.gateway.settle(reference(world, sub), "insufficient_funds")
        advance = world.advance(days=15)
        sub = world.reload(sub)
        assert (advance.stuck, str(sub.status), sub.pending) == ((), "past_due", None)


def test_a_trial_changed_to_a_free_plan_ends_on_it(world: World) -> None:
    sub = _on_trial(world)
    change(world, sub, plan="free")
    advance = world.advance(days=12)
    sub = world.reload(sub)
    assert (advance.stuck, str(sub.status), sub.plan.product) == ((), "active", "free")
    assert world.invoices(sub) == []


def test_what_comes_next_is_told_whatever_comes_before(world: World) -> None:
    trial, planned, behind = _on_trial(world), bought(world), bought(world)
    change(world, planned, plan="middle", at=world.now + timedelta(days=7))
    world.card(behind.customer_id, "pm_card_chargeCustomerFail")
    assert upcoming_invoice(world.ctx(), trial.id).total == 2000
    assert upcoming_invoice(world.ctx(), planned.id).total == 1500
    world.advance(days=32)
    assert str(world.reload(behind).status) == "past_due"
    assert upcoming_invoice(world.ctx(), behind.id).total == 1000
    asks = waiting(world, ASKS)
    assert upcoming_invoice(world.ctx(), asks.id).total == 1000


def test_a_run_that_ends_takes_the_change_with_it(world: World) -> None:
    """The debit of the renewal fails while a change waits for its customer, and the run goes to its end."""
    sub = bought(world)
    world.card(sub.customer_id, DEBIT)
    world.advance(days=31, hours=1)
    renewal = reference(world, sub)
    sub = waiting(world, ASKS, sub)
    due = world.reload(sub).pending
    assert due is not None
    world.edit(world.reload(sub), pending=_much_later(due))
    world.parts.gateway.settle(renewal, "lost_card")
    world.card(sub.customer_id, "pm_card_chargeCustomerFail")
    world.advance(days=30)
    sub = world.reload(sub)
    assert (str(sub.status), sub.pending) == ("canceled", None)
    assert statuses(world, sub) == ["paid", "uncollectible", "void"]
    assert_books(world)


def _much_later(change: Any) -> Any:
    """As one is whose payment could not be called off."""
    return replace(change, at=change.at + timedelta(days=60))


def _on_trial(world: World) -> Subscription:
    tried = plan("tried", 5, price(2000), trial={"days": 10, "on_end": "cancel"})
    document: Any = {**CATALOG, "plans": [*CATALOG["plans"], tried]}
    publish_catalog(world.ctx(), document, expected=2)
    return world.subscribe(world.customer(card="pm_card_visa"), "tried")


class TestWithAToken:
    """What a preview showed, bound, killed between any two steps and asked for again with the same token."""

    ORDER = ChangeOrder(plan="middle")

    def commit(self, world: World, sub: str, token: str) -> Subscription:
        return commit_previewed(
            world.ctx(), "change", token, lambda ctx: changes.change_subscription(ctx, sub, self.ORDER)
        )

    def test_killed_anywhere_it_is_charged_once_as_shown(self) -> None:
        tokens: dict[str, str] = {}

        def prepare(world: World) -> str:
            publish_catalog(world.ctx(), CATALOG, expected=1)
            sub = bought(world).id
            shown = preview(
                world.ctx(), "change", lambda ctx: changes.change_subscription(ctx, sub, self.ORDER)
            )
            tokens[sub] = shown.token
            return sub

        def again(world: World, sub: str) -> None:
            self.commit(world, sub, tokens[sub])

        for world in every_step(prepare, again, again):
            (sub,) = world.parts.store.records(Subscription)
            assert (sub.plan.product, sub.pending) == ("middle", None)
            assert [invoice.amount_paid for invoice in world.invoices(sub)] == [1000, 500]
            assert_books(world)

    def test_a_token_is_good_for_one_change(self, world: World) -> None:
        sub = bought(world)
        shown = preview(
            world.ctx(), "change", lambda ctx: changes.change_subscription(ctx, sub.id, self.ORDER)
        )
        assert self.commit(world, sub.id, shown.token).plan.product == "middle"
        change(world, world.reload(sub), plan="small", at=When.NOW)
        assert self.commit(world, sub.id, shown.token).plan.product == "small"
        assert len(world.invoices(sub)) == 3


@pytest.mark.parametrize("card", ["pm_card_visa", ASKS], ids=["planned", "waiting"])
def test_a_coupon_that_came_with_a_change_goes_back_with_it(world: World, card: str) -> None:
    offer(world, percent="10")
    sub = bought(world)
    world.card(sub.customer_id, card)
    at = world.now + timedelta(days=3) if card == "pm_card_visa" else None
    with suppress(PaymentDeclinedError):
        change(world, sub, plan="middle", coupon="FIVE", at=at)
    assert assert_counted(world) == 1
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    assert assert_counted(world) == 0
    assert_books(world)


def test_a_coupon_of_a_change_that_somebody_leaves_before_goes_back(world: World) -> None:
    offer(world)
    sub = bought(world)
    change(world, sub, plan="middle", coupon="FIVE", at=world.now + timedelta(days=3))
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="")
    world.advance(days=5)
    assert assert_counted(world) == 0
