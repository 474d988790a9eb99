"""Changes of any kind, in any order: they cost what their stretches cost, and what is shown is what is done."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.application import changes, pauses, subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.previews import commit_previewed, preview
from chalicelib.domain.calendar import Interval, Period, days_in, local_day
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.errors import DomainError
from chalicelib.domain.explanation import check
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.lifecycle import full_period
from chalicelib.domain.subscription import Billing, Subscription
from tests.scenario.world import World

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "Pacific/Kiritimati",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)
PRICES = {"p0": 1000, "p1": 1500, "p2": 1900, "p3": 2999, "p4": 33333}
SEATS = "team"


def catalog(currency: str) -> dict[str, Any]:
    def price(amount: int, interval: str, model: str = "flat") -> dict[str, Any]:
        return {"interval": interval, "currency": currency, "model": model, "unit_amount": str(amount)}

    plans = [
        {
            "id": name,
            "name": name,
            "rank": rank,
            "prices": [price(amount, "month"), price(amount * 10, "year")],
        }
        for rank, (name, amount) in enumerate(PRICES.items(), 1)
    ]
    seats = [price(777, "month", "per_unit"), price(7770, "year", "per_unit")]
    plans.append({"id": SEATS, "name": "Team", "rank": 9, "per_seat": True, "prices": seats})
    add_on = {"id": "extra", "name": "Extra", "prices": [price(311, "month"), price(3110, "year")]}
    return {"default_currency": currency, "seller": {"name": "Acme"}, "plans": plans, "add_ons": [add_on]}


def world_in(zone: str, currency: str, start: str) -> tuple[World, str]:
    world = World(start=start)
    publish_catalog(world.ctx(), catalog(currency), expected=1)
    return world, world.customer(card="pm_card_visa", zone=zone)


FIRST = datetime(2024, 1, 1, tzinfo=UTC)
STARTS = st.integers(0, 4 * 365 * 86_400).map(
    lambda seconds: (FIRST + timedelta(seconds=seconds)).isoformat()
)
ACTS = ("change", "change", "change", "pause", "resume", "cancel", "back")


@given(
    zone=st.sampled_from(ZONES),
    currency=st.sampled_from(("USD", "JPY", "KWD")),
    start=STARTS,
    billing=st.sampled_from(tuple(Billing)),
    first=st.sampled_from(sorted(PRICES)),
    steps=st.lists(
        st.tuples(st.integers(0, 9 * 24), st.sampled_from(sorted(PRICES))), min_size=1, max_size=5
    ),
)
@settings(max_examples=60, deadline=None)
def test_a_chain_of_changes_costs_what_its_stretches_cost(
    zone: str, currency: str, start: str, billing: Billing, first: str, steps: list[tuple[int, str]]
) -> None:
    """Per change, one minor unit at most is lost or made by rounding: each side of it is rounded once."""
    world, customer = world_in(zone, currency, start)
    sub = world.subscribe(customer, first, currency=currency, billing=billing)
    period = sub.period
    assert period is not None
    full = _full(sub)
    stretches = [(period.start, first)]
    made = 0
    for hours, plan in steps:
        world.advance(hours=hours)
        if world.now >= period.end:
            break
        with suppress(DomainError):
            changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan=plan, at=When.NOW))
            stretches.append((world.now, plan))
            made += 1
    billed = sum(line.amount for invoice in _of_period(world, sub, period) for line in invoice.lines)
    ends = [*(at for at, _ in stretches[1:]), period.end]
    exact = sum(
        Fraction(PRICES[plan] * days_in(Period(min(at, end), end), zone), days_in(full, zone))
        for (at, plan), end in zip(stretches, ends, strict=True)
    )
    assert abs(Fraction(billed) - exact) <= made + 1
    assert all(check(invoice) == [] for invoice in world.invoices(sub))
    assert all(invoice.total >= 0 for invoice in world.invoices(sub))


ORDERS = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from((*sorted(PRICES), SEATS)),
        "interval": st.sampled_from(("month", "year")).map(Interval.of),
        "quantity": st.integers(1, 5),
        "add_ons": st.sampled_from(((), (("extra", 1),), (("extra", 3),))),
        "at": st.sampled_from((None, When.NOW, When.PERIOD_END)),
        "prorate": st.booleans(),
    },
)


@given(
    zone=st.sampled_from(ZONES),
    currency=st.sampled_from(("USD", "JPY", "KWD")),
    start=STARTS,
    wanted=st.lists(st.tuples(st.integers(0, 40 * 24), ORDERS), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_what_is_previewed_is_what_is_committed(
    zone: str, currency: str, start: str, wanted: list[tuple[int, dict[str, Any]]]
) -> None:
    world, customer = world_in(zone, currency, start)
    sub = world.subscribe(customer, "p1", currency=currency)
    for hours, fields in wanted:
        world.advance(hours=hours)
        order = ChangeOrder(**fields)
        name = f"change:{order}"
        try:
            shown = preview(
                world.ctx(), name, partial(changes.change_subscription, subscription_id=sub.id, order=order)
            )
        except DomainError:
            continue
        done = commit_previewed(
            world.ctx(),
            name,
            shown.token,
            partial(changes.change_subscription, subscription_id=sub.id, order=order),
        )
        for invoice in shown.outcome.invoices:
            stored = next(each for each in world.invoices(sub) if each.id == invoice.id)
            for field in (
                "lines",
                "total",
                "tax",
                "credit_applied",
                "amount_due",
                "number",
                "period",
                "issued_at",
            ):
                assert getattr(stored, field) == getattr(invoice, field), field
        if shown.following is not None and done.period is not None:
            world.advance(to=done.period.end.isoformat())
            cycle = world.invoices(sub)[-1]
            assert [line.amount for line in cycle.lines] == [line.amount for line in shown.following.lines]
            assert cycle.amount_due == shown.following.amount_due


@given(
    zone=st.sampled_from(ZONES),
    start=STARTS,
    year=st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from(ACTS),
            ORDERS,
        ),
        min_size=1,
        max_size=8,
    ),
)
@settings(max_examples=40, deadline=None)
def test_in_a_random_year_no_day_is_billed_twice_and_none_that_was_served_is_not(
    zone: str, start: str, year: list[tuple[int, str, dict[str, Any]]]
) -> None:
    """For the plan: charged days less credited days of the lines are the days on which it was served."""
    world, customer = world_in(zone, "USD", start)
    sub = world.subscribe(customer, "p1")
    for days, act, fields in year:
        world.advance(days=days)
        with suppress(DomainError):
            _do(world, sub, act, fields)
    world.advance(days=1)
    charged = _covered(world, sub, zone)
    assert max(charged.values(), default=0) <= 1, "a day is billed twice"
    assert min(charged.values(), default=0) >= 0, "a day is credited that was not billed"
    assert all(check(invoice) == [] for invoice in world.invoices(sub))


def _do(world: World, sub: Subscription, act: str, fields: dict[str, Any]) -> None:
    match act:
        case "change":
            fields = {name: value for name, value in fields.items() if name != "prorate"}
            changes.change_subscription(world.ctx(), sub.id, ChangeOrder(**fields))
        case "pause":
            pauses.pause_subscription(world.ctx(), sub.id, at_period_end=False)
        case "resume":
            pauses.resume_subscription(world.ctx(), sub.id)
        case "cancel":
            subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="")
        case "back":
            subscriptions.reactivate_subscription(world.ctx(), sub.id)


def _covered(world: World, sub: Subscription, zone: str) -> dict[Any, int]:
    """Day → how often the plan is billed for it, less how often it was credited."""
    days: dict[Any, int] = {}
    for invoice in world.invoices(sub):
        if str(invoice.status) == "void":
            continue
        for line in invoice.lines:
            if line.period is None or line.id.partition(":")[0] != "plan":
                continue
            day, end = local_day(line.period.start, zone), local_day(line.period.end, zone)
            while day < end:
                days[day] = days.get(day, 0) + (-1 if line.is_credit else 1)
                day += timedelta(days=1)
    return days


def _of_period(world: World, sub: Subscription, period: Period) -> list[Invoice]:
    return [invoice for invoice in world.invoices(sub) if invoice.issued_at < period.end]


def _full(sub: Subscription) -> Period:
    return full_period(sub, sub.cycle)
