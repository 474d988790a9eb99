"""Changes told as stories: what they cost, when they come about, and that what is not paid for changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from chalicelib.application import changes
from chalicelib.application.catalog import publish_catalog
from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.customer import Member
from chalicelib.domain.errors import (
    InvalidStateError,
    PaymentDeclinedError,
    QuoteRequiredError,
    ValidationError,
)
from chalicelib.domain.subscription import Billing, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World

YEAR = Interval.of("year")


def price(amount: int, interval: str = "month", model: str = "flat") -> dict[str, Any]:
    return {"interval": interval, "currency": "USD", "model": model, "unit_amount": str(amount)}


def plan(id_: str, rank: int, *prices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": id_.title(), "rank": rank, "prices": list(prices), **more}


CATALOG: dict[str, Any] = {
    "seller": {"name": "Acme"},
    "plans": [
        plan("free", 0),
        plan("small", 1, price(1000), price(10000, "year")),
        plan("middle", 2, price(1500), price(15000, "year")),
        plan("large", 3, price(1900)),
        plan("team", 4, price(500, model="per_unit"), price(5000, "year", model="per_unit"), per_seat=True),
        plan("custom", 9, sold_by="quote_only"),
    ],
    "add_ons": [
        {
            "id": "sso",
            "name": "SSO",
            "prices": [price(300), price(3000, "year")],
            "plans": ["small", "middle"],
        },
        {"id": "audit", "name": "Audit", "prices": [price(700, model="per_unit")]},
    ],
}


@pytest.fixture
def world() -> World:
    world = World(start="2024-03-05T12:12:00+00:00")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


def bought(world: World, plan: str = "small", **order: Any) -> Subscription:
    subscription = world.subscribe(world.customer(card="pm_card_visa"), plan, **order)
    world.facts()
    return subscription


def change(world: World, sub: Subscription, *, request: str = "", **order: Any) -> Subscription:
    return changes.change_subscription(world.ctx(request), sub.id, ChangeOrder(**order))


def amounts(world: World, sub: Subscription) -> list[list[int]]:
    return [[line.amount for line in invoice.lines] for invoice in world.invoices(sub)]


class TestUp:
    def test_twice_in_one_day_on_the_anniversary(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=7)
        sub = change(world, sub, plan="middle")
        world.advance(hours=1)
        sub = change(world, sub, plan="large")
        assert amounts(world, sub) == [[1000], [-774, 1161], [-1161, 1471]]
        assert (sub.plan.product, sub.mrr, world.mrr()) == ("large", 1900, 1900)
        world.advance(days=25)
        assert amounts(world, sub)[-1] == [1900]

    def test_twice_in_one_day_on_the_calendar(self, world: World) -> None:
        sub = bought(world, billing=Billing.CALENDAR)
        world.advance(days=7)
        sub = change(world, sub, plan="middle")
        world.advance(hours=1)
        sub = change(world, sub, plan="large")
        assert amounts(world, sub) == [[871], [-645, 968], [-968, 1226]]

    def test_it_is_paid_before_it_is_in_force(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=7)
        world.facts()
        change(world, sub, plan="middle")
        world.expect("invoice.opened", "payment.succeeded", "invoice.paid", "subscription.changed")

    def test_declined_nothing_changes(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=7)
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        world.facts()
        with pytest.raises(PaymentDeclinedError):
            change(world, sub, plan="middle", request="once")
        after = world.reload(sub)
        assert (after.items, after.pending, after.mrr, str(after.status)) == (sub.items, None, 1000, "active")
        assert [str(invoice.status) for invoice in world.invoices(sub)] == ["paid", "void"]
        world.expect("invoice.opened", "payment.failed", "invoice.voided", "subscription.change_refused")
        with pytest.raises(PaymentDeclinedError):
            change(world, sub, plan="middle", request="once")
        assert len(world.invoices(sub)) == 2, "the same request is answered the same"
        world.advance(
            days=24,
            expect=["subscription.renewed", "invoice.opened", "payment.failed", "subscription.past_due"],
        )

    def test_the_same_request_again_changes_nothing(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=7)
        first = change(world, sub, plan="middle", request="once")
        assert change(world, sub, plan="middle", request="once") == first
        assert len(world.invoices(sub)) == 2

    def test_a_year_begins_a_period_of_its_own(self, world: World) -> None:
        sub = bought(world)
        sub = change(world, sub, interval=YEAR)
        assert amounts(world, sub) == [[1000], [-1000, 10000]]
        assert sub.period is not None
        assert sub.period.end == datetime(2025, 3, 5, 12, 12, tzinfo=UTC)
        assert sub.mrr == 833

    def test_from_free_it_begins_now(self, world: World) -> None:
        sub = bought(world, "free")
        world.advance(days=10)
        sub = change(world, sub, plan="small")
        assert sub.period is not None
        assert sub.period.start == world.now
        assert amounts(world, sub) == [[1000]]
        assert world.mrr() == 1000

    def test_without_proration_only_the_next_period_costs_more(self, world: World) -> None:
        sub = bought(world)
        world.advance(days=7)
        sub = change(world, sub, plan="middle", prorate=False)
        assert amounts(world, sub) == [[1000]]
        world.advance(days=25)
        assert amounts(world, sub) == [[1000], [1500]]

    def test_several_at_once(self, world: World) -> None:
        sub = bought(world)
        sub = change(world, sub, plan="middle", interval=YEAR, add_ons=(("sso", 1),))
        assert amounts(world, sub) == [[1000], [-1000, 15000, 3000]]


class TestSeats:
    def test_more_seats_cost_their_rest_of_the_period(self, world: World) -> None:
        sub = bought(world, "team", quantity=2)
        world.advance(days=16)
        sub = change(world, sub, quantity=4)
        assert amounts(world, sub) == [[1000], [-484, 968]]
        assert sub.plan.quantity == 4

    def test_what_stays_is_not_billed_again(self, world: World) -> None:
        sub = bought(world, "team", quantity=2)
        world.advance(days=16)
        sub = change(world, sub, add_ons=(("audit", 1),))
        assert amounts(world, sub) == [[1000], [339]]

    def test_seats_that_are_assigned_are_kept(self, world: World) -> None:
        sub = bought(world, "team", quantity=3)
        for name in ("ada", "bo"):
            member = Member(
                id=ids.child_id("mem", sub.customer_id, name),
                customer_id=sub.customer_id,
                email=f"{name}@example.com",
                created_at=world.now,
            )
            world.parts.store.commit(world.env, member)
        with pytest.raises(InvalidStateError, match=r"ada@example\.com, bo@example\.com"):
            change(world, sub, quantity=1)
        assert change(world, sub, quantity=2).pending is not None


class TestDown:
    def test_it_waits_for_the_end_of_the_period_without_credit(self, world: World) -> None:
        sub = bought(world, "large")
        world.advance(days=7)
        world.facts()
        sub = change(world, sub, plan="small")
        world.expect("subscription.change_scheduled")
        assert sub.pending is not None
        assert sub.period is not None
        assert (sub.pending.at, sub.plan.product) == (sub.period.end, "large")
        world.advance(
            days=24,
            expect=[
                "subscription.changed",
                "subscription.renewed",
                "invoice.opened",
                "payment.succeeded",
                "invoice.paid",
            ],
        )
        sub = world.reload(sub)
        assert (sub.plan.product, sub.pending, sub.mrr, world.mrr()) == ("small", None, 1000, 1000)
        assert amounts(world, sub) == [[1900], [1000]]

    def test_it_can_be_taken_back(self, world: World) -> None:
        sub = bought(world, "large")
        change(world, sub, plan="small")
        sub = changes.revoke_change(world.ctx(), sub.id)
        assert sub.pending is None
        world.expect("subscription.change_scheduled", "subscription.change_revoked")
        with pytest.raises(InvalidStateError):
            changes.revoke_change(world.ctx(), sub.id)

    def test_asked_for_now_the_rest_becomes_credit(self, world: World) -> None:
        sub = bought(world, "large")
        world.advance(days=7)
        sub = change(world, sub, plan="small", at=When.NOW)
        assert amounts(world, sub) == [[1900], [-1471, 774]]
        assert [credit.amount for credit in world.account(sub.customer_id).credits] == [697]
        world.advance(days=24)
        invoice = world.invoices(sub)[-1]
        assert (invoice.total, invoice.credit_applied, invoice.amount_paid) == (1000, 697, 303)

    def test_from_year_to_month(self, world: World) -> None:
        sub = bought(world, interval="year")
        sub = change(world, sub, interval=Interval.of("month"))
        assert sub.pending is not None
        world.advance(days=366)
        sub = world.reload(sub)
        assert sub.period is not None
        assert sub.period.end == datetime(2025, 4, 5, 12, 12, tzinfo=UTC)
        assert amounts(world, sub) == [[10000], [1000]]

    def test_to_free_at_the_end(self, world: World) -> None:
        sub = bought(world)
        change(world, sub, plan="free")
        world.advance(days=40)
        sub = world.reload(sub)
        assert (sub.plan.product, sub.period, str(sub.status), sub.mrr) == ("free", None, "active", 0)
        assert amounts(world, sub) == [[1000]]


class TestOnTrial:
    @pytest.fixture
    def trying(self, world: World) -> Subscription:
        plans = [
            {**each, "trial": {"days": 14}} if each["prices"] and "sold_by" not in each else each
            for each in CATALOG["plans"]
        ]
        publish_catalog(world.ctx(), cast(Any, {**CATALOG, "plans": plans}), expected=2)
        return bought(world, "middle", trial_days=14)

    def test_another_plan_is_tried_on_and_paid_at_the_end(self, world: World, trying: Subscription) -> None:
        sub = change(world, trying, plan="small")
        assert (str(sub.status), sub.plan.product, sub.pending) == ("trialing", "small", None)
        world.advance(days=15)
        assert amounts(world, sub) == [[1000]]

    def test_the_free_plan_needs_no_trial(self, world: World, trying: Subscription) -> None:
        sub = change(world, trying, plan="free")
        assert (str(sub.status), sub.plan.product) == ("active", "free")
        world.advance(days=40)
        assert (str(world.reload(sub).status), amounts(world, sub)) == ("active", [])


class TestOnADate:
    def test_it_comes_about_then(self, world: World) -> None:
        sub = bought(world)
        at = world.now + timedelta(days=7)
        sub = change(world, sub, plan="middle", at=at)
        assert sub.pending is not None
        world.advance(days=10)
        sub = world.reload(sub)
        assert (sub.plan.product, sub.pending) == ("middle", None)
        assert amounts(world, sub) == [[1000], [-774, 1161]]

    def test_declined_then_it_is_given_up(self, world: World) -> None:
        sub = bought(world)
        change(world, sub, plan="middle", at=world.now + timedelta(days=7))
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        world.facts()
        world.advance(
            days=10,
            expect=["invoice.opened", "payment.failed", "invoice.voided", "subscription.change_refused"],
        )
        assert world.reload(sub).plan.product == "small"

    def test_beyond_the_period_is_refused(self, world: World) -> None:
        sub = bought(world)
        with pytest.raises(ValidationError) as refused:
            change(world, sub, plan="middle", at=world.now + timedelta(days=40))
        assert refused.value.field == "at"


class TestBillingDay:
    def test_the_time_until_it_is_billed_by_its_share(self, world: World) -> None:
        sub = bought(world)
        sub = change(world, sub, billing_day=20)
        world.advance(to="2024-06-01T00:00:00+00:00")
        assert [
            [str(i.period.start.date()), str(i.period.end.date())] for i in world.invoices(sub) if i.period
        ] == [
            ["2024-03-05", "2024-04-05"],
            ["2024-04-05", "2024-04-20"],
            ["2024-04-20", "2024-05-20"],
            ["2024-05-20", "2024-06-20"],
        ]
        assert amounts(world, sub) == [[1000], [484], [1000], [1000]]

    def test_the_31st_stays_the_31st(self, world: World) -> None:
        sub = change(world, bought(world), billing_day=31)
        world.advance(to="2024-07-02T00:00:00+00:00")
        ends = [i.period.end.date().isoformat() for i in world.invoices(sub) if i.period]
        assert ends[1:] == ["2024-04-30", "2024-05-31", "2024-06-30", "2024-07-31"]

    @pytest.mark.parametrize("order", [{"at": When.NOW}, {"interval": YEAR}])
    def test_what_makes_no_sense_is_refused(self, world: World, order: dict[str, Any]) -> None:
        with pytest.raises(ValidationError) as refused:
            change(world, bought(world), billing_day=20, **order)
        assert refused.value.field == "billing_day"


class TestRefusals:
    @pytest.mark.parametrize(
        ("order", "error"),
        [
            ({"plan": "small"}, InvalidStateError),
            ({"plan": "nope"}, ValidationError),
            ({"plan": "custom"}, QuoteRequiredError),
            ({"quantity": 2}, ValidationError),
            ({"plan": "team", "add_ons": (("sso", 1),)}, ValidationError),
        ],
    )
    def test_what_cannot_be(self, world: World, order: dict[str, Any], error: type[Exception]) -> None:
        sub = bought(world)
        with pytest.raises(error):
            change(world, sub, **order)
        assert world.facts() == []

    def test_in_arrears_nothing_is_changed(self, world: World) -> None:
        sub = bought(world)
        world.card(sub.customer_id, "pm_card_chargeCustomerFail")
        world.advance(days=32)
        with pytest.raises(InvalidStateError, match="past_due"):
            change(world, sub, plan="middle")

    def test_what_was_bought_keeps_its_price(self, world: World) -> None:
        sub = bought(world, "team", quantity=1)
        dearer = {
            **CATALOG,
            "plans": [plan("team", 4, price(900, model="per_unit"), per_seat=True)],
            "add_ons": [],
        }
        publish_catalog(world.ctx(), dearer, expected=2)
        sub = change(world, sub, quantity=2)
        assert amounts(world, sub) == [[500], [-500, 1000]]


class TestConfirmation:
    def test_it_waits_for_the_customer_and_expires(self, world: World) -> None:
        sub = bought(world)
        world.card(sub.customer_id, "pm_card_authenticationRequired")
        with pytest.raises(PaymentDeclinedError) as wanted:
            change(world, sub, plan="middle")
        assert wanted.value.ids["confirmation_url"]
        waiting = world.reload(sub)
        assert waiting.pending is not None
        assert (str(waiting.status), waiting.dunning) == ("active", None)
        assert (waiting.plan.product, waiting.pending.invoice_id is not None) == ("small", True)
        world.advance(days=2)
        after = world.reload(sub)
        assert (after.plan.product, after.pending) == ("small", None)
        assert [str(invoice.status) for invoice in world.invoices(sub)] == ["paid", "void"]


class TestKilledAnywhere:
    """Between any two steps, and run again: one charge or none, and either the old state or the new one."""

    def prepare(self, card: str) -> Callable[[World], str]:
        def story(world: World) -> str:
            publish_catalog(world.ctx(), CATALOG, expected=1)
            sub = bought(world)
            world.card(sub.customer_id, card)
            return sub.id

        return story

    def again(self, world: World, sub: str) -> None:
        with suppress(PaymentDeclinedError):
            changes.change_subscription(world.ctx("once"), sub, ChangeOrder(plan="middle", at=When.NOW))

    def test_it_is_charged_once_and_in_force(self) -> None:
        for world in every_step(self.prepare("pm_card_visa"), self.again, self.again):
            (sub,) = world.parts.store.records(Subscription)
            assert (sub.plan.product, sub.pending, sub.mrr) == ("middle", None, 1500)
            assert [invoice.amount_paid for invoice in world.invoices(sub)] == [1000, 500]
            assert world.mrr() == 1500

    def test_declined_it_is_void_and_nothing_has_changed(self) -> None:
        for world in every_step(self.prepare("pm_card_chargeCustomerFail"), self.again, self.again):
            (sub,) = world.parts.store.records(Subscription)
            assert (sub.plan.product, sub.pending, sub.mrr) == ("small", None, 1000)
            assert [str(invoice.status) for invoice in world.invoices(sub)] == ["paid", "void"]

    def test_nobody_asks_again_and_the_clock_repairs_it(self) -> None:
        def wait(world: World, _sub: str) -> None:
            world.advance(days=2)

        for world in every_step(self.prepare("pm_card_visa"), self.again, wait):
            (sub,) = world.parts.store.records(Subscription)
            paid = [str(invoice.status) for invoice in world.invoices(sub)].count("paid")
            assert (sub.plan.product, sub.pending, paid) in [("middle", None, 2), ("small", None, 1)]
