"""The dunning report: what fell behind, what came back and what was lost, each invoice once, and from facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from chalicelib.application import changes, dunning, dunning_report, payments, subscriptions
from chalicelib.application.dunning_report import Day, Tally, read_cases, read_days, recount
from chalicelib.domain.calendar import Interval, IntervalUnit
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.dunning_policy import DunningPolicy
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.payment import Allocation
from tests.infra.job_world import Jobs
from tests.scenario.test_dunning_policies import _publish as publish
from tests.scenario.world import World

START, END = date(2026, 3, 1), date(2027, 1, 1)


class Story:
    """A world whose journal is projected, some of it twice, before each look at the report."""

    def __init__(self) -> None:
        self.world = World(start="2026-03-05T12:00:00+00:00")
        self.jobs = Jobs(self.world)

    def subscribed(self, outcome: str, plan: str = "starter", **fields: Any) -> Any:
        """A subscription whose renewals end so."""
        customer = self.world.customer("pm_card_visa", **fields)
        sub = self.world.subscribe(customer, plan, trial_days=0)
        self.behave(customer, outcome)
        return sub

    def behave(self, customer: str, outcome: str) -> None:
        method = self.world.account(customer).payment_method
        assert method is not None
        self.world.parts.gateway.behave(method.id, outcome)

    def to(self, instant: str) -> None:
        self.world.advance(to=instant)

    def days(self) -> list[Day]:
        self.jobs.project(again=5)
        days = read_days(self.world.parts.ops, self.world.env, START, END)
        assert days == recount(self.world.parts.store, self.world.env)
        return days

    def cells(self) -> dict[tuple[str, str, str], Tally]:
        found: dict[tuple[str, str, str], Tally] = {}
        for day in self.days():
            for cell, tally in day.cells.items():
                found[cell] = found.get(cell, Tally()) + tally
        return found

    def total(self) -> Tally:
        return sum(self.cells().values(), Tally())

    def cases(self, **wanted: Any) -> list[str]:
        cases, cursor = read_cases(self.world.parts.ops, self.world.env, START, END, limit=100, **wanted)
        assert cursor is None
        return [case.invoice_id for case in cases]


@pytest.fixture
def story() -> Story:
    return Story()


def test_who_pays_is_not_in_it(story: Story) -> None:
    story.subscribed("ok")
    story.to("2026-06-05T12:00:00+00:00")
    assert story.days() == []


def test_recovered_on_the_second_day_lost_at_the_end_and_still_open(story: Story) -> None:
    recovered, lost = story.subscribed("insufficient_funds"), story.subscribed("generic_decline")
    story.to("2026-04-06T12:00:00+00:00")
    story.behave(recovered.customer_id, "ok")
    story.to("2026-04-08T12:00:00+00:00")
    assert story.cells() == {
        ("USD", "default", "insufficient_funds"): Tally(
            opened=1, opened_amount=1900, attempts=2, declines=1, recovered=1, recovered_amount=1900,
            decided_amount=1900,
        ),
        ("USD", "default", "generic_decline"): Tally(opened=1, opened_amount=1900, attempts=2, declines=2),
    }  # fmt: skip
    total = story.total()
    assert (total.undecided, total.undecided_amount, total.recovery_rate) == (1, 1900, 10_000)
    story.to("2026-04-26T12:00:00+00:00")
    last = story.world.invoices(lost)[-1]
    bad_debt = 1900 - last.credited
    assert last.status is InvoiceStatus.UNCOLLECTIBLE
    total = story.total()
    assert (total.lost, total.lost_amount, total.undecided, total.undecided_amount) == (1, bad_debt, 0, 0)
    assert total.recovery_rate == 1900 * 10_000 // (1900 + bad_debt)
    # Everything belongs to the day of the first failure, whenever it was decided.
    assert [day.name for day in story.days()] == ["2026-04-05"]
    assert sorted(story.cases()) == sorted([story.world.invoices(recovered)[-1].id, last.id])
    assert story.cases(code="generic_decline") == [last.id]
    assert story.cases(policy="plan:pro") == []


def test_the_first_code_stays_and_the_policy_is_named(story: Story) -> None:
    publish(story.world, DunningPolicy(days=(0, 3)), plan="pro")
    publish(story.world, DunningPolicy(days=(0, 3)), segment="vip")
    pro, vip = (
        story.subscribed("insufficient_funds", plan="pro"),
        story.subscribed("lost_card", segment="vip"),
    )
    story.to("2026-04-05T12:00:00+00:00")
    story.behave(pro.customer_id, "lost_card")
    story.to("2026-04-09T12:00:00+00:00")
    cells = story.cells()
    assert set(cells) == {
        ("USD", "plan:pro", "insufficient_funds"),
        ("USD", "segment:vip", "lost_card"),
    }
    assert all(tally.lost == 1 and tally.declines == 2 for tally in cells.values())
    assert vip


def test_an_invoice_that_queued_behind_another_is_a_case_of_its_own(story: Story) -> None:
    customer = story.world.customer("pm_card_visa")
    sub = story.world.subscribe(customer, "starter", trial_days=0)
    publish(story.world, DunningPolicy(days=(0, 20, 40)))
    story.behave(customer, "insufficient_funds")
    story.to("2026-05-06T12:00:00+00:00")
    assert {cell[2]: tally.opened for cell, tally in story.cells().items()} == {
        "insufficient_funds": 1,
        "queued": 1,
    }
    assert story.total().undecided == 2
    story.behave(customer, "ok")
    dunning.retry_now(story.world.ctx(), sub.id)
    story.to("2026-05-06T13:00:00+00:00")
    total = story.total()
    assert (total.recovered, total.recovered_amount, total.undecided) == (2, 3800, 0)
    assert len(story.cases()) == 2


def test_money_by_other_ways_is_recovered_too_and_a_part_of_it_counts(story: Story) -> None:
    sub = story.subscribed("insufficient_funds")
    story.to("2026-04-05T12:00:00+00:00")
    invoice = story.world.invoices(sub)[-1]
    payments.record_payment(
        story.world.ctx(), sub.customer_id, amount=900, currency="USD", kind="transfer", reference="bank",
        allocations=[Allocation(invoice.id, 900)],
    )  # fmt: skip
    total = story.total()
    assert (total.recovered, total.recovered_amount, total.undecided_amount) == (0, 0, 1900)
    story.to("2026-04-26T12:00:00+00:00")
    last = story.world.invoices(sub)[-1]
    total = story.total()
    assert (total.lost, total.recovered_amount) == (1, 900)
    assert total.lost_amount == 1900 - 900 - last.credited
    assert total.undecided_amount == 0


def test_a_change_that_is_not_paid_for_is_no_case(story: Story) -> None:
    sub = story.subscribed("insufficient_funds")
    story.to("2026-03-10T12:00:00+00:00")
    story.world.facts()
    with pytest.raises(PaymentDeclinedError):
        changes.change_subscription(story.world.ctx(), sub.id, ChangeOrder(plan="pro"))
    assert "payment.failed" in story.world.facts()
    assert story.days() == []


def test_a_sent_invoice_and_a_first_payment_are_no_cases(story: Story) -> None:
    with pytest.raises(PaymentDeclinedError):
        story.world.subscribe(story.world.customer("pm_card_chargeCustomerFail"), "pro", trial_days=0)
    story.to("2026-05-05T12:00:00+00:00")
    assert story.days() == []


def test_a_payment_that_wants_its_customer_is_behind_from_the_start(story: Story) -> None:
    confirmed, forgotten = (story.subscribed("authentication_required") for _ in range(2))
    story.to("2026-04-05T12:00:00+00:00")
    cell = ("USD", "default", "authentication_required")
    assert story.cells() == {cell: Tally(opened=2, opened_amount=3800)}
    story.behave(confirmed.customer_id, "ok")
    dunning.retry_now(story.world.ctx(), confirmed.id)
    story.to("2026-05-05T11:00:00+00:00")
    tally = story.cells()[cell]
    assert (tally.recovered, tally.lost, tally.undecided) == (1, 1, 0)
    assert forgotten


def test_writing_off_by_hand_is_lost_and_cancelling_leaves_it_open(story: Story) -> None:
    by_hand, canceled = story.subscribed("insufficient_funds"), story.subscribed("insufficient_funds")
    story.to("2026-04-05T12:00:00+00:00")
    dunning.mark_uncollectible(story.world.ctx(), story.world.invoices(by_hand)[-1].id)
    subscriptions.cancel_subscription(story.world.ctx(), canceled.id, at_period_end=False, reason="")
    total = story.total()
    assert (total.lost, total.undecided) == (1, 1)


def test_weekly_invoices_of_one_run_are_lost_together(story: Story) -> None:
    """Many cases of many days in one decision, however the batches fall."""
    customer = story.world.customer("pm_card_visa")
    publish(story.world, DunningPolicy(days=(0, 50)))
    sub = story.world.subscribe(customer, "starter", trial_days=0)
    weekly = Interval(IntervalUnit.WEEK, 1)
    price = sub.items[0].price
    assert price is not None
    items = (replace(sub.items[0], price=replace(price, interval=weekly)),)
    story.world.edit(sub, items=items, interval=weekly)
    story.behave(customer, "insufficient_funds")
    story.to("2026-06-01T12:00:00+00:00")
    total = story.total()
    behind = [invoice.id for invoice in story.world.invoices(sub) if invoice.arrears]
    assert len(behind) > 7
    assert (total.opened, total.lost, total.undecided) == (len(behind), len(behind), 0)
    assert sorted(story.cases()) == sorted(behind)


def test_pages_of_cases_go_on_where_the_last_ended(story: Story) -> None:
    for _ in range(5):
        story.subscribed("insufficient_funds")
    story.to("2026-04-05T12:00:00+00:00")
    story.days()
    ops, env = story.world.parts.ops, story.world.env
    seen: list[str] = []
    cursor: str | None = None
    while True:
        cases, cursor = read_cases(ops, env, START, END, limit=2, after=cursor)
        seen += [case.invoice_id for case in cases]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert read_cases(ops, env, date(2026, 4, 6), END) == ([], None)
    assert len(read_cases(ops, env, date(2026, 4, 5), date(2026, 4, 6))[0]) == 5
    assert dunning_report.LONGEST.days == 366
