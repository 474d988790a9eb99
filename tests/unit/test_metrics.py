"""MRR, retention, and the steps of trials and free plans: on subscriptions as they stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain import funnel
from chalicelib.domain.calendar import Interval, IntervalUnit
from chalicelib.domain.catalog import Price, TrialEnd
from chalicelib.domain.counted import Counted, TrialOutcome
from chalicelib.domain.discount import Coupon, Duration, Redemption
from chalicelib.domain.journal import FunnelKind, MovementKind
from chalicelib.domain.metrics import moved, recurring
from chalicelib.domain.pricing import PricingModel, Rate
from chalicelib.domain.retention import Flow, basis_points
from chalicelib.domain.subscription import Cancellation, Status, Subscription, Trial
from tests import samples
from tests.cases import expected, given

START = samples.START
FLAT = Rate(PricingModel.FLAT, "1200")


def subscription(**changes: Any) -> Subscription:
    return replace(samples.subscription(), mrr=0, had_revenue=False, counted=Counted(), **changes)


def priced(interval: str = "month", rate: Rate = FLAT, **terms: Any) -> Subscription:
    own = subscription()
    price = Price(id="p", plan="pro", currency="USD", interval=Interval.of(interval), rate=rate, **terms)
    return replace(own, items=(replace(own.items[0], price=price, quantity=3),))


def free(own: Subscription) -> Subscription:
    return replace(own, status=Status.ACTIVE, items=(replace(own.items[0], price=None),))


class TestRetention:
    def test_met_10(self) -> None:
        case, wanted = given("MET-10"), expected("MET-10")
        flow = Flow(
            opening=case["start_mrr"],
            movements={
                MovementKind.NEW: case["new"],
                MovementKind.EXPANSION: case["expansion"],
                MovementKind.CONTRACTION: -case["contraction"],
                MovementKind.CHURN: -case["churn"],
            },
        )
        assert flow.closing == wanted["end_mrr"]
        assert flow.net_new == wanted["net_new_mrr"]
        assert flow.net_revenue_retention == wanted["nrr_bp"]
        assert flow.gross_revenue_retention == wanted["grr_bp"]

    def test_nothing_to_keep_is_no_rate(self) -> None:
        flow = Flow(movements={MovementKind.NEW: 5, MovementKind.EXPANSION: 5})
        assert (flow.net_revenue_retention, flow.gross_revenue_retention) == (None, None)

    def test_who_comes_back_is_in_neither(self) -> None:
        flow = Flow(opening=100, movements={MovementKind.REACTIVATION: 50, MovementKind.NEW: 50})
        assert (flow.net_revenue_retention, flow.gross_revenue_retention, flow.closing) == (
            10_000,
            10_000,
            200,
        )

    def test_rates_are_rounded_once_half_away_from_zero(self) -> None:
        assert [basis_points(1, 3), basis_points(2, 3), basis_points(1, 20_000)] == [3333, 6667, 1]


class TestRecurring:
    @pytest.mark.parametrize(
        ("interval", "mrr"),
        [("month", 1200), ("year", 100), ("week", 5200), ("day", 36500)],
    )
    def test_per_month(self, interval: str, mrr: int) -> None:
        assert recurring(priced(interval)) == mrr

    def test_a_quarter(self) -> None:
        own = priced()
        price = own.items[0].price
        assert price is not None
        quarterly = replace(price, interval=Interval(IntervalUnit.MONTH, 3))
        assert recurring(replace(own, items=(replace(own.items[0], price=quarterly),))) == 400

    def test_of_what_a_meter_counts_only_the_commitment(self) -> None:
        per_call = Rate(PricingModel.PER_UNIT, "10")
        assert recurring(priced(rate=per_call, meter="calls")) == 0
        assert recurring(priced(rate=per_call, meter="calls", minimum="5000")) == 5000
        assert recurring(priced(rate=per_call, minimum="5000")) == 5000
        assert recurring(priced(rate=per_call)) == 30


class TestReasons:
    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ("too_expensive", "too_expensive"),
            ("payment_failed", "payment_failed"),
            ("", "unstated"),
            ("Ada Lovelace wants a cheaper plan", "other"),
            ("x" * 41, "other"),
        ],
    )
    def test_what_somebody_writes_is_grouped_by_code_alone(self, said: str, reason: str) -> None:
        paying, _ = moved(priced(), "why")
        asked = Cancellation(requested_at=START, at=START, reason=said)
        _, (movement,) = moved(replace(paying, status=Status.CANCELED, cancellation=asked), "why")
        assert (movement.kind, movement.reason, movement.amount) == (MovementKind.CHURN, reason, -1200)

    def test_what_goes_on_without_revenue(self) -> None:
        paying, (movement,) = moved(replace(priced(), channel="api"), "why")
        assert (movement.kind, movement.reason, movement.motion) == (MovementKind.NEW, "", "api")
        assert moved(free(paying), "why")[1][0].reason == "downgraded"
        assert moved(free(paying), "why", reason="fell_back")[1][0].reason == "fell_back"
        assert (
            moved(replace(paying, status=Status.UNPAID), "why", reason="fell_back")[1][0].reason == "unpaid"
        )
        assert moved(replace(paying, status=Status.PAUSED), "why")[1][0].reason == "paused"
        whole = Redemption(coupon=Coupon(id="ALL", percent="100", duration=Duration.FOREVER), at=START)
        assert moved(replace(paying, redemptions=(whole,)), "why")[1][0].reason == "discounted"

    def test_where_new_revenue_comes_from(self) -> None:
        def source(counted: Counted, **changes: Any) -> str:
            _, (movement,) = moved(replace(priced(), counted=counted, **changes), "why")
            return movement.reason

        assert source(Counted()) == ""
        assert source(Counted(is_free=True)) == "free"
        assert source(Counted(trial_mrr=0)) == "trial"
        assert source(Counted(trial=TrialOutcome.LOST)) == ""
        assert source(Counted(is_free=True), had_revenue=True) == "free"
        assert source(Counted(trial_mrr=0), had_revenue=True) == ""


class TestTrials:
    """From step to step, as decisions commit them."""

    def setup_method(self) -> None:
        self.end = START + timedelta(days=14)
        trial = Trial(started_at=START, ends_at=self.end, on_end=TrialEnd.CANCEL)
        self.own = replace(priced(), status=Status.TRIALING, trial=trial)

    def step(self, **changes: Any) -> list[tuple[str, str, int, int]]:
        self.own, steps = funnel.stepped(replace(self.own, **changes))
        again, none = funnel.stepped(self.own)
        assert (again, none) == (self.own, ())
        assert all(step.trial_ended_at in (None, self.end) for step in steps)
        return [(str(step.kind), step.outcome, step.amount, step.count) for step in steps]

    def pay(self, total: int = 1200) -> None:
        self.own = funnel.paid(self.own, replace(samples.invoice(), total=total))

    def test_paid_with_the_first_payment_after_its_end(self) -> None:
        assert self.step() == [("trial", "", 1200, 1)]
        self.pay()  # something else, while it runs
        assert self.step(status=Status.ACTIVE) == [
            ("trial", "", -1200, -1),
            ("trial_ended", "undecided", 0, 1),
        ]
        assert self.step(status=Status.PAST_DUE) == []
        self.pay(total=0)
        assert self.step(status=Status.PAUSED) == []
        self.pay()
        assert self.step(status=Status.ACTIVE) == [("trial_decided", "paid", 0, 1)]
        self.pay()
        assert self.step(status=Status.CANCELED) == []

    @pytest.mark.parametrize("status", [Status.CANCELED, Status.UNPAID])
    def test_lost_when_it_ends_before(self, status: Status) -> None:
        self.step()
        self.step(status=Status.PAST_DUE)
        assert self.step(status=status) == [("trial_decided", "lost", 0, 1)]
        self.pay()
        assert self.step(status=Status.ACTIVE) == []

    def test_lost_at_its_end_and_on_a_free_plan_then(self) -> None:
        self.step()
        fallen = free(self.own)
        assert self.step(status=fallen.status, items=fallen.items) == [
            ("trial", "", -1200, -1),
            ("trial_ended", "lost", 0, 1),
            ("free", "started", 0, 1),
        ]
        assert self.step(items=priced().items) == [("free", "paid", 0, -1)]

    def test_cancelled_before_its_end_it_ended_then(self) -> None:
        self.step()
        ended_at = START + timedelta(days=3)
        self.own, (_, step) = funnel.stepped(replace(self.own, status=Status.CANCELED, ended_at=ended_at))
        assert (step.kind, step.outcome, step.trial_ended_at) == (FunnelKind.TRIAL_ENDED, "lost", ended_at)

    def test_another_plan_in_the_trial_is_another_amount(self) -> None:
        self.step()
        assert self.step(items=priced(rate=Rate(PricingModel.FLAT, "2000")).items) == [("trial", "", 800, 0)]

    def test_a_trial_of_something_without_a_fixed_price_counts_too(self) -> None:
        self.own = replace(self.own, items=priced(meter="calls").items)
        assert self.step() == [("trial", "", 0, 1)]
        assert self.step(status=Status.CANCELED) == [("trial", "", 0, -1), ("trial_ended", "lost", 0, 1)]


def test_a_free_plan_begins_and_ends() -> None:
    began, (step,) = funnel.stepped(free(subscription()))
    assert (step.kind, step.outcome, step.count) == (FunnelKind.FREE, "started", 1)
    _, (step,) = funnel.stepped(replace(began, status=Status.CANCELED))
    assert (step.outcome, step.count) == ("ended", -1)
