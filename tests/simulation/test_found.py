"""What the simulator has found, told as small as it made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.application import collection, invoices, renewals
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.subscription import Subscription
from tests.simulation.faults import Fault
from tests.simulation.invariants import check
from tests.simulation.simulation import heal
from tests.simulation.steps import Plan, Step
from tests.simulation.world import World


class Story:
    """A plan written by hand."""

    def __init__(self, start: str = "2026-03-05T12:00:00") -> None:
        begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
        self.world = World(Plan(0, begin, ()))
        self._number = 0

    def step(self, kind: str, *faults: Fault, **args: Any) -> None:
        self._number += 1
        self.world.perform(Step(self._number, kind, args, faults))

    def customer(self, card: str | None = "pm_card_visa", **more: Any) -> None:
        self.step("customer", **{"zone": "UTC", "currency": "USD", "card": card, "net_days": None, **more})

    def subscribe(self, plan: str, interval: str, **more: Any) -> None:
        self.step("subscribe", who=0, plan=plan, interval=interval, **{"trial_days": 0, **more})

    def days(self, days: float) -> None:
        self.step("wait", hours=24 * days)
        for _ in range(5):
            self.step("tick")
            self.step("work")

    def ends_well(self) -> None:
        heal(self.world)
        assert check(self.world) == []

    def invoices(self) -> list[Invoice]:
        return sorted(self.world.records(Invoice), key=lambda invoice: invoice.sequence)


def test_money_under_way_is_not_written_off_when_its_run_ends() -> None:
    story = Story()
    story.customer()
    story.subscribe("decade", "ten days")
    story.step("behave", who=0, how="generic_decline")
    story.days(10)
    story.days(12)
    story.step("behave", who=0, how="processing")
    story.step("pay", which=-1, card=None)  # the youngest, by bank debit
    assert story.invoices()[-1].attempts[-1].status == "processing"
    story.step("behave", who=0, how="generic_decline")
    for _ in range(4):
        story.days(8)
    assert "uncollectible" in {invoice.status for invoice in story.invoices()}
    story.ends_well()


def test_an_invoice_declined_after_the_run_began_joins_it() -> None:
    story = Story()
    story.customer()
    story.subscribe("decade", "ten days")
    story.step("behave", who=0, how="generic_decline")
    story.step("wait", hours=240)
    story.step("tick")
    story.step("work", Fault(3, "kill"))  # opened, and not collected
    first = story.invoices()[-1]
    assert first.attempts[-1].is_open
    story.step("wait", hours=240)
    (subscription,) = story.world.records(Subscription)
    renewals.renew_subscription(story.world.ctx(), subscription.id)
    collection.collect_due(story.world.ctx(), first.id)
    (subscription,) = story.world.records(Subscription)
    assert subscription.dunning.invoices == tuple(invoice.id for invoice in story.invoices()[1:])
    story.ends_well()


def test_two_who_begin_a_lost_attempt_anew_are_one() -> None:
    story = Story()
    story.customer()
    story.subscribe("decade", "ten days")
    story.step("wait", hours=240)
    story.step("tick")
    story.step("work", Fault(3, "kill"))
    story.step("wait", hours=26)
    story.step("tick")
    story.step("work", Fault(2, "interfere", Step(99, "same")))
    assert [attempt.status for attempt in story.invoices()[-1].attempts] == ["canceled", "succeeded"]
    story.ends_well()


def test_what_is_too_small_to_charge_is_refused_by_name() -> None:
    story = Story()
    story.customer(net_days=14)
    story.subscribe("tiny", "month")
    (invoice,) = story.invoices()
    with pytest.raises(InvalidStateError, match="less than"):
        invoices.pay_invoice(story.world.ctx("pay"), invoice.id, payment_method=None)
    story.ends_well()


def test_calendar_billing_begins_with_a_stub_after_a_trial() -> None:
    story = Story("2026-03-10T09:00:00")
    story.customer()
    story.subscribe("pro", "month", trial_days=None, billing="calendar")
    story.days(14)
    (invoice,) = story.invoices()
    assert invoice.period is not None
    assert (invoice.period.start.day, invoice.period.end.day) == (24, 1)
    assert (invoice.lines[0].numerator, invoice.lines[0].denominator) == (8, 31)
    story.ends_well()


def test_a_report_that_could_not_be_applied_is_tried_again() -> None:
    story = Story()
    story.customer()
    story.step("detach", who=0)
    story.step("wait", hours=24 * 5)
    story.step("hooks", loss=1.0)
    story.step("reconcile", Fault(1, "throttle"))
    assert story.world.clock - story.world.plan.start > timedelta(days=5)
    story.ends_well()


def test_a_debit_on_a_page_whose_invoice_was_paid_otherwise_is_waited_for_and_given_back() -> None:
    story = Story()
    story.customer()
    story.step("checkout", who=0, plan="starter", interval="month", trial_days=0)
    story.step("page_pay", which=-1, card="pm_debit_processing")
    story.step("pay", which=-1, card=None)
    story.step("hooks")
    story.step("bank", how="ok")
    story.ends_well()
    (invoice,) = story.invoices()
    assert invoice.status == "paid"
    assert story.world.processor.refunded("USD") == invoice.total
