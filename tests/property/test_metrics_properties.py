"""The metrics of any history: opening plus movements is closing, however the journal arrives, and twice is once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application import feed
from chalicelib.application.metrics_figures import Figures, currencies, figures, motions
from chalicelib.application.metrics_report import by_month, read_months
from chalicelib.application.metrics_rows import read_movements, read_trials
from chalicelib.domain import ids, journal
from chalicelib.domain.catalog import Price, TrialEnd
from chalicelib.domain.counted import Counted, TrialOutcome
from chalicelib.domain.funnel import paid, stepped
from chalicelib.domain.journal import CLOCK, Fact, JournalEntry
from chalicelib.domain.metrics import COUNTED, moved, recurring
from chalicelib.domain.pricing import PricingModel, Rate
from chalicelib.domain.subscription import Cancellation, Status, Subscription, Trial
from tests import samples

ENV = "sbx_metrics"
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = st.tuples(
    st.integers(0, 3),  # whose
    st.sampled_from([*Status, "free", "pay"]),
    st.integers(0, 50_000),  # what it costs from then on
    st.integers(0, 40),  # days that pass before
)
HISTORIES = st.lists(STEP, min_size=1, max_size=30)


def sold(number: int) -> Subscription:
    own = samples.subscription()
    return replace(
        own,
        id=ids.child_id("sub", own.customer_id, str(number)),
        status=Status.INCOMPLETE,
        currency=("USD", "EUR")[number % 2],
        channel=("self_serve", "api", "sales")[number % 3],
        mrr=0,
        had_revenue=False,
        counted=Counted(),
        trial=Trial(started_at=START, ends_at=START + timedelta(days=45 * number), on_end=TrialEnd.CANCEL),
    )


def at_price(own: Subscription, amount: int) -> Subscription:
    price = Price(
        id="p", plan="pro", currency=own.currency, interval=samples.PRICE.interval,
        rate=Rate(PricingModel.FLAT, str(amount)),
    )  # fmt: skip
    return replace(own, items=(replace(own.items[0], price=price),))


def lived(history: list[tuple[int, str, int, int]]) -> tuple[list[Subscription], list[JournalEntry]]:
    """The subscriptions after all of it, and the journal that their decisions leave."""
    subs, entries, now = [sold(number) for number in range(4)], [], START
    for index, (number, what, amount, days) in enumerate(history):
        now += timedelta(days=days)
        own, cause = subs[number], f"step:{index}"
        if what == "pay":
            own = paid(own, samples.invoice())
        elif what == "free":
            own = replace(
                own, status=Status.ACTIVE, items=(replace(own.items[0], price=None),), ended_at=None
            )
        else:
            asked = Cancellation(requested_at=now, at=now, reason="gone")
            ended_at = now if what == Status.CANCELED else None
            own = replace(at_price(own, amount), status=Status(what), cancellation=asked, ended_at=ended_at)
        own, movements = moved(own, cause)
        subs[number], steps = stepped(own)
        fact = Fact("thing.happened", own.id)
        entries.append(
            journal.entry(
                own.customer_id, at=now, actor=CLOCK, cause=cause, facts=(fact,),
                movements=movements, funnel=steps,
            )
        )  # fmt: skip
    return subs, entries


def projected(entries: list[JournalEntry], sizes: list[int]) -> MemoryOps:
    """In batches of these sizes, each delivered twice."""
    ops, left = MemoryOps(), entries
    for size in [*sizes, len(entries)]:
        part, left = left[:size], left[size:]
        feed.append(ops, ENV, part)
        feed.append(ops, ENV, part)
    return ops


@given(HISTORIES, st.lists(st.integers(1, 7), max_size=8))
@settings(deadline=None)
def test_any_history_adds_up(history: list[tuple[int, str, int, int]], sizes: list[int]) -> None:
    subs, entries = lived(history)
    ops = projected(entries, sizes)
    months = read_months(ops, ENV, until="9999-12")
    whole = projected(entries, [])
    assert months == read_months(whole, ENV, until="9999-12")
    assert {month.name for month in months} <= set(by_month(entries))
    for currency in currencies(months):
        own = [sub for sub in subs if sub.currency == currency]
        found = figures(months, months[0].name, months[-1].name, currency=currency)
        for before, after in pairwise(found):
            assert before.closing == after.opening
        for figure in found:
            retained(figure)
        stands(found[-1], own)
        apart = [
            figures(months, months[0].name, months[-1].name, currency=currency, motion=motion)[-1]
            for motion in motions(months, currency)
        ]
        assert sum(each.closing.mrr for each in apart) == found[-1].closing.mrr
        listed(ops, found, currency)


def retained(figure: Figures) -> None:
    flow = figure.flow
    assert flow.opening + flow.net_new == flow.closing
    net, gross = flow.net_revenue_retention, flow.gross_revenue_retention
    assert (net is None) is (gross is None) is (flow.opening == 0)
    if net is not None and gross is not None:
        assert net >= gross


def stands(last: Figures, own: list[Subscription]) -> None:
    closing = last.closing
    assert closing.mrr == sum(recurring(sub) for sub in own if sub.status in COUNTED)
    assert closing.subscriptions == sum(1 for sub in own if sub.mrr)
    trials = [sub for sub in own if sub.status is Status.TRIALING]
    assert (closing.trials, closing.trial_mrr) == (len(trials), sum(recurring(sub) for sub in trials))
    assert closing.free == sum(1 for sub in own if sub.status is Status.ACTIVE and sub.items[0].price is None)


def listed(ops: MemoryOps, found: list[Figures], currency: str) -> None:
    """Each figure is the sum of its rows."""
    for figure in found:
        rows, cursor = read_movements(
            ops, ENV, figure.month, wanted=lambda row: row.currency == currency, limit=100
        )
        assert cursor is None
        sums: Counter[tuple[str, str]] = Counter()
        for row in rows:
            sums[row.kind, row.reason] += row.amount
        assert dict(sums) == {
            cell: amount
            for cell, (amount, _) in figure.reasons.items()
            if cell[0] not in ("trial", "trial_ended", "free")
        }
        trials, _ = read_trials(
            ops, ENV, figure.month, wanted=lambda row: row.currency == currency, limit=100
        )
        assert len(trials) == sum(figure.ended(outcome) for outcome in TrialOutcome)
