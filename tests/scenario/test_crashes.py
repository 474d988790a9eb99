"""Kill the process before and after every write and every call to the processor; run again; count the money."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application import subscriptions
from chalicelib.application.context import Context
from chalicelib.application.dunning import run_dunning
from chalicelib.application.renewals import renew_subscription
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.world import ENV, World, assert_books


class Killed(BaseException):
    """The process died here: nothing catches it on the way."""


class Trap:
    """Lets `steps` boundaries pass and dies at the next one; boundaries are commits and processor calls."""

    def __init__(self, world: World) -> None:
        self.passed = 0
        self.dies_at: int | None = None
        world.parts.store.before_commit = lambda env, records: self.boundary()
        world.parts.store.after_commit = lambda env, records: self.boundary()
        world.parts.gateway = _Watched(world.parts.gateway, self)

    def arm(self, step: int) -> None:
        self.passed, self.dies_at = 0, step

    def disarm(self) -> int:
        passed, self.dies_at = self.passed, None
        return passed

    def boundary(self) -> None:
        if self.dies_at is not None:
            self.passed += 1
            if self.passed == self.dies_at:
                raise Killed


class _Watched:
    def __init__(self, gateway: MemoryGateway, trap: Trap) -> None:
        self._gateway, self._trap = gateway, trap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)
        if name not in (
            "charge",
            "find_charge",
            "ensure_customer",
            "attach_method",
            "cancel_charge",
            "confirm_charge",
            "refund",
            "refunds_of",
            "disputes",
        ):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._trap.boundary()
            answer = found(*args, **kwargs)
            self._trap.boundary()
            return answer

        return call


Story = Callable[[World, str], None]


def every_step(
    prepare: Callable[[World], str], act: Story, repair: Story, *, env: str = ENV
) -> Iterator[World]:
    """Worlds in which `act` died at step 1, 2, 3 … and was run again, until one runs through unharmed."""
    for step in range(1, 200):
        world = World(start="2026-03-31T12:00:00+00:00", env=env)
        subject = prepare(world)
        trap = Trap(world)
        trap.arm(step)
        died = True
        with suppress(Killed):
            act(world, subject)
            died = False
        trap.disarm()
        repair(world, subject)
        yield world
        if not died:
            assert step > 4, "the trap caught nothing: the test proves nothing"
            return
    raise AssertionError("never ran through")


def paid_starter(world: World) -> str:
    return world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0).id


def at_the_renewal(world: World) -> Context:
    return world.ctx().at(world.now.replace(month=4, day=30))


def test_a_renewal_killed_anywhere_charges_once() -> None:
    def finish(world: World, subject: str) -> None:
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(paid_starter, lambda w, s: renew_subscription(at_the_renewal(w), s), finish):
        invoices = world.invoices(world.parts.store.records(Subscription)[0])
        assert [invoice.status for invoice in invoices] == ["paid", "paid"]
        assert len(world.parts.gateway.charges(invoices[1].id)) == 1
        assert world.parts.gateway.totals("USD") == sum(invoice.total for invoice in invoices)
        assert_books(world)


def test_the_renewal_itself_run_again_charges_once() -> None:
    """The message is delivered again instead: the same use case, five times over."""

    def again(world: World, subject: str) -> None:
        for _ in range(5):
            renew_subscription(at_the_renewal(world), subject)
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(paid_starter, lambda w, s: renew_subscription(at_the_renewal(w), s), again):
        charges = world.parts.gateway.charges()
        assert len(charges) == 2
        assert len({charge.request.invoice_id for charge in charges}) == 2
        assert_books(world)


def test_a_creation_killed_anywhere_and_repeated_is_one_subscription_and_one_charge() -> None:
    def create(world: World, customer: str) -> None:
        world.subscribe(customer, "starter", trial_days=0, request="the-one-request")

    for world in every_step(lambda world: world.customer("pm_card_visa"), create, create):
        (sub,) = world.parts.store.records(Subscription)
        assert sub.status is Status.ACTIVE
        assert len(world.parts.gateway.charges()) == 1
        assert_books(world)


def test_a_dunning_step_killed_anywhere_tries_once_a_day() -> None:
    def declining(world: World) -> str:
        subscription_id = paid_starter(world)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "generic_decline")
        world.advance(to="2026-04-30T12:00:00+00:00")
        return subscription_id

    def second_try(world: World, subject: str) -> None:
        run_dunning(world.ctx().at(world.now.replace(month=5, day=2)), subject)

    def finish(world: World, subject: str) -> None:
        world.advance(to="2026-05-02T12:00:00+00:00")

    for world in every_step(declining, second_try, finish):
        (sub,) = world.parts.store.records(Subscription)
        attempts = world.invoices(sub)[-1].attempts
        assert [attempt.at.day for attempt in attempts] == [30, 2]
        assert world.facts().count("payment.failed") == 2
        assert sub.dunning is not None
        assert sub.dunning.step == 2


def test_a_reactivation_killed_anywhere_charges_once() -> None:
    def canceled(world: World) -> str:
        subscription_id = paid_starter(world)
        subscriptions.cancel_subscription(world.ctx(), subscription_id, at_period_end=False, reason="")
        world.advance(days=3)
        return subscription_id

    def reactivate(world: World, subject: str) -> None:
        subscriptions.reactivate_subscription(world.ctx(), subject)

    def again(world: World, subject: str) -> None:
        with suppress(Exception):
            reactivate(world, subject)
        world.advance(hours=1)

    for world in every_step(canceled, reactivate, again):
        (sub,) = world.parts.store.records(Subscription)
        assert sub.status is Status.ACTIVE
        assert len(world.parts.gateway.charges()) == 2
        assert_books(world)


@pytest.mark.parametrize("fault", ["lost_after_charge", "lost_before_charge", "unavailable"])
def test_a_creation_whose_charge_has_no_answer_is_finished_by_the_same_request(fault: str) -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    world.parts.gateway.script([fault])
    with suppress(Exception):
        world.subscribe(customer, "starter", trial_days=0, request="once")
    world.machine += timedelta(minutes=6)
    sub = world.subscribe(customer, "starter", trial_days=0, request="once")
    assert sub.status is Status.ACTIVE
    assert len(world.parts.gateway.charges()) == 1
