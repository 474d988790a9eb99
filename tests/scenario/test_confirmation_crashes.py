"""Kill the process at every step of a payment that waits for its customer; run again; count the money."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from chalicelib.application import confirmation, dunning, payment_methods
from chalicelib.application.confirmation import Link
from chalicelib.application.dunning import run_dunning
from chalicelib.application.notices import apply_notice
from chalicelib.application.renewals import renew_subscription
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Outcome
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.test_confirmation import read
from tests.scenario.test_crashes import at_the_renewal, every_step, paid_starter
from tests.scenario.world import World, assert_books

LAST_DAY = "2026-05-21T12:00:00+00:00"


def waiting(world: World) -> str:
    """A subscription whose renewal of 30 April waits for its customer."""
    subscription_id = paid_starter(world)
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "authentication_required")
    world.advance(to="2026-04-30T12:00:00+00:00")
    world.facts()
    return subscription_id


def only(world: World) -> tuple[Subscription, Invoice]:
    (sub,) = world.parts.store.records(Subscription)
    return sub, world.invoices(sub)[-1]


def link(world: World) -> Link:
    url = confirmation.link_of(world.ctx(), only(world)[1])
    assert url is not None
    return read(url)


def on_the_last_day(world: World, subscription_id: str) -> None:
    run_dunning(world.ctx().at(datetime.fromisoformat(LAST_DAY)), subscription_id)


def assert_one_can_pay(world: World) -> None:
    """Of all the payments of the invoice one has brought the money, and no other can bring any."""
    _, invoice = only(world)
    payments = [p for p in world.parts.gateway.payments.values() if p.request.invoice_id == invoice.id]
    paid = [p for p in payments if p.result.outcome is Outcome.SUCCEEDED]
    assert len(paid) == (1 if invoice.status == "paid" else 0)
    links = {attempt.reference for attempt in invoice.attempts if attempt.is_open}
    open_ones = {p.reference for p in payments if p.result.outcome is Outcome.REQUIRES_ACTION}
    assert open_ones <= links or len(open_ones) == 1
    assert_books(world)


def test_a_payment_that_comes_to_wait_is_written_down_once() -> None:
    def prepare(world: World) -> str:
        subscription_id = paid_starter(world)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "authentication_required")
        world.facts()
        return subscription_id

    def finish(world: World, subject: str) -> None:
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(prepare, lambda w, s: renew_subscription(at_the_renewal(w), s), finish):
        assert world.facts().count("payment.action_required") == 1
        sub, invoice = only(world)
        assert (sub.status, len(invoice.attempts)) == (Status.PAST_DUE, 1)
        assert world.parts.gateway.calls["cancel_charge"] == 0
        assert_one_can_pay(world)


@pytest.mark.parametrize("told", ["return", "webhook", "clock"])
def test_confirming_and_settling_killed_anywhere_is_paid_once(told: str) -> None:
    def act(world: World, subject: str) -> None:
        found = link(world)
        if confirmation.confirm(world.ctx(), found) is not None:
            reference = only(world)[1].attempts[-1].reference
            world.parts.gateway.authenticate(reference)
        settle(world, found)

    def settle(world: World, found: Link) -> None:
        if told == "return":
            confirmation.look_up(world.ctx(), found)
        elif told == "webhook":
            for notice in world.parts.gateway.notices:
                apply_notice(world.ctx(), notice)
        else:
            on_the_last_day(world, only(world)[0].id)

    def repair(world: World, subject: str) -> None:
        if only(world)[1].attempts[-1].awaits_customer:
            act(world, subject)

    for world in every_step(waiting, act, repair):
        sub, invoice = only(world)
        assert (sub.status, invoice.status) == (Status.ACTIVE, "paid")
        assert [fact for fact in world.facts() if fact.startswith("payment.")] == ["payment.succeeded"]
        assert len(invoice.attempts) == 1
        assert_one_can_pay(world)


def test_the_last_day_killed_anywhere_ends_the_run_once() -> None:
    def finish(world: World, subject: str) -> None:
        world.advance(to=LAST_DAY)

    for world in every_step(waiting, on_the_last_day, finish):
        sub, invoice = only(world)
        assert (sub.status, invoice.status) == (Status.CANCELED, "uncollectible")
        assert [each.status for each in invoice.attempts] == ["canceled", "declined"]
        assert world.facts() == [
            "payment.canceled", "payment.failed", "subscription.canceled", "invoice.uncollectible",
        ]  # fmt: skip
        assert_one_can_pay(world)


def test_the_last_day_while_the_customer_confirms_is_paid_once() -> None:
    """They have confirmed, nobody has told us, and the run's last day cancels what can no longer be cancelled."""

    def confirmed(world: World) -> str:
        subject = waiting(world)
        confirmation.confirm(world.ctx(), link(world))
        world.parts.gateway.authenticate(only(world)[1].attempts[-1].reference)
        return subject

    def finish(world: World, subject: str) -> None:
        world.advance(to=LAST_DAY)

    for world in every_step(confirmed, on_the_last_day, finish):
        assert only(world)[1].status == "paid"
        assert world.parts.gateway.calls["charge"] == 2
        assert_one_can_pay(world)


def test_a_new_card_killed_anywhere_is_charged_once_and_the_old_payment_is_dead() -> None:
    def act(world: World, subject: str) -> None:
        sub, _ = only(world)
        account = world.account(sub.customer_id)
        assert account.payment_method is not None
        if "visa2" not in account.payment_method.id:
            payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_visa2")
        dunning.try_new_method(world.ctx(), sub.customer_id)

    def repair(world: World, subject: str) -> None:
        act(world, subject)
        for notice in world.parts.gateway.notices:
            apply_notice(world.ctx(), notice)

    for world in every_step(waiting, act, repair):
        sub, invoice = only(world)
        assert (sub.status, invoice.status) == (Status.ACTIVE, "paid")
        assert [each.status for each in invoice.attempts] == ["canceled", "succeeded"]
        assert world.parts.gateway.payments[invoice.attempts[0].reference].result.is_canceled
        assert_one_can_pay(world)


def test_a_new_card_is_still_tried_when_the_webhook_of_the_cancelled_payment_is_faster() -> None:
    """It died after the processor had cancelled; the processor's own report comes before anybody runs again."""
    world = World(start="2026-03-31T12:00:00+00:00")
    waiting(world)
    sub, invoice = only(world)
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_visa2")
    attempt = invoice.attempts[-1]
    request = world.parts.gateway.payments[attempt.reference].request
    world.parts.gateway.cancel_charge(replace(request, attempt=attempt))
    for notice in world.parts.gateway.notices:
        apply_notice(world.ctx(), notice)
    dunning.try_new_method(world.ctx(), sub.customer_id)
    assert only(world)[1].status == "paid"
    assert_one_can_pay(world)


def test_by_hand_killed_anywhere_one_payment_waits_in_the_end() -> None:
    def act(world: World, subject: str) -> None:
        dunning.retry_now(world.ctx(), subject)

    for world in every_step(waiting, act, act):
        sub, invoice = only(world)
        assert sub.status is Status.PAST_DUE
        assert [each.awaits_customer for each in invoice.attempts[-1:]] == [True]
        assert all(each.status == "canceled" for each in invoice.attempts[:-1])
        open_ones = [
            p for p in world.parts.gateway.payments.values() if p.result.outcome is Outcome.REQUIRES_ACTION
        ]
        assert [p.reference for p in open_ones] == [invoice.attempts[-1].reference]
        assert_books(world)
