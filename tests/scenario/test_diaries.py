"""More billing diaries: arrears that overlap, small amounts, credit, stubs, terms, trials' ends, late money."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest

from chalicelib.application import payments, subscriptions
from chalicelib.application.catalog import default_document, publish_catalog
from chalicelib.domain.calendar import Interval
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.errors import PaymentPendingError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import LedgerAccount, MovementKind
from chalicelib.domain.payment import Allocation
from chalicelib.domain.subscription import Billing, Status, Subscription, Term
from tests.scenario.world import World

PAID = ["payment.succeeded", "invoice.paid"]
RENEWED = ["subscription.renewed", "invoice.opened", *PAID]
WEEKLY, TINY = 700, {"USD": "30", "JPY": "20", "KWD": "205"}


def world_with(start: str, *plans: dict[str, Any]) -> World:
    """A world whose catalog also has these plans."""
    world = World(start=start)
    changed: Any = deepcopy(default_document())
    changed["plans"] += [{"rank": 50 + index, "features": [], **plan} for index, plan in enumerate(plans)]
    publish_catalog(world.ctx(), changed, expected=1)
    return world


def price(amount: str, currency: str = "USD", interval: str = "month") -> dict[str, Any]:
    return {"interval": interval, "currency": currency, "model": "flat", "unit_amount": amount}


def behave(world: World, how: str) -> None:
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, how)


def record(world: World, customer: str, amount: int, *invoices: Invoice) -> str:
    allocations = [Allocation(invoice.id, invoice.amount_remaining) for invoice in invoices]
    return payments.record_payment(
        world.ctx(), customer, amount=amount, currency="USD", kind="transfer", reference=None,
        allocations=allocations,
    ).id  # fmt: skip


def attempts(invoice: Invoice) -> list[tuple[str, str]]:
    return [(attempt.at.isoformat()[:10], attempt.status) for attempt in invoice.attempts]


class TestOverlappingArrears:
    """A week is shorter than a dunning run: the next invoices wait behind the oldest."""

    @pytest.fixture
    def world(self) -> World:
        return world_with(
            "2026-03-02T08:00:00+00:00",
            {"id": "weekly", "name": "Weekly", "prices": [price("700", interval="week")]},
        )

    @pytest.fixture
    def sub(self, world: World) -> Subscription:
        made = world.subscribe(world.customer("pm_card_visa"), "weekly", interval="week")
        behave(world, "insufficient_funds")
        world.facts()
        return made

    def test_are_collected_oldest_first_and_recovered_in_order(self, world: World, sub: Subscription) -> None:
        world.advance(
            to="2026-03-09T08:00:00+00:00",
            expect=["subscription.renewed", "invoice.opened", "payment.failed", "subscription.past_due"],
        )
        world.advance(days=2, expect=["payment.failed"])
        world.advance(days=5, expect=["payment.failed", "subscription.renewed", "invoice.opened"])
        _, oldest, newest = world.invoices(sub)
        run = world.reload(sub).dunning
        assert run is not None
        assert run.invoices == (oldest.id, newest.id)
        assert newest.attempts == ()
        behave(world, "ok")
        world.advance(
            days=7, expect=[*PAID, *PAID, "subscription.recovered", *RENEWED]
        )  # day 14 of the run and the day of the next renewal
        _, oldest, newest, fourth = world.invoices(sub)
        assert attempts(oldest) == [
            ("2026-03-09", "declined"),
            ("2026-03-11", "declined"),
            ("2026-03-16", "declined"),
            ("2026-03-23", "succeeded"),
        ]
        assert attempts(newest) == [("2026-03-23", "succeeded")]
        charged = [charge.request.invoice_id for charge in world.parts.gateway.charges()][1:]
        assert charged == [oldest.id, newest.id, fourth.id]
        sub = world.reload(sub)
        assert (sub.status, sub.dunning) == (Status.ACTIVE, None)
        assert world.ledger() == {LedgerAccount.CASH: 4 * WEEKLY, LedgerAccount.REVENUE: -4 * WEEKLY}
        world.advance(days=7, expect=RENEWED)

    def test_a_card_that_works_once_leaves_the_rest_in_the_run(self, world: World, sub: Subscription) -> None:
        world.advance(days=14)
        _, oldest, newest = world.invoices(sub)
        world.facts()
        record(world, sub.customer_id, WEEKLY, oldest)
        world.expect("payment.recorded", "invoice.paid")
        world.advance(minutes=1, expect=["payment.failed"])
        run = world.reload(sub).dunning
        assert run is not None
        assert run.invoices == (newest.id,)
        assert world.reload(sub).status is Status.PAST_DUE

    def test_end_together_as_bad_debt(self, world: World, sub: Subscription) -> None:
        world.advance(days=27)
        world.facts()
        world.advance(
            days=1,
            expect=[
                "payment.failed",
                "subscription.canceled",
                "invoice.uncollectible",
                "invoice.uncollectible",
                "invoice.uncollectible",
            ],
        )
        assert [invoice.status for invoice in world.invoices(sub)] == ["paid"] + ["uncollectible"] * 3
        assert world.ledger() == {
            LedgerAccount.CASH: WEEKLY,
            LedgerAccount.BAD_DEBT: 3 * WEEKLY,
            LedgerAccount.REVENUE: -4 * WEEKLY,
        }
        assert world.mrr() == 0
        world.advance(days=60, expect=["subscription.win_back"])


class TestSmallAmounts:
    """What is below the processor's minimum is not charged but carried to the next invoice."""

    @pytest.fixture
    def world(self) -> World:
        prices = [price(amount, currency) for currency, amount in TINY.items()]
        return world_with("2026-01-10T09:00:00+00:00", {"id": "tiny", "name": "Tiny", "prices": prices})

    def test_cents(self, world: World) -> None:
        sub = world.subscribe(world.customer("pm_card_visa"), "tiny")
        world.expect(
            "payment_method.attached",
            "subscription.created",
            "invoice.opened",
            "invoice.paid",
            "subscription.activated",
        )
        world.advance(days=31, expect=RENEWED)
        world.advance(days=28, expect=["subscription.renewed", "invoice.opened", "invoice.paid"])
        assert carried(world, sub) == [(30, 0, 30, 0), (30, 30, 0, 60), (30, 0, 30, 0)]
        assert world.parts.gateway.totals("USD") == 60
        assert world.ledger() == {
            LedgerAccount.CASH: 60,
            LedgerAccount.CUSTOMER_CREDIT: 30,
            LedgerAccount.REVENUE: -90,
        }

    def test_yen_over_three_months(self, world: World) -> None:
        sub = world.subscribe(world.customer("pm_card_visa"), "tiny", currency="JPY")
        world.advance(to="2026-03-10T09:00:00+00:00")
        assert carried(world, sub) == [(20, 0, 20, 0), (20, 20, 40, 0), (20, 40, 0, 60)]
        assert world.parts.gateway.totals("JPY") == 60
        assert world.ledger("JPY") == {LedgerAccount.CASH: 60, LedgerAccount.REVENUE: -60}

    def test_fils_which_the_processor_rounds_to_tens(self, world: World) -> None:
        sub = world.subscribe(world.customer("pm_card_visa"), "tiny", currency="KWD")
        world.advance(to="2026-03-10T09:00:00+00:00")
        assert carried(world, sub) == [(205, 0, 205, 0), (205, 205, 410, 0), (205, 410, 0, 615)]
        assert world.parts.gateway.totals("KWD") == 620
        assert world.ledger("KWD") == {
            LedgerAccount.CASH: 620,
            LedgerAccount.ROUNDING: -5,
            LedgerAccount.REVENUE: -615,
        }
        assert world.invoices(sub)[-1].amount_paid == 615

    def test_another_currencys_invoice_carries_nothing_of_it(self, world: World) -> None:
        customer = world.customer("pm_card_visa")
        world.subscribe(customer, "tiny")
        other = world.subscribe(customer, "starter", currency="EUR", trial_days=0)
        assert world.invoices(other)[0].carried_in == 0


def carried(world: World, sub: Subscription) -> list[tuple[int, int, int, int]]:
    return [
        (invoice.total, invoice.carried_in, invoice.carried_out, invoice.amount_paid)
        for invoice in world.invoices(sub)
    ]


def test_credit_is_used_oldest_first() -> None:
    world = World(start="2026-03-01T09:00:00+00:00")
    customer = world.customer("pm_card_visa")
    record(world, customer, 1500)
    world.advance(days=1)
    newer = record(world, customer, 2500)
    world.facts()
    sub = world.subscribe(customer, "starter", trial_days=0)
    world.expect("subscription.created", "invoice.opened", "invoice.paid", "subscription.activated")
    assert [(credit.amount, credit.source) for credit in world.account(customer).credits] == [(2100, newer)]
    world.advance(days=31, expect=["subscription.renewed", "invoice.opened", "invoice.paid"])
    assert [(credit.amount, credit.source) for credit in world.account(customer).credits] == [(200, newer)]
    world.advance(days=30, expect=RENEWED)
    assert world.account(customer).credits == ()
    assert [(i.credit_applied, i.amount_paid) for i in world.invoices(sub)] == [
        (1900, 0),
        (1900, 0),
        (200, 1700),
    ]
    assert world.ledger() == {LedgerAccount.CASH: 5700, LedgerAccount.REVENUE: -5700}


def test_calendar_billing_begins_with_a_stub_in_the_customers_zone() -> None:
    world = World(start="2026-01-21T02:00:00+00:00")  # the 20th, 21:00 in New York: 12 of 31 days
    customer = world.customer("pm_card_visa", zone="America/New_York")
    sub = world.subscribe(customer, "pro", trial_days=0, billing=Billing.CALENDAR)
    (stub,) = world.invoices(sub)
    (line,) = stub.lines
    assert (line.numerator, line.denominator, stub.total) == (12, 31, 1123)
    assert line.description == "Pro, 12 of 31 days"
    assert world.mrr() == 2900
    world.facts()
    world.advance(to="2026-02-01T04:59:59+00:00", expect=[])
    world.advance(to="2026-02-01T05:00:00+00:00", expect=RENEWED)
    world.advance(to="2026-04-01T04:00:00+00:00", expect=RENEWED * 2)  # daylight saving since 8 March
    whole = world.invoices(sub)[1:]
    assert [invoice.total for invoice in whole] == [2900] * 3
    assert [invoice.period.start.isoformat() for invoice in whole if invoice.period] == [
        "2026-02-01T05:00:00+00:00",
        "2026-03-01T05:00:00+00:00",
        "2026-04-01T04:00:00+00:00",
    ]


@pytest.mark.parametrize("auto_renew", [False, True])
def test_a_term_ends_or_renews_by_itself(auto_renew: bool) -> None:
    world = World(start="2026-01-31T10:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    end = "2026-04-30T10:00:00+00:00"
    world.edit(sub, term=Term(ends_at=sub.anchor.replace(month=4, day=30), auto_renew=auto_renew, months=3))
    world.facts()
    world.advance(to="2026-04-29T10:00:00+00:00", expect=RENEWED * 2)
    if auto_renew:
        world.advance(to=end, expect=RENEWED)
        return
    world.advance(to=end, expect=["subscription.canceled"])
    sub = world.reload(sub)
    assert sub.status is Status.CANCELED
    assert sub.cancellation is not None
    assert (sub.cancellation.reason, sub.ended_at) == ("term_ended", world.now)
    assert [movement.kind for entry in world.journal() for movement in entry.movements] == [
        MovementKind.NEW,
        MovementKind.CHURN,
    ]
    world.advance(days=90, expect=["subscription.win_back"])
    assert len(world.invoices(sub)) == 3


class TestTrialEnds:
    def test_falls_back_to_the_free_plan_without_an_invoice(self) -> None:
        world = World(start="2026-03-01T09:00:00+00:00")
        sub = world.subscribe(world.customer(), "starter")
        world.expect("subscription.created", "subscription.trial_started")
        world.advance(to="2026-03-15T08:59:59+00:00", expect=["subscription.trial_will_end"] * 3)
        world.advance(
            to="2026-03-15T09:00:00+00:00", expect=["subscription.trial_lapsed", "subscription.activated"]
        )
        sub = world.reload(sub)
        assert (sub.plan.product, sub.status, sub.period, sub.mrr) == ("free", Status.ACTIVE, None, 0)
        assert world.invoices(sub) == []
        world.advance(days=400, expect=[])

    def test_sends_an_invoice_where_the_plan_says_so(self) -> None:
        world = world_with(
            "2026-03-01T09:00:00+00:00",
            {
                "id": "firm",
                "name": "Firm",
                "prices": [price("5000")],
                "trial": {"days": 10, "card_required": False, "on_end": "invoice"},
            },
        )
        customer = world.customer()
        sub = world.subscribe(customer, "firm")
        world.facts()
        world.advance(to="2026-03-11T08:59:59+00:00", expect=["subscription.trial_will_end"] * 3)
        world.advance(
            to="2026-03-11T09:00:00+00:00",
            expect=["subscription.trial_converted", "subscription.activated", "invoice.opened"],
        )
        (invoice,) = world.invoices(sub)
        assert (invoice.status, invoice.terms.method) == ("open", CollectionMethod.SEND_INVOICE)
        assert invoice.due_at.isoformat() == "2026-03-25T09:00:00+00:00"
        assert world.mrr() == 5000
        world.advance(to="2026-03-26T00:00:00+00:00", expect=["invoice.overdue"])
        record(world, customer, 5000, invoice)
        world.expect("payment.recorded", "invoice.paid")
        world.advance(to="2026-04-11T09:00:00+00:00", expect=["subscription.renewed", "invoice.opened"])
        assert world.reload(sub).status is Status.ACTIVE

    def test_with_a_card_that_fails_is_past_due(self) -> None:
        world = World(start="2026-03-01T09:00:00+00:00")
        sub = world.subscribe(world.customer("pm_card_visa"), "starter")
        behave(world, "generic_decline")
        world.advance(to="2026-03-15T08:59:59+00:00")
        world.facts()
        world.advance(
            to="2026-03-15T09:00:00+00:00",
            expect=[
                "subscription.trial_converted",
                "subscription.activated",
                "invoice.opened",
                "payment.failed",
                "subscription.past_due",
            ],
        )
        assert world.reload(sub).status is Status.PAST_DUE


def test_cancelled_while_past_due_nothing_more_is_tried() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    behave(world, "generic_decline")
    world.advance(days=31)
    world.facts()
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="moved away")
    world.expect("subscription.canceled", "invoice.credited")
    sub = world.reload(sub)
    assert (sub.status, sub.dunning, sub.mrr) == (Status.CANCELED, None, 0)
    behave(world, "ok")
    world.advance(days=60, expect=["subscription.win_back"])
    _, owed = world.invoices(sub)
    # 1 of 30 days was served: 0.63 of 19.00 stays due.
    assert (owed.status, owed.amount_remaining) == ("open", 63)
    record(world, customer, 63, owed)
    world.expect("payment.recorded", "invoice.paid")
    assert world.reload(sub).status is Status.CANCELED
    assert world.ledger() == {LedgerAccount.CASH: 1963, LedgerAccount.REVENUE: -1963}


@pytest.mark.parametrize("decline", ["insufficient_funds", "lost_card"])
def test_a_new_card_is_tried_at_once(decline: str) -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    behave(world, decline)
    world.advance(days=32)
    world.facts()
    world.card(customer, "pm_card_mastercard")
    world.advance(minutes=1, expect=["payment_method.attached", *PAID, "subscription.recovered"])
    assert world.reload(sub).status is Status.ACTIVE
    world.advance(to="2026-05-05T12:00:00+00:00", expect=RENEWED)


def test_a_new_card_that_fails_too_uses_up_no_day() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    behave(world, "insufficient_funds")
    world.advance(days=32)
    world.facts()
    world.card(customer, "pm_card_insufficient_funds")
    world.advance(minutes=1, expect=["payment_method.attached", "payment.failed"])
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    assert run.next_at.isoformat() == "2026-04-07T12:00:00+00:00"
    world.advance(to="2026-04-26T11:00:00+00:00", expect=["payment.failed"] * 3)
    world.advance(hours=1, expect=["payment.failed", "subscription.canceled", "invoice.uncollectible"])


def test_the_same_card_again_changes_nothing() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    behave(world, "insufficient_funds")
    world.advance(days=32)
    before = world.reload(sub)
    world.card(customer, method.id)
    assert world.reload(sub) == before


def test_a_debit_that_succeeds_after_the_cancellation_pays_and_revives_nothing() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    behave(world, "processing")
    world.facts()
    world.advance(days=31, expect=["subscription.renewed", "invoice.opened", "payment.processing"])
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    world.expect("subscription.canceled")
    world.parts.gateway.settle(list(world.parts.gateway.payments)[-1], "ok")
    world.advance(days=4, expect=PAID)
    sub = world.reload(sub)
    assert (sub.status, sub.mrr) == (Status.CANCELED, 0)
    assert [invoice.status for invoice in world.invoices(sub)] == ["paid", "paid"]
    assert world.ledger() == {LedgerAccount.CASH: 3800, LedgerAccount.REVENUE: -3800}
    world.advance(days=60, expect=["subscription.win_back"])


def test_a_first_debit_that_takes_days_activates_when_it_arrives() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_debit_processing")
    with suppress(PaymentPendingError):
        world.subscribe(customer, "starter", trial_days=0)
    world.facts()
    assert world.advance(days=6, expect=[]).status == "done"
    assert world.parts.gateway.calls["cancel_charge"] <= 2, "asked every few days, not every minute"
    (sub,) = world.parts.store.records(Subscription)
    assert sub.status is Status.INCOMPLETE
    world.parts.gateway.settle(next(iter(world.parts.gateway.payments)), "ok")
    world.advance(days=3, expect=[*PAID, "subscription.activated"])
    assert world.reload(sub).status is Status.ACTIVE
    assert world.advance(days=5, expect=[]).status == "done"


def test_a_first_debit_that_fails_after_days_is_given_up() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_debit_processing")
    with suppress(PaymentPendingError):
        world.subscribe(customer, "starter", trial_days=0)
    world.advance(days=2)
    world.facts()
    world.parts.gateway.settle(next(iter(world.parts.gateway.payments)), "generic_decline")
    assert (
        world.advance(days=4, expect=["payment.failed", "subscription.expired", "invoice.voided"]).status
        == "done"
    )
    assert world.ledger() == {}


def test_yearly_from_a_leap_day() -> None:
    world = World(start="2024-02-29T09:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0, interval="year")
    assert sub.interval == Interval.of("year")
    world.facts()
    world.advance(to="2028-03-01T00:00:00+00:00", expect=RENEWED * 4)
    assert [i.period.start.isoformat()[:10] for i in world.invoices(sub) if i.period] == [
        "2024-02-29",
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
    ]
    assert world.mrr() == 1583  # 19000 ÷ 12
