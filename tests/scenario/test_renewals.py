"""Billing diaries: what a year does to a subscription, to the cent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.application import subscriptions
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.subscription import Status
from tests.scenario.world import World

RENEWED = ["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"]


def test_a_year_of_renewals_from_the_31st() -> None:
    world = World(start="2026-01-31T10:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "business", channel="sales", quantity=2)
    price = world.invoices(sub)[0].total
    assert world.reload(sub).status is Status.ACTIVE
    world.expect(
        "payment_method.attached",
        "subscription.created",
        "invoice.opened",
        "payment.succeeded",
        "invoice.paid",
        "subscription.activated",
    )
    world.advance(to="2026-12-31T10:00:00+00:00", expect=RENEWED * 11)
    invoices = world.invoices(sub)
    assert [invoice.period.start.day for invoice in invoices if invoice.period] == [
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
    ]  # fmt: skip
    assert world.ledger() == {LedgerAccount.CASH: 12 * price, LedgerAccount.REVENUE: -12 * price}
    assert world.mrr() == price
    assert world.parts.gateway.totals("USD") == 12 * price


def test_dunning_tries_on_days_0_2_7_14_21_then_cancels() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "generic_decline")
    world.facts()
    world.advance(
        to="2026-04-05T12:00:00+00:00",
        expect=["subscription.renewed", "invoice.opened", "payment.failed", "subscription.past_due"],
    )
    for days in (2, 5, 7):
        world.advance(days=days, expect=["payment.failed"])
    world.advance(days=7, expect=["payment.failed", "subscription.canceled", "invoice.uncollectible"])
    invoice = world.invoices(sub)[-1]
    assert [attempt.at.isoformat()[:10] for attempt in invoice.attempts] == [
        "2026-04-05",
        "2026-04-07",
        "2026-04-12",
        "2026-04-19",
        "2026-04-26",
    ]
    assert world.reload(sub).status is Status.CANCELED
    assert world.mrr() == 0
    assert invoice.credited == 507  # 8 of 30 days were not served: 8 ÷ 30 × 19.00
    assert world.ledger()[LedgerAccount.BAD_DEBT] == 1900 - 507
    world.advance(days=90, expect=["subscription.win_back"])


def test_recovery_ends_the_run_and_the_next_renewal_is_on_time() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "insufficient_funds")
    world.advance(to="2026-04-05T12:00:00+00:00")
    assert world.reload(sub).status is Status.PAST_DUE
    world.facts()
    world.parts.gateway.behave(method.id, "ok")
    world.advance(days=2, expect=["payment.succeeded", "invoice.paid", "subscription.recovered"])
    assert world.reload(sub).status is Status.ACTIVE
    world.advance(to="2026-05-05T12:00:00+00:00", expect=RENEWED)


def test_a_hard_decline_skips_to_the_last_day() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "lost_card")
    world.advance(to="2026-04-05T12:00:00+00:00")
    world.facts()
    world.advance(days=20, expect=[])
    world.advance(days=1, expect=["payment.failed", "subscription.canceled", "invoice.uncollectible"])


def test_an_outage_of_the_processor_is_not_the_customers_failure() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.facts()
    world.parts.gateway.script(["unavailable"] * 4)
    advance = world.advance(to="2026-04-05T12:00:00+00:00")
    assert advance.status == "stuck"
    assert advance.stuck[0].kind == "collect"
    world.expect("subscription.renewed", "invoice.opened")
    assert world.reload(sub).status is Status.ACTIVE
    world.advance(hours=1, expect=["payment.succeeded", "invoice.paid"])


def test_a_lost_answer_is_looked_up_and_charged_once() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.facts()
    world.parts.gateway.script(["lost_after_charge"])
    world.advance(to="2026-04-05T12:00:00+00:00", expect=RENEWED)
    assert world.parts.gateway.totals("USD") == sum(i.total for i in world.invoices(sub))


def test_a_charge_that_never_arrived_is_repeated_with_the_same_key() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.facts()
    world.parts.gateway.script(["lost_before_charge"])
    world.advance(to="2026-04-05T12:00:00+00:00")
    world.expect("subscription.renewed", "invoice.opened")
    assert world.reload(sub).status is Status.ACTIVE
    world.machine += timedelta(minutes=6)
    world.advance(minutes=1, expect=["payment.succeeded", "invoice.paid"])
    invoice = world.invoices(sub)[-1]
    assert [attempt.number for attempt in invoice.attempts] == [1]


def test_a_declined_first_payment_activates_nothing() -> None:
    world = World()
    customer = world.customer("pm_card_chargeCustomerFail")
    with pytest.raises(PaymentDeclinedError) as refused:
        world.subscribe(customer, "starter", trial_days=0)
    sub = refused.value.ids["subscription"]
    world.facts()
    world.advance(hours=24, expect=["subscription.expired", "invoice.voided"])
    assert world.ledger() == {}
    assert sub.startswith("sub_")


def test_trial_with_reminders_converts_and_re_anchors() -> None:
    world = World(start="2025-03-01T09:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "pro", quantity=2)
    assert sub.status is Status.TRIALING
    world.facts()
    world.advance(to="2025-03-15T08:59:00+00:00", expect=["subscription.trial_will_end"] * 3)
    world.advance(
        to="2025-03-15T09:00:00+00:00",
        expect=[
            "subscription.trial_converted",
            "subscription.activated",
            "invoice.opened",
            "payment.succeeded",
            "invoice.paid",
        ],
    )
    period = world.reload(sub).period
    assert period is not None
    assert (period.start.isoformat(), period.end.isoformat()) == (
        "2025-03-15T09:00:00+00:00",
        "2025-04-15T09:00:00+00:00",
    )


def test_cancel_at_period_end_can_be_undone() -> None:
    world = World()
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.facts()
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="too dear")
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="too dear")
    subscriptions.undo_cancellation(world.ctx(), sub.id)
    world.expect("subscription.cancellation_scheduled", "subscription.cancellation_undone")
    world.advance(days=31, expect=RENEWED)
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="too dear")
    world.facts()
    world.advance(days=31, expect=["subscription.canceled"])
    world.advance(days=31, expect=["subscription.win_back"])
    assert world.mrr() == 0
    subscriptions.reactivate_subscription(world.ctx(), sub.id)
    assert world.reload(sub).status is Status.ACTIVE
    assert world.mrr() > 0
