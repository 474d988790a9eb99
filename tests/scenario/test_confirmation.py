"""A payment that the bank wants its customer to confirm: the link, the wait, and everything that ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.application import checkout, confirmation, dunning, payment_methods, subscriptions
from chalicelib.application.collection import collect_due
from chalicelib.application.confirmation import Link, Standing
from chalicelib.application.entitlements import get_entitlements
from chalicelib.application.invoices import pay_invoice
from chalicelib.application.notices import apply_notice
from chalicelib.application.payments import record_payment
from chalicelib.domain.dunning_policy import DunningPolicy, EndState
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import NotFoundError, PaymentDeclinedError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Allocation
from chalicelib.domain.subscription import Status, Subscription
from tests.infra.job_world import Jobs
from tests.scenario.test_dunning_policies import behind
from tests.scenario.world import World, assert_books
from tests.unit.test_checkout import opened, purchase

CARD = "pm_card_authenticationRequired"
PAID = ["payment.succeeded", "invoice.paid", "subscription.recovered"]


def waiting(policy: DunningPolicy | None = None, **more: Any) -> tuple[World, Subscription]:
    """A subscription whose first renewal, on 5 April at noon, waits for its customer."""
    world, sub = behind(policy, decline="authentication_required", **more)
    assert world.facts()[-4:] == [
        "subscription.renewed",
        "invoice.opened",
        "payment.action_required",
        "subscription.past_due",
    ]
    return world, sub


def last(world: World, sub: Subscription) -> Invoice:
    return world.invoices(sub)[-1]


def link(world: World, sub: Subscription) -> Link:
    url = confirmation.link_of(world.ctx(), last(world, sub))
    assert url is not None
    return read(url)


def read(url: str) -> Link:
    query = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    return Link(invoice_id=query["invoice"], attempt=int(query["attempt"]), token=query["token"])


def at_the_bank(world: World, sub: Subscription, *, passed: bool = True) -> Link:
    """The button, and what the customer does at their bank; they have not come back yet."""
    found = link(world, sub)
    assert confirmation.confirm(world.ctx(), found) is not None
    back = world.parts.gateway.authenticate(last(world, sub).attempts[-1].reference, passed=passed)
    assert read(back) == found
    return found


def test_what_waits_when_its_run_ends_on_the_free_plan_is_given_up_with_it() -> None:
    world, sub = waiting(DunningPolicy(days=(0, 40), end=EndState.FREE_PLAN, free_plan="free"))
    world.advance(days=31)
    older, newer = world.invoices(sub)[-2:]
    late = world.ctx(now=world.now + timedelta(days=10))
    with pytest.raises(PaymentDeclinedError):
        pay_invoice(late, newer.id, payment_method=None)
    assert world.reload(sub).plan.product == "free"
    collect_due(late, older.id)
    assert [each.status for each in world.invoices(sub)[-2:]] == ["uncollectible", "uncollectible"]
    assert_books(world)


def test_nothing_is_tried_while_it_waits_and_confirming_ends_the_run() -> None:
    world, sub = waiting(DunningPolicy(grace_days=3))
    world.advance(days=10, expect=["subscription.grace_ended"])
    assert [attempt.status for attempt in last(world, sub).attempts] == ["requires_action"]
    assert world.parts.gateway.calls["charge"] == 2
    assert not get_entitlements(world.ctx(), sub.customer_id).active

    found = at_the_bank(world, sub)
    assert confirmation.standing_of(*confirmation.find(world.ctx(), found)) is Standing.WAITING
    assert confirmation.standing_of(*confirmation.look_up(world.ctx(), found)) is Standing.PAID
    world.expect(*PAID)
    assert world.reload(sub).status is Status.ACTIVE
    assert get_entitlements(world.ctx(), sub.customer_id).active
    invoice = last(world, sub)
    assert (invoice.attempts[0].status, invoice.attempts[0].decline) == ("succeeded", None)
    assert len(world.parts.gateway.charges(invoice.id)) == 1
    assert_books(world)
    # The link is used up, and says so; the next period comes on time, once.
    assert confirmation.confirm(world.ctx(), found) is None
    world.parts.gateway.behave(invoice.attempts[0].method, "ok")
    renewal = ["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"]
    world.advance(to="2026-05-05T12:00:00+00:00", expect=renewal)


def test_the_webhook_alone_settles_it_and_everything_that_comes_after_changes_nothing() -> None:
    world, sub = waiting()
    found = at_the_bank(world, sub)
    for _ in range(2):
        for notice in world.parts.gateway.notices:
            apply_notice(world.ctx(), notice)
    world.expect(*PAID)
    assert confirmation.standing_of(*confirmation.look_up(world.ctx(), found)) is Standing.PAID
    world.expect()
    world.advance(days=20, expect=[])


def test_a_confirmation_that_fails_can_be_repeated_until_the_last_day() -> None:
    world, sub = waiting()
    for _ in range(3):
        found = at_the_bank(world, sub, passed=False)
        for notice in world.parts.gateway.notices:
            apply_notice(world.ctx(), notice)
        assert confirmation.standing_of(*confirmation.look_up(world.ctx(), found)) is Standing.WAITING
        world.advance(days=6, expect=[])
    at_the_bank(world, sub)
    confirmation.look_up(world.ctx(), found)
    world.expect(*PAID)
    assert len(last(world, sub).attempts) == 1


def test_a_card_that_is_refused_while_its_customer_confirms_still_waits() -> None:
    world, sub = waiting()
    found, attempt = link(world, sub), last(world, sub).attempts[-1]
    world.parts.gateway.behave(attempt.method, "insufficient_funds")
    assert confirmation.confirm(world.ctx(), found) is None
    assert confirmation.standing_of(*confirmation.find(world.ctx(), found)) is Standing.WAITING
    world.parts.gateway.behave(attempt.method, "ok")
    assert confirmation.confirm(world.ctx(), found) is None
    assert confirmation.standing_of(*confirmation.find(world.ctx(), found)) is Standing.PAID
    world.expect(*PAID)


def test_unconfirmed_on_the_last_day_it_is_cancelled_tried_once_more_and_the_run_ends() -> None:
    world, sub = waiting()
    first = last(world, sub).attempts[0].reference
    found = link(world, sub)
    world.advance(to="2026-04-26T11:59:00+00:00", expect=[])
    world.advance(
        minutes=1,
        expect=["payment.canceled", "payment.failed", "subscription.canceled", "invoice.uncollectible"],
    )
    invoice = last(world, sub)
    assert [attempt.status for attempt in invoice.attempts] == ["canceled", "declined"]
    assert world.reload(sub).status is Status.CANCELED
    assert world.parts.gateway.payments[first].result.is_canceled
    assert confirmation.confirm(world.ctx(), found) is None
    assert confirmation.standing_of(*confirmation.find(world.ctx(), found)) is Standing.CLOSED
    assert_books(world)


def test_confirmed_in_the_last_minute_and_told_by_nobody_it_is_paid() -> None:
    world, sub = waiting()
    at_the_bank(world, sub)
    world.advance(to="2026-04-26T12:00:00+00:00", expect=PAID)
    assert len(world.parts.gateway.charges(last(world, sub).id)) == 1


def test_a_new_card_is_tried_at_once_and_the_old_payment_can_take_no_money() -> None:
    world, sub = waiting()
    attempt = last(world, sub).attempts[0]
    world.advance(days=3, expect=[])
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_visa")
    dunning.try_new_method(world.ctx(), sub.customer_id)
    world.expect("payment_method.attached", "payment.canceled", *PAID)
    assert world.parts.gateway.payments[attempt.reference].result.is_canceled
    assert [each.status for each in last(world, sub).attempts] == ["canceled", "succeeded"]


def test_a_new_card_that_is_declined_goes_on_with_the_days() -> None:
    world, sub = waiting()
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_chargeCustomerFail")
    dunning.try_new_method(world.ctx(), sub.customer_id)
    world.expect("payment_method.attached", "payment.canceled", "payment.failed")
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    assert run.next_at.isoformat() == "2026-04-07T12:00:00+00:00"


def test_the_same_card_with_news_of_the_network_keeps_waiting() -> None:
    world, sub = waiting()
    method = world.account(sub.customer_id).payment_method
    assert method is not None
    held = world.parts.gateway.methods[method.id]
    held.method = replace(method, exp_year=2040)
    payment_methods.remember(world.ctx(), sub.customer_id, held.method)
    dunning.try_new_method(world.ctx(), sub.customer_id)
    world.expect("payment_method.attached")
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    assert run.next_at.isoformat() == "2026-04-26T12:00:00+00:00"
    at_the_bank(world, sub)


def test_by_hand_another_payment_takes_the_place_of_the_one_that_waits() -> None:
    world, sub = waiting()
    old = link(world, sub)
    world.advance(days=1)
    dunning.retry_now(world.ctx(), sub.id)
    world.expect("payment.canceled", "payment.action_required")
    assert [each.status for each in last(world, sub).attempts] == ["canceled", "requires_action"]
    assert confirmation.standing_of(*confirmation.find(world.ctx(), old)) is Standing.CLOSED
    with pytest.raises(PaymentDeclinedError) as refused:
        pay_invoice(world.ctx(), last(world, sub).id, payment_method=None)
    assert read(refused.value.ids["confirmation_url"]) == link(world, sub)
    world.expect("payment.canceled", "payment.action_required")
    at_the_bank(world, sub)
    world.advance(to="2026-04-26T12:00:00+00:00", expect=PAID)
    assert_books(world)


def test_money_by_another_way_and_a_write_off_cancel_it_first() -> None:
    world, sub = waiting()
    invoice = last(world, sub)
    record_payment(
        world.ctx(), sub.customer_id, amount=invoice.amount_due, currency="USD", kind="bank_transfer",
        reference="R1", allocations=[Allocation(invoice.id, invoice.amount_due)],
    )  # fmt: skip
    world.expect("payment.canceled", "payment.recorded", "invoice.paid", "subscription.recovered")
    world, sub = waiting()
    dunning.mark_uncollectible(world.ctx(), last(world, sub).id)
    world.expect("payment.canceled", "invoice.uncollectible", "subscription.recovered")
    assert all(
        each.result.is_canceled for each in world.parts.gateway.payments.values() if not each.result.charge
    )


def test_cancelled_now_it_can_take_no_money_and_what_was_not_served_is_credited() -> None:
    world, sub = waiting()
    world.advance(days=10)
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="no")
    world.expect("payment.canceled", "subscription.canceled", "invoice.credited")
    (attempt,) = last(world, sub).attempts
    assert attempt.status == "canceled"
    world.advance(days=60, expect=["subscription.win_back"])


def test_a_run_that_ended_unpaid_is_brought_back_by_confirming() -> None:
    world, sub = waiting(DunningPolicy(days=(0, 2), end=EndState.UNPAID))
    world.advance(days=2, expect=["payment.canceled", "payment.failed", "subscription.unpaid"])
    with pytest.raises(PaymentDeclinedError):
        pay_invoice(world.ctx(), last(world, sub).id, payment_method=None)
    world.expect("payment.action_required")
    world.advance(days=30, expect=[])
    confirmation.look_up(world.ctx(), at_the_bank(world, sub))
    world.expect(*PAID)
    assert world.reload(sub).status is Status.ACTIVE


def test_on_the_only_day_of_a_policy_there_is_no_time_to_confirm() -> None:
    world, sub = behind(DunningPolicy(days=(0,)), decline="authentication_required")
    assert world.reload(sub).status is Status.CANCELED
    assert confirmation.link_of(world.ctx(), last(world, sub)) is None


def test_a_first_payment_waits_for_its_confirmation_and_is_released_in_the_end() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer(CARD), "starter", trial_days=0)
    assert sub.status is Status.INCOMPLETE
    again = world.subscribe(world.customer(CARD), "starter", trial_days=0)
    world.facts()
    found = at_the_bank(world, sub)
    confirmation.look_up(world.ctx(), found)
    world.expect("payment.succeeded", "invoice.paid", "subscription.activated")
    assert world.reload(sub).status is Status.ACTIVE
    world.advance(days=1, expect=["payment.canceled", "subscription.expired", "invoice.voided"])
    (attempt,) = last(world, again).attempts
    assert world.parts.gateway.payments[attempt.reference].result.is_canceled
    assert_books(world)


def test_the_end_of_a_trial_and_a_return_wait_too() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer(CARD), "pro")
    world.advance(days=15)
    assert world.facts()[-2:] == ["payment.action_required", "subscription.past_due"]
    confirmation.look_up(world.ctx(), at_the_bank(world, sub))
    world.expect(*PAID)
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="no")
    world.advance(days=2)
    world.facts()
    assert subscriptions.reactivate_subscription(world.ctx(), sub.id).status is Status.INCOMPLETE
    confirmation.look_up(world.ctx(), at_the_bank(world, sub))
    assert world.facts()[-1] == "subscription.activated"
    assert_books(world)


@pytest.mark.parametrize("spoilt", ["invoice", "attempt", "token", "env"])
def test_a_link_opens_nothing_but_what_it_was_made_for(spoilt: str) -> None:
    world, sub = waiting()
    dunning.retry_now(world.ctx(), sub.id)
    found, other = link(world, sub), world.invoices(sub)[0]
    ctx = world.ctx()
    wrong = {
        "invoice": Link(invoice_id=other.id, attempt=found.attempt, token=found.token),
        "attempt": Link(invoice_id=found.invoice_id, attempt=1, token=found.token),
        "token": Link(invoice_id=found.invoice_id, attempt=found.attempt, token=found.token[:-1]),
        "env": found,
    }[spoilt]
    if spoilt == "env":
        ctx = replace(ctx, env="sbx_other")
    for act in (confirmation.find, confirmation.confirm, confirmation.look_up):
        with pytest.raises(NotFoundError):
            act(ctx, wrong)
    assert world.parts.gateway.calls["confirm_charge"] == 0


def test_the_letter_has_the_link_and_no_other_letter_goes_out() -> None:
    world, sub = waiting()
    jobs = Jobs(world)
    jobs.project()
    letters = list(world.parts.queues.letters)
    assert [letter.template for letter in letters][-1:] == ["payment_confirm"]
    assert "payment_failed" not in [letter.template for letter in letters]
    assert jobs.mail() == []
    mail = jobs.mailer.sent[-1]
    url = confirmation.link_of(world.ctx(), last(world, sub))
    assert url is not None
    assert url in mail.text
    assert url.replace("&", "&amp;") in mail.html
    assert "April 26, 2026" in mail.text


def test_in_quiet_hours_the_letter_waits_until_the_morning() -> None:
    world, sub = waiting(DunningPolicy(quiet_from=20, quiet_until=8), zone="Asia/Tokyo")
    world.advance(hours=10, expect=[])
    world.advance(hours=1, expect=["subscription.letter_due"])
    assert world.reload(sub).letter is None


def test_a_card_saved_at_the_moment_of_a_pause_is_not_slept_through() -> None:
    """The run is put off for the same card as before; another card arrives between the look and the write."""
    world, sub = waiting()
    method = world.account(sub.customer_id).payment_method
    assert method is not None
    payment_methods.remember(world.ctx(), sub.customer_id, replace(method, exp_year=2040))

    def interfere(env: str, records: Any) -> None:
        world.parts.store.before_commit = None
        payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_visa")

    world.parts.store.before_commit = interfere
    dunning.run_dunning(world.ctx(), sub.id)
    dunning.try_new_method(world.ctx(), sub.customer_id)
    assert [each.status for each in last(world, sub).attempts] == ["canceled", "succeeded"]


def test_the_end_of_a_run_cancels_whatever_else_waits_in_it() -> None:
    """Two invoices in one run: the older a debit that came back late, the younger waiting for its customer."""
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_sepaDebit")
    world.advance(to="2026-04-05T12:00:00+00:00")
    debit = last(world, sub).attempts[-1]
    payment_methods.attach(world.ctx(), sub.customer_id, CARD)
    world.advance(to="2026-05-05T12:00:00+00:00")
    world.parts.gateway.settle(debit.reference, "decline")
    for notice in world.parts.gateway.notices:
        apply_notice(world.ctx(), notice)
    run = world.reload(sub).dunning
    assert run is not None
    assert run.invoices == tuple(invoice.id for invoice in world.invoices(sub)[1:])
    found = link(world, sub)
    world.advance(to="2026-05-27T12:00:00+00:00")
    assert world.reload(sub).status is Status.CANCELED
    assert [invoice.status for invoice in world.invoices(sub)] == ["paid", "uncollectible", "uncollectible"]
    assert [attempt.status for attempt in last(world, sub).attempts] == ["canceled"]
    assert confirmation.standing_of(*confirmation.find(world.ctx(), found)) is Standing.CLOSED
    assert_books(world)


def test_an_older_invoice_that_is_paid_leaves_the_younger_one_waiting() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_sepaDebit")
    world.advance(to="2026-04-05T12:00:00+00:00")
    older = last(world, sub)
    payment_methods.attach(world.ctx(), sub.customer_id, CARD)
    world.advance(to="2026-05-05T12:00:00+00:00")
    world.parts.gateway.settle(older.attempts[-1].reference, "decline")
    for notice in world.parts.gateway.notices:
        apply_notice(world.ctx(), notice)
    record_payment(
        world.ctx(), sub.customer_id, amount=older.amount_due, currency="USD", kind="bank_transfer",
        reference="R1", allocations=[Allocation(older.id, older.amount_due)],
    )  # fmt: skip
    world.facts()
    world.advance(days=5, expect=[])
    confirmation.look_up(world.ctx(), at_the_bank(world, sub))
    world.expect(*PAID)
    assert_books(world)


def test_in_live_a_link_that_is_used_up_is_not_mailed() -> None:
    world = World(env=LIVE, start="2026-11-20T12:00")
    world.machine = datetime(2026, 11, 20, 12, tzinfo=UTC)
    jobs, sub = Jobs(world), world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    method = world.account(sub.customer_id).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "authentication_required")
    world.advance(days=30)
    dunning.retry_now(world.ctx(), sub.id)
    jobs.project()
    assert [letter.template for letter in world.parts.queues.letters][-2:] == ["payment_confirm"] * 2
    jobs.mail()
    asking = [mail.text for mail in jobs.mailer.sent if "confirm" in mail.subject]
    url = confirmation.link_of(world.ctx(), last(world, sub))
    assert url is not None
    assert [url in text for text in asking] == [True]


def test_paid_on_a_page_what_waits_for_the_same_invoice_is_given_up() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    session = opened(world, purchase("starter", customer_id=world.customer(CARD)))
    (invoice,) = world.invoices(session.customer_id)
    with pytest.raises(PaymentDeclinedError):
        pay_invoice(world.ctx(), invoice.id, payment_method=None)
    assert session.reference is not None
    world.parts.gateway.pay_checkout(session.reference)
    assert checkout.complete_checkout(world.ctx(), session.id).status == "complete"
    (paid,) = world.invoices(session.customer_id)
    assert (paid.status, [each.status for each in paid.attempts]) == ("paid", ["canceled", "succeeded"])
    assert world.parts.gateway.totals("USD") == paid.total
    assert_books(world)
