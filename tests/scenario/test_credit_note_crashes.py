"""A credit note, and a cancellation that gives unused time back, killed before and after every write and every call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import permutations

import pytest

from chalicelib.application import changes, credit_notes, refunds, subscriptions
from chalicelib.application.subscription_records import get_subscription
from chalicelib.application.unused_time import Unused
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.errors import ConflictError, DomainError, InvalidStateError, ValidationError
from chalicelib.domain.refund import Refund
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_crashes import every_step, paid_starter
from tests.scenario.test_credit_notes import assert_sound
from tests.scenario.test_refund_races import Interrupted
from tests.scenario.world import World

PAID = 1900
Act = Callable[[World, str], None]


def note(world: World, subscription_id: str) -> None:
    invoice = world.invoices(get_subscription(world.ctx(), subscription_id))[0]
    wanted = Wanted(amount=1000, refund=600, credit=400)
    credit_notes.issue_credit_note(world.ctx("the-note"), invoice.id, wanted)


def refund(world: World, subscription_id: str) -> None:
    invoice = world.invoices(get_subscription(world.ctx(), subscription_id))[0]
    refunds.refund_payment(world.ctx("the-refund"), invoice.payments[0].id, amount=700)


def cancel(world: World, subscription_id: str) -> None:
    subscriptions.cancel_subscription(
        world.ctx("the-end"), subscription_id, at_period_end=False, reason="", unused=Unused.REFUND
    )


def change(world: World, subscription_id: str) -> None:
    changes.change_subscription(world.ctx("the-change"), subscription_id, ChangeOrder(plan="pro"))


def later(world: World, subscription_id: str) -> None:
    """Nobody repeats anything: what is on record is finished by its due rows."""
    world.advance(minutes=1)


def gone(world: World) -> int:
    """What has left: money returned, and credit."""
    held = sum(
        credit.amount
        for sub in world.everything(Subscription)
        for credit in world.account(sub.customer_id).credits
    )
    return held + int(world.parts.gateway.refunded("USD"))


def test_killed_and_asked_again_it_is_one_note() -> None:
    for world in every_step(paid_starter, note, note):
        (made,) = world.everything(CreditNote)
        assert (made.total, world.parts.gateway.refunded("USD"), len(world.parts.gateway.refunds)) == (
            1000,
            600,
            1,
        )
        assert gone(world) == 1000
        assert_sound(world)


def test_killed_and_not_asked_again_what_was_written_down_is_finished() -> None:
    for world in every_step(paid_starter, note, later):
        made = world.everything(CreditNote)
        assert gone(world) == 1000 * len(made)
        assert_sound(world)


def test_a_cancellation_killed_anywhere_gives_unused_time_back_once() -> None:
    for world in every_step(paid_starter, cancel, later):
        made = world.everything(CreditNote)
        (sub,) = world.everything(Subscription)
        assert len(made) == (not sub.is_running)
        assert gone(world) == sum(each.total for each in made)
        assert not [each for each in world.everything(Refund) if each.is_open]
        assert_sound(world)


@pytest.mark.parametrize("act", [note, refund, cancel, change], ids=lambda act: act.__name__)
def test_in_any_interleaving_no_more_comes_back_than_was_paid(act: Act) -> None:
    """One is interrupted at each of its boundaries by the others, whole and in several orders."""
    others = [each for each in (note, refund, cancel, change) if each is not act]
    ends = set()
    for order in tuple(permutations(others))[::2]:
        for at in range(1, 40):
            world, reached = interrupted(act, order, at)
            ends.add(assert_documented(world))
            if not reached:
                assert at > 2, "nothing was interrupted: the test proves nothing"
                break
    assert len(ends) >= 2, "the order did not matter: the test proves nothing"


def interrupted(act: Act, others: tuple[Act, ...], at: int) -> tuple[World, bool]:
    world = World(start="2026-03-01T12:00:00+00:00")
    subscription_id = paid_starter(world)

    def refused(one: Act) -> None:
        with suppress(InvalidStateError, ValidationError, ConflictError):
            one(world, subscription_id)

    def the_others() -> None:
        for other in others:
            refused(other)

    trap = Interrupted(world, at, the_others)
    with suppress(DomainError):
        act(world, subscription_id)
    reached, trap.reached = trap.reached, True
    if not reached:
        the_others()
    world.advance(days=1)
    return world, reached


def take_everything(world: World) -> None:
    """Whatever can still be credited and refunded by hand."""
    for sub in world.everything(Subscription):
        for invoice in reversed(world.invoices(sub)):
            with suppress(InvalidStateError):
                credit_notes.issue_credit_note(world.ctx(), invoice.id, Wanted())
            for payment in invoice.payments:
                with suppress(InvalidStateError):
                    refunds.refund_payment(world.ctx(), payment.id)


def assert_documented(world: World) -> tuple[int, ...]:
    """Nobody got more than was paid, each note and refund happened once, and what is left is explained by lines."""
    assert_sound(world)
    (sub,) = world.everything(Subscription)
    invoices = world.invoices(sub)
    paid = world.parts.gateway.totals("USD")  # with what came too late, and went back
    assert not sub.is_running
    assert gone(world) <= paid
    assert not [each for each in world.everything(Refund) if each.is_open]
    assert len(world.parts.gateway.refunds) == len(world.everything(Refund))
    for invoice in invoices:
        for line in invoice.line_credits:
            billed = next(each for each in invoice.lines if each.id == line.line_id)
            assert 0 <= line.total <= billed.total
    take_everything(world)
    assert_sound(world)
    assert gone(world) <= paid
    notes = world.everything(CreditNote)
    assert sorted(each.sequence for each in notes) == list(range(1, len(notes) + 1))
    return tuple(sorted(each.total for each in notes))
