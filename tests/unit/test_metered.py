"""What usage costs: the windows that are over, commitments, and what came late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import Price, Timing, TrialEnd
from chalicelib.domain.explanation import amount_of
from chalicelib.domain.meter import Meter, UsageEvent
from chalicelib.domain.metered import metered
from chalicelib.domain.pricing import PricingModel, Rate, Tier
from chalicelib.domain.subscription import Item, ItemKind, Status, Trial
from chalicelib.domain.usage import Usage, counted, new_usage
from tests import samples

JUNE, JULY, AUGUST = (datetime(2026, month, 1, tzinfo=UTC) for month in (6, 7, 8))
CALLS = Meter(id="calls", name="Calls", event="call")
GRADUATED = Rate(PricingModel.GRADUATED, tiers=(Tier(100, "10"), Tier(None, "5", "200")))


def subscription(rate: Rate = GRADUATED, *, minimum: str | None = None, **changes: object):
    price = Price(
        id="calls_month",
        plan="pro",
        currency="USD",
        interval=samples.MONTHLY,
        rate=rate,
        meter="calls",
        minimum=minimum,
        timing=Timing.IN_ARREARS,
    )
    item = Item(
        id="pro.calls",
        kind=ItemKind.METERED,
        product="pro",
        name="Calls",
        quantity=0,
        price=price,
        starts_at=JUNE,
    )
    base = samples.subscription(
        anchor=JUNE, started_at=JUNE, period=Period(JUNE, JULY), zone="UTC", status=Status.ACTIVE, cycle=0
    )
    return replace(base, items=(base.plan, item), **changes)


def used(owner, *reports: tuple[int, int], usage: Usage | None = None) -> Usage:
    """(day of June, quantity) each."""
    usage = usage or new_usage(owner, "calls")
    for number, (day, quantity) in enumerate(reports):
        at = JUNE + timedelta(days=day - 1, seconds=len(usage.windows) * 100 + number)
        event = UsageEvent(
            id=f"{day}-{number}-{quantity}",
            customer_id=owner.customer_id,
            name="call",
            at=at,
            recorded_at=at,
            value=quantity,
        )
        usage = counted(usage, owner, CALLS, event)
    return usage


def amounts(lines) -> list[int]:
    assert [amount_of(line) for line in lines] == [line.amount for line in lines], "lines explain themselves"
    return [line.amount for line in lines]


def test_a_period_that_is_over_is_billed_once() -> None:
    sub = subscription()
    bill = metered(sub, [used(sub, (3, 60), (9, 90))], JULY)
    assert amounts(bill.lines) == [100 * 10 + 50 * 5 + 200]
    assert metered(sub, bill.usages, JULY).lines == ()


def test_nothing_used_costs_nothing_but_what_is_committed() -> None:
    assert amounts(metered(subscription(), [], JULY).lines) == [0]
    assert amounts(metered(subscription(minimum="5000"), [], JULY).lines) == [0, 5000]
    sub = subscription(minimum="233700", rate=Rate(PricingModel.PER_UNIT, "1"))
    assert amounts(metered(sub, [used(sub, (3, 1625))], JULY).lines) == [1625, 233700 - 1625]


def test_what_comes_late_costs_the_difference() -> None:
    sub = subscription()
    first = metered(sub, [used(sub, (3, 60))], JULY)
    late = used(sub, (9, 90), usage=first.usages[0])
    bill = metered(replace(sub, cycle=1, period=Period(JULY, AUGUST)), [late], AUGUST)
    assert amounts(first.lines) == [600]
    assert amounts(bill.lines) == [100 * 10 + 50 * 5 + 200 - 600, 0]
    assert [line.kind for line in bill.lines] == ["late_usage", "usage"]
    assert bill.lines[0].period == Period(JUNE, JULY)


def test_a_correction_gives_back() -> None:
    sub = subscription(rate=Rate(PricingModel.PER_UNIT, "2"))
    first = metered(sub, [used(sub, (3, 60))], JULY)
    bill = metered(
        replace(sub, cycle=1, period=Period(JULY, AUGUST)),
        [used(sub, (9, -10), usage=first.usages[0])],
        AUGUST,
    )
    assert amounts(bill.lines) == [-20, 0]


def test_usage_of_a_trial_and_before_the_meter_was_billed_is_free() -> None:
    sub = subscription(rate=Rate(PricingModel.PER_UNIT, "2"))
    trial = Trial(started_at=JUNE, ends_at=JULY, on_end=TrialEnd.CANCEL)
    converted = replace(sub, trial=trial, anchor=JULY, period=Period(JULY, AUGUST))
    assert amounts(metered(converted, [used(sub, (3, 60), (35, 5))], AUGUST).lines) == [10]
    begun = replace(sub, items=(sub.plan, replace(sub.items[1], starts_at=JULY)))
    bill = metered(
        replace(begun, cycle=1, period=Period(JULY, AUGUST)), [used(sub, (3, 60), (35, 5))], AUGUST
    )
    assert amounts(bill.lines) == [10]
