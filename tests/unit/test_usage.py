"""How events become quantities, windows and alerts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain import ids
from chalicelib.domain.calendar import Period
from chalicelib.domain.meter import Aggregation, Meter, UsageEvent
from chalicelib.domain.subscription import Status
from chalicelib.domain.usage import Usage, alerts, billable, billed, counted, ended, usage_period
from tests import samples

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
SUBSCRIPTION = samples.subscription(
    anchor=JUNE, started_at=JUNE, period=Period(JUNE, JULY), zone="UTC", status=Status.ACTIVE
)
CALLS = Meter(id="calls", name="Calls", event="call")
USAGE = Usage(
    id=ids.child_id("use", SUBSCRIPTION.customer_id, "calls"),
    customer_id=SUBSCRIPTION.customer_id,
    subscription_id=SUBSCRIPTION.id,
    meter="calls",
)


def event(number: int, value: int = 1, *, day: int = 5, late: int = 0, **more: Any) -> UsageEvent:
    at = JUNE + timedelta(days=day - 1, seconds=number)
    return UsageEvent(
        id=f"evt-{number}",
        customer_id=SUBSCRIPTION.customer_id,
        name="call",
        at=at,
        recorded_at=at + timedelta(days=late),
        value=value,
        **more,
    )


def after(*events: UsageEvent, meter: Meter = CALLS, usage: Usage = USAGE) -> Usage:
    for each in events:
        usage = counted(usage, SUBSCRIPTION, meter, each)
    return usage


@pytest.mark.parametrize(
    ("aggregation", "quantity"),
    [(Aggregation.SUM, 12), (Aggregation.COUNT, 3), (Aggregation.MAX, 7), (Aggregation.LAST, 1)],
)
def test_the_order_in_which_events_arrive_does_not_matter(aggregation: Aggregation, quantity: int) -> None:
    meter = replace(CALLS, aggregation=aggregation)
    events = [event(1, 4), event(2, 7), event(3, 1)]
    for seed in range(6):
        random.Random(seed).shuffle(events)
        assert after(*events, meter=meter).windows[0].reading.quantity == quantity


def test_a_maximum_below_zero_is_one() -> None:
    assert (
        after(event(1, -5), meter=replace(CALLS, aggregation=Aggregation.MAX)).windows[0].reading.quantity
        == -5
    )


def test_a_meter_reads_what_passes_its_filters_and_has_its_property() -> None:
    meter = replace(CALLS, property="bytes", filters={"region": ("eu", "us")})
    assert meter.reads(event(1, properties={"region": "eu", "bytes": 5}))
    assert not meter.reads(event(1, properties={"region": "asia", "bytes": 5}))
    assert not meter.reads(event(1, properties={"region": "eu"}))
    assert not meter.reads(event(1, properties={"region": "eu", "bytes": "five"}))
    assert not meter.reads(replace(event(1, properties={"region": "eu", "bytes": 5}), name="other"))


def test_an_event_belongs_to_the_period_that_holds_its_instant() -> None:
    usage = after(event(1, 5, day=30), event(2, 7, day=31), event(3, 1, day=30, late=3))
    assert [(w.start, w.end, w.reading.quantity) for w in usage.windows] == [
        (JUNE, JULY, 6),
        (JULY, datetime(2026, 8, 1, tzinfo=UTC), 7),
    ]


def test_what_comes_after_a_window_was_billed_is_still_to_bill() -> None:
    usage = after(event(1, 5))
    usage = billed(usage, billable(usage, JULY), None)
    assert list(billable(usage, JULY)) == []
    usage = after(event(2, 3, late=20), usage=usage)
    (window,) = billable(usage, JULY)
    assert (window.billed, window.reading.quantity) == (5, 8)


def test_a_change_of_plan_cuts_the_window() -> None:
    usage = replace(after(event(1, 5)), priced=True)
    middle = JUNE + timedelta(days=14)
    usage = ended(usage, SUBSCRIPTION, middle)
    usage = after(event(2, 7, day=20), event(3, 1, day=10), usage=usage)
    assert [(w.start, w.end, w.reading.quantity) for w in usage.windows] == [
        (JUNE, middle, 6),
        (middle, JULY, 7),
    ]
    assert usage.quantity(Period(JUNE, JULY), Aggregation.SUM) == 13
    assert [window.end for window in billable(usage, middle)] == [middle]


def test_old_windows_are_forgotten_once_nobody_can_report_to_them() -> None:
    usage = after(event(1, 5), event(2, 5, day=31 + 31 + 10))
    assert [window.start for window in usage.windows] == [datetime(2026, 8, 1, tzinfo=UTC)]
    owing = after(event(2, 5, day=31 + 31 + 10), usage=replace(after(event(1, 5)), priced=True))
    assert next(window.start for window in owing.windows) == JUNE, "unless they are still to be billed"


def test_without_a_period_quotas_count_by_months_from_the_anchor() -> None:
    free = replace(SUBSCRIPTION, interval=None, period=None, anchor=JUNE + timedelta(days=9))
    period = usage_period(free, JULY)
    assert (period.start, period.end) == (JUNE + timedelta(days=9), JULY + timedelta(days=9))


def test_each_share_of_a_quota_is_told_once() -> None:
    period = Period(JUNE, JULY)
    usage, told = USAGE, []
    for number, total in enumerate((799, 1, 199, 1, 500)):
        usage, facts = alerts(after(event(number, total), usage=usage), CALLS, period, 1000)
        told.append([fact.data["percent"] for fact in facts])
    assert told == [[], [80], [], [100], []]
    assert usage.quantity(period, Aggregation.SUM) == 1500


def test_one_event_may_jump_over_several() -> None:
    _, facts = alerts(after(event(1, 5000)), replace(CALLS, alerts=(90,)), Period(JUNE, JULY), 1000)
    assert [fact.type for fact in facts] == [
        "usage.quota_reached",
        "usage.quota_reached",
        "usage.threshold_reached",
    ]


def test_the_next_period_tells_anew() -> None:
    usage, _ = alerts(after(event(1, 900)), CALLS, Period(JUNE, JULY), 1000)
    august = datetime(2026, 8, 1, tzinfo=UTC)
    _, facts = alerts(after(event(2, 900, day=33), usage=usage), CALLS, Period(JULY, august), 1000)
    assert [fact.data["percent"] for fact in facts] == [80]


def test_no_quota_tells_nothing() -> None:
    assert alerts(after(event(1, 900)), CALLS, Period(JUNE, JULY), None)[1] == ()
