"""The MRR report over a year: upgrades, downgrades, leaving, coming back, trials and free plans, each counted once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from chalicelib.application import (
    changes,
    coupon_offers,
    metrics_repair,
    pauses,
    subscriptions,
    trial_changes,
)
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.metrics_figures import Figures, figures
from chalicelib.application.metrics_report import metrics_key, read_months, recount
from chalicelib.application.metrics_rows import MovementRow, read_movements, read_trials, rows_key, trials_key
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.discount import Coupon, Duration
from chalicelib.domain.journal import MovementKind
from chalicelib.domain.subscription import Status, Subscription
from tests.infra.job_world import Jobs
from tests.scenario.test_changes import plan, price
from tests.scenario.world import World

TRIAL = {"days": 14, "card_required": False, "on_end": "cancel"}
FALLS_BACK = {"days": 14, "on_end": "fall_back", "fall_back_plan": "free"}
CATALOG: dict[str, Any] = {
    "seller": {"name": "Acme"},
    "plans": [
        plan("free", 0),
        plan("small", 1, price(1000), price(12000, "year")),
        plan("large", 2, price(3000), trial=TRIAL),
        plan("soft", 3, price(500), trial=FALLS_BACK),
    ],
}


class Year:
    """A world whose journal is projected, some of it twice, before each look at the report."""

    def __init__(self) -> None:
        self.world = World(start="2026-01-10T12:00:00+00:00")
        publish_catalog(self.world.ctx(), CATALOG, expected=1)
        self.jobs = Jobs(self.world)
        self.env, self.ops = self.world.env, self.world.parts.ops

    def buys(self, plan: str, card: str | None = "pm_card_visa", **order: Any) -> Subscription:
        return self.world.subscribe(self.world.customer(card), plan, **order)

    def behave(self, sub: Subscription, outcome: str) -> None:
        method = self.world.account(sub.customer_id).payment_method
        assert method is not None
        self.world.parts.gateway.behave(method.id, outcome)

    def change(self, sub: Subscription, plan: str, **order: Any) -> None:
        changes.change_subscription(self.world.ctx(), sub.id, ChangeOrder(plan=plan, **order))

    def leave(self, sub: Subscription, reason: str = "") -> None:
        subscriptions.cancel_subscription(self.world.ctx(), sub.id, at_period_end=False, reason=reason)

    def to(self, day: str) -> None:
        self.world.advance(to=f"2026-{day}T13:00:00+00:00")

    def shown(self) -> dict[str, Figures]:
        """By month, after holding the report against journals, records and rows."""
        self.jobs.project(again=7)
        months = read_months(self.ops, self.env, until="2026-12")
        assert months == recount(self.world.parts.store, self.env)
        found = figures(months, "2026-01", "2026-12", currency="USD")
        for before, after in pairwise(found):
            assert before.closing == after.opening
        self.holds(found[-1])
        for figure in found:
            rows = self.rows(figure.month)
            assert sum(row.amount for row in rows) == figure.flow.net_new
            assert len(self.trials(figure.month)) == sum(figure.ended(each) for each in TrialOutcome)
        return {figure.month: figure for figure in found}

    def holds(self, last: Figures) -> None:
        """What stands at the end is what the subscriptions say."""
        subs = self.world.everything(Subscription)
        running = [sub for sub in subs if sub.status is Status.TRIALING]
        assert last.closing.mrr == sum(sub.mrr for sub in subs) == self.world.mrr()
        assert last.closing.subscriptions == sum(1 for sub in subs if sub.mrr)
        assert last.closing.trials == len(running)
        assert last.closing.trial_mrr == sum(sub.counted.trial_mrr or 0 for sub in running)
        free = [sub for sub in subs if sub.status is Status.ACTIVE and sub.plan.price is None]
        assert last.closing.free == len(free)

    def rows(self, month: str, **wanted: str) -> list[MovementRow]:
        def matches(row: MovementRow) -> bool:
            return all(getattr(row, name) == value for name, value in wanted.items())

        rows, cursor = read_movements(self.ops, self.env, month, wanted=matches, limit=100)
        assert cursor is None
        return rows

    def trials(self, month: str) -> dict[str, TrialOutcome | None]:
        rows, cursor = read_trials(self.ops, self.env, month, wanted=lambda row: True, limit=100)
        assert cursor is None
        subs = {sub.id: sub.counted.trial for sub in self.world.everything(Subscription)}
        return {row.subscription_id: subs[row.subscription_id] for row in rows}


@pytest.fixture
def year() -> Year:
    return Year()


def moves(figure: Figures) -> dict[str, int]:
    return {str(kind): amount for kind, amount in figure.flow.movements.items() if amount}


def test_a_year(year: Year) -> None:
    grows, fails = year.buys("small"), year.buys("small")
    free = year.buys("free", card="pm_card_visa")
    yearly = year.buys("small", interval="year")
    year.to("02-15")
    year.change(grows, "large")
    year.change(free, "small")
    year.to("03-15")
    year.change(grows, "small")  # with the period's end: in April
    year.behave(fails, "insufficient_funds")
    year.to("05-15")
    year.leave(yearly, "too_expensive")
    year.to("06-15")
    subscriptions.reactivate_subscription(year.world.ctx(), yearly.id)
    year.to("12-20")

    shown = year.shown()
    assert [moves(shown[f"2026-{month:02d}"]) for month in range(1, 7)] == [
        {"new": 3000},
        {"new": 1000, "expansion": 2000},
        {},
        {"contraction": -2000},
        {"churn": -2000},
        {"reactivation": 1000},
    ]
    may = shown["2026-05"]
    assert (may.flow.opening, may.flow.closing) == (4000, 2000)
    assert (may.flow.net_revenue_retention, may.flow.gross_revenue_retention) == (5000, 5000)
    assert {reason: sums for (kind, reason), sums in may.reasons.items() if kind == "churn"} == {
        "payment_failed": (-1000, 1),
        "too_expensive": (-1000, 1),
    }
    february = shown["2026-02"]
    assert (february.flow.net_revenue_retention, february.flow.gross_revenue_retention) == (16_667, 10_000)
    assert (february.free_to_paid, february.opening.free, february.closing.free) == (10_000, 1, 0)
    assert [row.subscription_id for row in year.rows("2026-02", kind="new", reason="free")] == [free.id]
    assert [row.subscription_id for row in year.rows("2026-05", reason="payment_failed")] == [fails.id]
    assert shown["2026-12"].flow.movements == dict.fromkeys(MovementKind, 0)


def test_a_trial_is_paid_lost_or_undecided_in_the_month_of_its_end(year: Year) -> None:
    year.to("01-12")
    paid, declined, lapses, soft = (
        year.buys("large"),
        year.buys("large"),
        year.buys("large", None),
        year.buys("soft", None),
    )
    assert year.shown()["2026-01"].closing.trial_mrr == 9500
    assert year.shown()["2026-01"].closing.mrr == 0
    year.behave(declined, "insufficient_funds")
    year.to("01-27")
    january = year.shown()["2026-01"]
    assert (january.closing.trials, january.closing.trial_mrr, january.closing.free) == (0, 0, 1)
    assert {outcome: january.ended(outcome) for outcome in TrialOutcome} == {
        TrialOutcome.PAID: 1,
        TrialOutcome.LOST: 2,
        TrialOutcome.UNDECIDED: 1,
    }
    assert january.trial_to_paid == 3333
    year.to("03-01")  # given up in February: it counts for January, when its trial ended
    shown = year.shown()
    assert (shown["2026-01"].ended(TrialOutcome.LOST), shown["2026-01"].trial_to_paid) == (3, 2500)
    assert shown["2026-02"].trial_to_paid is None
    assert year.trials("2026-01") == {
        paid.id: TrialOutcome.PAID,
        declined.id: TrialOutcome.LOST,
        lapses.id: TrialOutcome.LOST,
        soft.id: TrialOutcome.LOST,
    }
    assert sorted(row.subscription_id for row in year.rows("2026-01", reason="trial")) == sorted(
        (paid.id, declined.id)
    )


def test_what_is_recovered_is_paid_and_what_ends_early_ended_then(year: Year) -> None:
    recovers, early, quits = (year.buys("large") for _ in range(3))
    trial_changes.end_trial_early(year.world.ctx(), early.id)
    year.leave(quits)
    year.behave(recovers, "insufficient_funds")
    year.to("01-25")
    assert year.shown()["2026-01"].ended(TrialOutcome.UNDECIDED) == 1
    year.behave(recovers, "ok")
    year.to("02-10")
    january = year.shown()["2026-01"]
    assert [january.ended(each) for each in TrialOutcome] == [0, 2, 1]
    assert set(year.trials("2026-01")) == {recovers.id, early.id, quits.id}


def test_a_longer_trial_ends_later(year: Year) -> None:
    longer = year.buys("large")
    trial_changes.extend_trial(year.world.ctx(), longer.id, 20)
    year.to("02-20")
    shown = year.shown()
    assert (shown["2026-01"].trial_to_paid, shown["2026-02"].trial_to_paid) == (None, 10_000)
    assert (shown["2026-01"].closing.trial_mrr, shown["2026-02"].closing.trial_mrr) == (3000, 0)


def test_down_to_free_and_back_is_no_new_customer(year: Year) -> None:
    sub = year.buys("small")
    year.change(sub, "free", at=When.NOW)
    year.to("02-15")
    year.change(sub, "large")
    year.to("03-15")
    shown = year.shown()
    assert moves(shown["2026-01"]) == {"new": 1000, "churn": -1000}
    assert moves(shown["2026-02"]) == {"reactivation": 3000}
    assert [row.reason for row in year.rows("2026-01", kind="churn")] == ["downgraded"]
    assert shown["2026-02"].free_to_paid == 10_000


def test_paused_is_gone_and_resumed_is_back(year: Year) -> None:
    sub = year.buys("small")
    year.to("02-15")
    pauses.pause_subscription(year.world.ctx(), sub.id, at_period_end=False)
    year.to("04-15")
    pauses.resume_subscription(year.world.ctx(), sub.id)
    shown = year.shown()
    assert [moves(shown[f"2026-{month:02d}"]) for month in range(1, 5)] == [
        {"new": 1000},
        {"churn": -1000},
        {},
        {"reactivation": 1000},
    ]
    assert [row.reason for row in year.rows("2026-02")] == ["paused"]


def test_a_repeating_discount_lowers_it_until_it_is_used_up(year: Year) -> None:
    terms = {"percent": "25", "duration": Duration.REPEATING, "periods": 2}
    coupon_offers.create_coupon(year.world.ctx(), Coupon(id="QUARTER", **terms))
    coupon_offers.create_coupon(year.world.ctx(), Coupon(id="ONCE", percent="50"))
    year.buys("small", coupon="QUARTER")
    year.buys("small", coupon="ONCE")
    year.to("04-15")
    shown = year.shown()
    assert [moves(shown[f"2026-{month:02d}"]) for month in range(1, 5)] == [
        {"new": 1750},
        {},
        {"expansion": 250},
        {},
    ]
    assert [row.cause.split(":")[0] for row in year.rows("2026-03")] == ["coupon"]


def test_a_plain_renewal_writes_nothing_here(year: Year) -> None:
    year.buys("small")
    year.shown()
    before = stored(year)
    year.to("06-15")
    year.shown()
    assert stored(year) == before


def test_what_was_projected_before_there_were_metrics_is_made_up_for(year: Year) -> None:
    """And again, it changes nothing; what is wrong is put right."""
    year.buys("small")
    year.buys("large", None)
    year.to("02-15")
    year.change(year.buys("small"), "large")
    year.shown()
    kept = stored(year)
    for key in (metrics_key, rows_key, trials_key):
        for document in year.ops.query(key(year.env)):
            year.ops.delete(document.pk, document.sk)
    store, ops, env = year.world.parts.store, year.ops, year.env
    assert metrics_repair.rewrite(store, ops, env)
    year.shown()
    assert [row for month in ("2026-01", "2026-02") for row in year.rows(month)]
    assert metrics_repair.rewrite(store, ops, env) == []
    (first, *_) = ops.query(metrics_key(env))
    ops.replace(first, {"rows": [["USD", "self_serve", "new", "", 7, 1]]})
    assert metrics_repair.rewrite(store, ops, env) == [first.sk]
    year.shown()
    assert {document.sk for document in kept if document.pk == metrics_key(env)} == {
        document.sk for document in ops.query(metrics_key(env))
    }


def stored(year: Year) -> list[Any]:
    """Every document of the metrics as it is stored, with its version."""
    return [
        document for key in (metrics_key, rows_key, trials_key) for document in year.ops.query(key(year.env))
    ]
