"""Coupons under crashes and among many: never more than there are, and what is not paid is given back."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.application import changes, coupon_offers, coupons, renewals, subscriptions
from chalicelib.application.records import key_of
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.coupon import SHARDS, CouponCount, CouponUse, share_of
from chalicelib.domain.customer import Credit
from chalicelib.domain.discount import Coupon, Duration
from chalicelib.domain.errors import ConflictError, DomainError, InvalidStateError
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.test_trials import ABUSER, live_world, page, pay
from tests.scenario.world import World, assert_books


def offer(world: World, code: str = "FIVE", **terms: Any) -> None:
    coupon = Coupon(id=code, **({"percent": "50", "max_redemptions": 5} | terms))
    coupon_offers.create_coupon(world.ctx(), coupon)


def assert_counted(world: World, code: str = "FIVE") -> int:
    """The counts agree with who has it, and no share is exceeded; answers how many have it."""
    offered = coupon_offers.get_coupon(world.ctx(), code)
    store = world.parts.store
    holders = [use for use in store.records(CouponUse) if use.coupon == code and use.returned_at is None]
    by_shard = Counter(use.shard for use in holders)
    for count in store.records(CouponCount):
        if count.coupon == code:
            share = share_of(offered.coupon.max_redemptions, count.shard)
            assert count.redeemed == by_shard[count.shard]
            assert share is None or count.redeemed <= share
    assert coupon_offers.times_redeemed(world.ctx(), offered) == len(holders)
    held = [
        sub.customer_id
        for sub in store.records(Subscription)
        for each in (*sub.redemptions, *(sub.pending.adds if sub.pending else ()))
        if each.coupon.id == code
    ]
    assert sorted(use.customer_id for use in holders) == sorted(held)
    return len(holders)


@pytest.mark.parametrize("limit", [1, 5, 8, 9, 1000])
def test_the_shares_are_the_limit(limit):
    shares = [share_of(limit, shard) for shard in range(SHARDS)]
    assert sum(share or 0 for share in shares) == limit
    assert share_of(None, 3) is None


def test_two_hundred_at_once_take_five():
    world = World()
    offer(world)
    subscribed = [world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0) for _ in range(40)]

    def redeem(number: int) -> bool:
        """Everybody five times: who meets another's write is told to repeat it."""
        sub = subscribed[number % len(subscribed)]
        try:
            with suppress(ConflictError):
                return bool(coupons.apply_coupon(world.ctx(), sub.id, "five").redemptions)
        except InvalidStateError:
            return False
        return False

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(redeem, range(200)))
    assert assert_counted(world) == 5


def test_what_is_not_limited_is_counted_too():
    world = World()
    offer(world, "ALL", max_redemptions=None)
    for _ in range(20):
        world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0, coupon="all")
    assert assert_counted(world, "ALL") == 20
    assert len(world.parts.store.records(CouponCount)) > 1


def test_a_creation_killed_anywhere_redeems_once_and_charges_once():
    def prepare(world: World) -> str:
        offer(world, max_redemptions=1)
        return world.customer("pm_card_visa")

    def create(world: World, customer: str) -> None:
        world.subscribe(customer, "starter", trial_days=0, request="the-one-request", coupon="five")

    for world in every_step(prepare, create, create):
        (sub,) = world.parts.store.records(Subscription)
        assert (sub.status, sub.redemptions[0].uses) == (Status.ACTIVE, 1)
        (charge,) = world.parts.gateway.charges()
        assert charge.request.attempt.amount == 950
        assert assert_counted(world) == 1
        assert_books(world)


def test_a_first_payment_declined_is_given_back_wherever_it_or_its_release_dies():
    def prepare(world: World) -> str:
        offer(world, max_redemptions=1)
        return world.customer("pm_card_chargeCustomerFail")

    def create(world: World, customer: str) -> None:
        with suppress(DomainError):
            world.subscribe(customer, "starter", trial_days=0, request="the-one-request", coupon="five")

    def create_and_release(world: World, customer: str) -> None:
        create(world, customer)
        (sub,) = world.parts.store.records(Subscription)
        renewals.release_incomplete(world.ctx(now=world.now + timedelta(hours=24)), sub.id)

    def finish(world: World, customer: str) -> None:
        create(world, customer)
        world.advance(hours=24)

    for world in every_step(prepare, create_and_release, finish):
        (sub,) = world.parts.store.records(Subscription)
        assert (sub.status, sub.redemptions) == (Status.INCOMPLETE_EXPIRED, ())
        assert assert_counted(world) == 0
        assert world.facts().count("coupon.ended") == 1
        assert_books(world)


def test_a_change_declined_is_given_back_wherever_it_dies():
    def prepare(world: World) -> str:
        offer(world, percent="10", max_redemptions=1)
        sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "generic_decline")
        return sub.id

    def change(world: World, subscription_id: str) -> None:
        with suppress(DomainError):
            order = ChangeOrder(plan="pro", coupon="five")
            changes.change_subscription(world.ctx("the-one-request"), subscription_id, order)

    def finish(world: World, subscription_id: str) -> None:
        change(world, subscription_id)
        world.advance(hours=24)

    for world in every_step(prepare, change, finish):
        (sub,) = world.parts.store.records(Subscription)
        assert (sub.plan.product, sub.redemptions, sub.pending) == ("starter", (), None)
        assert assert_counted(world) == 0
        assert_books(world)


def test_a_reactivation_that_is_not_paid_keeps_the_coupon_and_its_periods():
    world = World()
    offer(world, duration=Duration.REPEATING, periods=3)
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0, coupon="five")
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    world.advance(days=3)
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "generic_decline")
    with suppress(DomainError):
        subscriptions.reactivate_subscription(world.ctx(), sub.id)
    assert world.reload(sub).redemptions[0].uses == 2
    world.advance(hours=24)
    after = world.reload(sub)
    assert (after.status, after.redemptions[0].uses) == (Status.CANCELED, 1)
    assert assert_counted(world) == 1


def test_a_renewal_without_coupons_reads_and_writes_none():
    world = World()
    offer(world)
    world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.advance(days=31)
    kinds = {key_of(world.env, record).type for _, record in world.parts.store.committed}
    assert not kinds & {CouponCount, CouponUse}


@pytest.mark.parametrize("credit", [0, 100_000])
def test_a_trial_that_is_refused_on_its_page_gives_it_back(credit):
    """At once where account credit would have paid, else with the first invoice that nobody pays."""
    world = live_world()
    offer(world, max_redemptions=1)
    pay(world, page(world, world.customer()), ABUSER)
    customer = world.customer()
    if credit:
        grant = Credit(amount=credit, currency="USD", at=world.now, source="gift")
        world.edit(world.account(customer), credits=(grant,))
    pay(world, page(world, customer, coupon="five"), ABUSER)
    (refused,) = world.parts.store.children(Subscription, world.env, customer)
    assert refused.status is (Status.INCOMPLETE_EXPIRED if credit else Status.INCOMPLETE)
    assert assert_counted(world) == (0 if credit else 1)
    if not credit:
        renewals.release_incomplete(world.ctx(now=refused.release_at), refused.id)
        assert assert_counted(world) == 0
    assert world.facts().count("coupon.ended") == 1
