"""A refund killed before and after every write and every call to the processor, and run again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from chalicelib.application import payments, refunds
from chalicelib.application.notices import apply_notice
from chalicelib.domain.customer import Account
from chalicelib.domain.errors import DomainError
from chalicelib.domain.journal import PROCESSOR
from chalicelib.domain.payment import Payment
from chalicelib.domain.refund import Refund
from tests.scenario.test_crashes import every_step, paid_starter
from tests.scenario.world import World, assert_books


def paid(world: World) -> str:
    paid_starter(world)
    return the_payment(world).id


def the_payment(world: World) -> Payment:
    (account,) = world.parts.store.records(Account)
    return world.invoices(account.customer_id)[0].payments[0]


def ask(world: World, payment_id: str) -> None:
    refunds.refund_payment(world.ctx("the-one-request"), payment_id, amount=500)


def hear(world: World, *kinds: str) -> None:
    for notice in world.parts.gateway.notices:
        if notice.kind in kinds:
            apply_notice(replace(world.ctx(), actor=PROCESSOR), notice)


def later(world: World, payment_id: str) -> None:
    """Nobody repeats anything: what is on record is finished by its due row."""
    world.advance(minutes=1)


def assert_given_back(world: World, amount: int, *, times: int = 1) -> None:
    payment = the_payment(world)
    assert (payment.refunded, payment.refunding) == (amount, 0)
    assert world.parts.gateway.refunded("USD") == amount
    assert world.facts().count("payment.refunded") == times
    assert_books(world)


def test_killed_and_asked_again_it_is_one_refund() -> None:
    for world in every_step(paid, ask, ask):
        assert len(world.parts.gateway.refunds) == 1
        assert_given_back(world, 500)


def test_killed_and_not_asked_again_it_is_made_once_if_it_was_written_down() -> None:
    for world in every_step(paid, ask, later):
        made = world.parts.store.records(Refund)
        assert len(world.parts.gateway.refunds) == len(made)
        assert_given_back(world, 500 * len(made), times=len(made))


def test_killed_while_an_unknown_outcome_is_cleared_up() -> None:
    def unknown(world: World) -> str:
        payment_id = paid(world)
        world.parts.gateway.script(["lost_after_charge"], on="refund")
        world.parts.gateway.script(["unavailable"], on="refunds_of")
        with suppress(DomainError):
            ask(world, payment_id)
        world.machine += timedelta(hours=25)
        world.parts.gateway.expire_keys()
        return world.parts.store.records(Refund)[0].id

    def look(world: World, refund_id: str) -> None:
        refunds.finish_refund(world.ctx(), refund_id)

    for world in every_step(unknown, look, look):
        assert len(world.parts.gateway.refunds) == 1
        assert_given_back(world, 500)


def test_killed_while_one_without_a_trace_is_begun_anew() -> None:
    def lost(world: World) -> str:
        payment_id = paid(world)
        world.parts.gateway.script(["lost_before_charge"], on="refund")
        ask(world, payment_id)
        world.machine += timedelta(hours=25)
        return world.parts.store.records(Refund)[0].id

    def look(world: World, refund_id: str) -> None:
        refunds.finish_refund(world.ctx(), refund_id)

    for world in every_step(lost, look, look):
        assert len(world.parts.gateway.refunds) == 1
        assert_given_back(world, 500)


def test_killed_while_one_of_the_dashboard_is_taken_in_and_told_again() -> None:
    def refunded(world: World) -> str:
        payment_id = paid(world)
        world.parts.gateway.refund_in_dashboard("pi_mem_1", 700)
        return payment_id

    def told(world: World, payment_id: str) -> None:
        hear(world, "charge.refunded")

    for world in every_step(refunded, told, told):
        assert len(world.parts.store.records(Refund)) == 1
        assert_given_back(world, 700)


def test_killed_while_a_failure_is_booked_back_and_told_again() -> None:
    def failed(world: World) -> str:
        payment_id = paid(world)
        ask(world, payment_id)
        world.parts.gateway.settle_refund("re_mem_1", "failed")
        return payment_id

    def told(world: World, payment_id: str) -> None:
        hear(world, "refund.failed")

    for world in every_step(failed, told, told):
        assert_given_back(world, 0)


def test_money_that_came_late_goes_back_once_wherever_it_is_killed() -> None:
    def late(world: World) -> str:
        subscription_id = paid_starter(world)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "generic_decline")
        world.advance(to="2026-04-30T12:00:00+00:00")
        world.parts.gateway.settle("pi_mem_2")
        return subscription_id

    def told(world: World, subscription_id: str) -> None:
        hear(world, "payment_intent.succeeded")

    for repair in (told, later):
        for world in every_step(late, told, repair):
            noted = world.parts.store.records(Payment)
            assert [(each.refunded, each.refunding) for each in noted] == [(1900, 0)] * len(noted)
            assert world.parts.gateway.refunded("USD") == 1900 * len(noted)
            assert len(noted) == 1 or repair is later
            assert_books(world)


def test_a_refund_by_hand_out_of_credit_is_one_transaction() -> None:
    def paid_over(world: World) -> str:
        return payments.record_payment(
            world.ctx(), world.customer(), amount=900, currency="USD", kind="transfer", reference=None,
            allocations=[],
        ).id  # fmt: skip

    def by_hand(world: World, payment_id: str) -> None:
        refunds.refund_payment(world.ctx("the-one-request"), payment_id, amount=400)

    for step in ("before_commit", "after_commit"):
        world = World()
        payment_id = paid_over(world)

        def die(env: str, records: object, world: World = world, step: str = step) -> None:
            setattr(world.parts.store, step, None)
            raise KeyboardInterrupt

        setattr(world.parts.store, step, die)
        with suppress(KeyboardInterrupt):
            by_hand(world, payment_id)
        by_hand(world, payment_id)
        (payment,) = world.parts.store.records(Payment)
        assert (payment.refunded, len(world.parts.store.records(Refund))) == (400, 1)
        assert [credit.amount for credit in world.account(payment.customer_id).credits] == [500]
