"""Trials: had once however somebody comes, put off, ended early; and asked back once, a week after the end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from chalicelib.application import checkout, checkout_opening, signup, signup_completion, subscriptions
from chalicelib.application.catalog import default_document, publish_catalog
from chalicelib.application.checkout_opening import Purchase
from chalicelib.application.entitlements import get_entitlements
from chalicelib.application.invoices import pay_invoice
from chalicelib.application.renewals import end_trial, remind_of_trial, win_back
from chalicelib.application.subscription_records import get_subscription
from chalicelib.application.trial_changes import end_trial_early, extend_trial
from chalicelib.domain.checkout import CheckoutMode, CheckoutSession, CheckoutStatus
from chalicelib.domain.customer import Claim, CollectionMethod, Credit, Terms
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import (
    ConflictError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    ValidationError,
)
from chalicelib.domain.journal import ActorKind
from chalicelib.domain.ordering import Order
from chalicelib.domain.subscription import Billing, Status, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World, assert_books

SHOP = "https://shop.example/"
PAID = ["payment.succeeded", "invoice.paid"]
CONVERTED = ["subscription.trial_converted", "subscription.activated", "invoice.opened", *PAID]
ABUSER = "pm_card_one"


def page(world: World, customer: str, plan: str = "pro", **order: Any) -> CheckoutSession:
    wanted = Order(plan=plan, currency="USD", **order)
    purchase = Purchase(order=wanted, success_url=SHOP, cancel_url=SHOP, customer_id=customer)
    return checkout_opening.open_checkout(world.ctx(), purchase)


def live_world(**how: Any) -> World:
    """Cards are counted in the live environment only: a sandbox's test cards are everybody's."""
    return World(env=LIVE, **how)


def pay(world: World, session: CheckoutSession, card: str = "pm_card_visa") -> CheckoutSession:
    assert session.reference is not None
    world.parts.gateway.pay_checkout(session.reference, card)
    return checkout.complete_checkout(world.ctx(), session.id)


def of(world: World, session: CheckoutSession) -> Subscription:
    return get_subscription(world.ctx(), session.subscription_id)


def trials(world: World) -> int:
    """How many trials have ever begun."""
    return sum(fact.type == "subscription.trial_started" for entry in world.journal() for fact in entry.facts)


def sign_up(world: World, email: str, request: str) -> None:
    cart = {
        "email": email,
        "plan": "starter",
        "interval": "month",
        "currency": "USD",
        "success_url": SHOP,
        "cancel_url": SHOP,
    }
    session = signup.create_signup(world.ctx(request), cart)
    with suppress(ConflictError):
        signup_completion.complete_signup(world.ctx(request), session.id)


class TestOnce:
    """One trial for a customer, a mailbox and a card, whichever way they come."""

    def test_for_a_mailbox_without_a_page_it_is_refused_and_nothing_is_charged(self) -> None:
        world = live_world()
        world.subscribe(world.customer(email="ada.l@gmail.com"), "starter")
        again = world.customer("pm_card_visa", email="AdaL+2@googlemail.com")
        for days in (None, 14):
            with pytest.raises(ValidationError, match="this e-mail address") as refused:
                world.subscribe(again, "starter", trial_days=days)
            assert refused.value.field == "trial_days"
        assert world.parts.gateway.payments == {}
        assert world.invoices(again) == []
        assert world.subscribe(again, "starter", trial_days=0).status is Status.ACTIVE

    def test_for_a_card_without_a_page_it_is_refused_and_nothing_is_charged(self) -> None:
        world = live_world()
        world.subscribe(world.customer(ABUSER), "pro")
        again = world.customer(ABUSER)
        with pytest.raises(ValidationError, match="this payment method"):
            world.subscribe(again, "pro")
        assert world.parts.gateway.payments == {}
        world.card(again, "pm_card_two")
        assert world.subscribe(again, "pro").status is Status.TRIALING
        assert trials(world) == 2

    def test_for_the_customer_who_comes_back(self) -> None:
        world = live_world()
        customer = world.customer("pm_card_visa")
        sub = world.subscribe(customer, "pro")
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        assert world.subscribe(customer, "pro").status is Status.ACTIVE
        with pytest.raises(ValidationError, match="has had a trial"):
            world.subscribe(customer, "pro", trial_days=7)
        assert trials(world) == 1

    @pytest.mark.parametrize("known", ["mailbox", "card on file"])
    def test_a_page_for_whoever_has_had_one_asks_for_the_price(self, known: str) -> None:
        world = live_world()
        world.subscribe(world.customer(ABUSER, email="ada@gmail.com"), "pro")
        mailbox = known == "mailbox"
        again = world.customer(None if mailbox else ABUSER, email="a.da@gmail.com" if mailbox else None)
        session = page(world, again)
        assert (session.mode, session.trial_days) == (CheckoutMode.PAYMENT, None)
        assert world.invoices(again)[0].amount_due == 2900
        with pytest.raises(ValidationError, match="has had a trial"):
            page(world, again, trial_days=7)

    def test_the_record_outlives_a_cancellation_and_holds_no_address(self) -> None:
        world = live_world()
        first = page(world, world.customer(email="ada@gmail.com"))
        pay(world, first, ABUSER)
        subscriptions.cancel_subscription(
            world.ctx(), first.subscription_id, at_period_end=False, reason="closed"
        )
        world.advance(days=400)
        assert page(world, world.customer(email="ada@gmail.com")).mode is CheckoutMode.PAYMENT
        kept = repr(world.parts.store.records(Claim))
        assert sorted(claim.kind for claim in world.parts.store.records(Claim)) == [
            "trial_card",
            "trial_email",
        ]
        assert "gmail" not in kept
        assert "print_" not in kept

    def test_what_was_only_reserved_is_given_back_with_its_page(self) -> None:
        world = live_world()
        customer = world.customer(email="ada@gmail.com")
        page(world, customer)
        assert world.parts.store.records(Claim) == []
        world.advance(days=2)
        assert not world.account(customer).trial_used
        done = pay(world, page(world, customer))
        assert of(world, done).status is Status.TRIALING
        with pytest.raises(InvalidStateError):
            checkout.expire_checkout(world.ctx(), done.id)
        assert world.account(customer).trial_used


class TestRefusedOnThePage:
    """The card is known only when it is saved: the page has said that nothing is due today, so nothing is."""

    @pytest.fixture
    def world(self) -> World:
        world = live_world()
        pay(world, page(world, world.customer()), ABUSER)
        return world

    @pytest.fixture
    def refused(self, world: World) -> CheckoutSession:
        session = page(world, world.customer())
        assert session.trial_days == 14
        world.facts()
        return pay(world, session, ABUSER)

    def test_the_subscription_is_incomplete_and_nothing_is_charged(
        self, world: World, refused: CheckoutSession
    ) -> None:
        world.expect(
            "payment_method.attached", "subscription.trial_refused", "invoice.opened", "checkout.completed"
        )
        sub = of(world, refused)
        assert (sub.status, sub.trial, refused.status) == (Status.INCOMPLETE, None, CheckoutStatus.COMPLETE)
        assert world.parts.gateway.payments == {}
        assert checkout.payment_status(world.ctx(), refused) == "unpaid"
        assert trials(world) == 1
        assert not world.account(sub.customer_id).trial_used
        assert checkout.complete_checkout(world.ctx(), refused.id) == refused
        assert world.journal()[-1].facts[1].data["reason"] == "trial_card"

    def test_paying_its_invoice_starts_it(self, world: World, refused: CheckoutSession) -> None:
        (invoice,) = world.invoices(refused.customer_id)
        world.facts()
        pay_invoice(world.ctx(), invoice.id, payment_method=None)
        world.expect(*PAID, "subscription.activated")
        assert of(world, refused).status is Status.ACTIVE
        assert checkout.payment_status(world.ctx(), refused) == "paid"

    def test_what_nobody_pays_is_given_up(self, world: World, refused: CheckoutSession) -> None:
        world.facts()
        world.advance(hours=23, expect=["subscription.expired", "invoice.voided"])
        assert of(world, refused).status is Status.INCOMPLETE_EXPIRED
        assert world.parts.gateway.payments == {}
        assert world.ledger() == {}

    def test_credit_is_not_taken_in_its_place(self, world: World) -> None:
        customer = world.customer()
        account = world.account(customer)
        world.edit(account, credits=(Credit(2900, "USD", world.now, "gift"),))
        session = page(world, customer)
        pay(world, session, ABUSER)
        assert of(world, session).status is Status.INCOMPLETE_EXPIRED
        assert world.account(customer).credits == (Credit(2900, "USD", world.now, "gift"),)
        assert world.invoices(customer) == []

    def test_two_pages_of_one_mailbox_are_one_trial(self) -> None:
        world = live_world()
        first, second = (page(world, world.customer(email="ada@gmail.com")) for _ in range(2))
        pay(world, first, "pm_card_two")
        pay(world, second, "pm_card_three")
        assert [of(world, each).status for each in (first, second)] == [Status.TRIALING, Status.INCOMPLETE]
        assert world.journal()[-1].facts[1].data["reason"] == "trial_email"


class TestAtOnce:
    """Fifty at the same time: one trial, and nobody is charged in its place."""

    def run(self, world: World, jobs: list[Callable[[], object]]) -> list[str]:
        def outcome(job: Callable[[], object]) -> str:
            try:
                job()
            except (ValidationError, ConflictError) as refused:
                return refused.code
            return "ok"

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(outcome, jobs))

    def test_sign_ups_of_one_mailbox(self) -> None:
        world = live_world()
        self.run(world, [partial(sign_up, world, f"ada+{n}@gmail.com", f"signup-{n}") for n in range(50)])
        assert trials(world) == 1
        assert world.parts.gateway.payments == {}

    def test_subscriptions_of_one_mailbox(self) -> None:
        world = live_world()
        people = [world.customer(email=f"Ada+{n}@gmail.com") for n in range(50)]
        done = self.run(world, [partial(world.subscribe, who, "starter") for who in people])
        assert (trials(world), done.count("ok")) == (1, 1)
        assert world.parts.gateway.payments == {}

    def test_subscriptions_with_one_card(self) -> None:
        world = live_world()
        people = [world.customer(ABUSER) for _ in range(50)]
        done = self.run(world, [partial(world.subscribe, who, "pro") for who in people])
        assert (trials(world), done.count("ok")) == (1, 1)
        assert world.parts.gateway.payments == {}

    def test_pages_with_one_card(self) -> None:
        world = live_world()
        pages = [page(world, world.customer()) for _ in range(50)]
        self.run(world, [partial(pay, world, each, ABUSER) for each in pages])
        statuses = [of(world, each).status for each in pages]
        assert (trials(world), statuses.count(Status.TRIALING)) == (1, 1)
        assert statuses.count(Status.INCOMPLETE) == 49
        assert world.parts.gateway.payments == {}
        world.advance(days=2)
        assert_books(world)


class TestExtended:
    def started(self, zone: str = "UTC") -> tuple[World, Subscription]:
        world = live_world(start="2025-03-01T09:00:00+00:00")
        sub = world.subscribe(world.customer("pm_card_visa", zone=zone), "pro")
        world.facts()
        return world, sub

    def test_the_end_and_its_reminders_move_and_the_fact_says_who(self) -> None:
        world, sub = self.started()
        world.advance(to="2025-03-14T10:00:00+00:00", expect=["subscription.trial_will_end"] * 2)
        longer = extend_trial(world.ctx(), sub.id, 7)
        assert longer.trial is not None
        assert longer.trial.ends_at.isoformat() == "2025-03-22T09:00:00+00:00"
        entry = world.journal()[-1]
        assert (entry.actor.kind, entry.facts[0].data["days"]) == (ActorKind.API, 7)
        assert entry.facts[0].data["previous_trial_end"] == "2025-03-15T09:00:00+00:00"
        world.expect("subscription.trial_extended")
        world.advance(to="2025-03-22T08:59:59+00:00", expect=["subscription.trial_will_end"] * 3)
        days = [
            entry.at.day for entry in world.journal() if entry.facts[0].type == "subscription.trial_will_end"
        ]
        assert days == [12, 14, 19, 21, 22]
        world.advance(to="2025-03-22T09:00:00+00:00", expect=CONVERTED)
        assert world.invoices(sub)[0].period.start.isoformat() == "2025-03-22T09:00:00+00:00"

    def test_a_reminder_whose_time_is_past_is_not_sent_late(self) -> None:
        world, sub = self.started()
        world.advance(to="2025-03-15T08:00:00+00:00", expect=["subscription.trial_will_end"] * 3)
        extend_trial(world.ctx(), sub.id, 1)
        world.expect("subscription.trial_extended")
        world.advance(to="2025-03-15T08:30:00+00:00", expect=[])
        world.advance(to="2025-03-16T08:59:59+00:00", expect=["subscription.trial_will_end"] * 2)

    def test_the_wall_time_stays_across_a_change_of_the_clocks(self) -> None:
        world, sub = self.started(zone="Europe/Berlin")
        trial = extend_trial(world.ctx(), sub.id, 20).trial
        assert trial is not None
        assert trial.ends_at.isoformat() == "2025-04-04T08:00:00+00:00"

    def test_the_same_request_moves_it_once(self) -> None:
        world, sub = self.started()
        for request in ("first", "second", "first"):
            moved = extend_trial(world.ctx(request), sub.id, 3)
        assert moved.trial is not None
        assert moved.trial.ends_at.isoformat() == "2025-03-21T09:00:00+00:00"
        world.expect("subscription.trial_extended", "subscription.trial_extended")

    def test_only_a_trial_that_runs(self) -> None:
        world, sub = self.started()
        with pytest.raises(ValidationError) as refused:
            extend_trial(world.ctx(), sub.id, 717)
        assert refused.value.field == "days"
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="")
        with pytest.raises(InvalidStateError, match="cancelled"):
            extend_trial(world.ctx(), sub.id, 7)
        with pytest.raises(InvalidStateError, match="cancelled"):
            end_trial_early(world.ctx(), sub.id)
        world.advance(days=15)
        for change in (
            lambda: extend_trial(world.ctx(), sub.id, 7),
            lambda: end_trial_early(world.ctx(), sub.id),
        ):
            with pytest.raises(InvalidStateError):
                change()
        with pytest.raises(NotFoundError):
            end_trial_early(world.ctx(), "sub_nothing")


class TestEndedEarly:
    def test_the_first_paid_period_begins_now(self) -> None:
        world = live_world(start="2025-03-01T09:00:00+00:00")
        sub = world.subscribe(world.customer("pm_card_visa"), "pro")
        world.advance(to="2025-03-05T10:30:00+00:00")
        world.facts()
        sub = end_trial_early(world.ctx(), sub.id)
        world.expect("subscription.trial_ended_early", *CONVERTED)
        assert (sub.status, sub.anchor, world.mrr()) == (Status.ACTIVE, world.now, 2900)
        (invoice,) = world.invoices(sub)
        assert invoice.period is not None
        assert (invoice.period.start, invoice.period.end) == (
            datetime.fromisoformat("2025-03-05T10:30:00+00:00"),
            datetime.fromisoformat("2025-04-05T10:30:00+00:00"),
        )
        assert end_trial_early(world.ctx(), sub.id) == sub
        world.advance(to="2025-04-05T10:29:59+00:00", expect=[])
        assert_books(world)

    def test_without_a_card_it_is_refused_and_goes_on(self) -> None:
        world = live_world()
        sub = world.subscribe(world.customer(), "starter")
        with pytest.raises(ValidationError, match="no payment method"):
            end_trial_early(world.ctx(), sub.id)
        assert world.reload(sub).status is Status.TRIALING

    def test_on_terms_an_invoice_is_sent(self) -> None:
        world = live_world()
        terms = Terms(method=CollectionMethod.SEND_INVOICE, net_days=30)
        sub = end_trial_early(world.ctx(), world.subscribe(world.customer(), "starter", terms=terms).id)
        assert (sub.status, world.invoices(sub)[0].status) == (Status.ACTIVE, "open")

    def test_a_card_that_fails_leaves_it_past_due(self) -> None:
        world = live_world()
        sub = world.subscribe(world.customer("pm_card_insufficient_funds"), "pro")
        assert end_trial_early(world.ctx(), sub.id).status is Status.PAST_DUE

    def test_killed_anywhere_and_repeated_charges_once(self) -> None:
        def trialing(world: World) -> str:
            return world.subscribe(world.customer("pm_card_visa"), "pro").id

        def end(world: World, subject: str) -> None:
            end_trial_early(world.ctx("the-one-request"), subject)

        for world in every_step(trialing, end, end):
            (sub,) = world.parts.store.records(Subscription)
            assert (sub.status, len(world.parts.gateway.charges())) == (Status.ACTIVE, 1)
            assert world.facts().count("subscription.trial_ended_early") == 1
            assert_books(world)


class TestCalendarBilling:
    def test_ten_days_then_a_stub_to_the_end_of_the_month(self) -> None:
        """Nothing while it runs; at its end 17 of 31 days of a monthly price, from the day it ends on."""
        world = live_world(start="2024-03-05T12:12:00+00:00")
        changed: Any = deepcopy(default_document())
        price = {"interval": "month", "currency": "USD", "model": "flat", "unit_amount": "5000000"}
        changed["plans"].append(
            {
                "id": "big", "name": "Big", "rank": 50, "features": [], "prices": [price],
                "trial": {"days": 10, "card_required": True, "on_end": "cancel"},
            }
        )  # fmt: skip
        publish_catalog(world.ctx(), changed, expected=1)
        sub = world.subscribe(world.customer("pm_card_visa"), "big", billing=Billing.CALENDAR)
        for instant in ("2024-03-10T00:00:00+00:00", "2024-03-15T12:02:00+00:00"):
            world.advance(to=instant)
            assert world.invoices(sub) == []
        world.advance(to="2024-03-15T13:02:00+00:00")
        (invoice,) = world.invoices(sub)
        assert invoice.total == 2741935
        assert invoice.period is not None
        assert invoice.period.end.isoformat() == "2024-04-01T00:00:00+00:00"


class TestKilled:
    def test_a_start_killed_anywhere_and_repeated_is_one_trial(self) -> None:
        for route in (self.by_request, self.by_page):
            prepare, start = route()
            for world in every_step(prepare, start, start, env=LIVE):
                (sub,) = world.parts.store.records(Subscription)
                assert sub.status is Status.TRIALING
                assert trials(world) == 1
                assert {claim.kind for claim in world.parts.store.records(Claim)} == {
                    "trial_card",
                    "trial_email",
                }

    def by_request(self) -> tuple[Callable[[World], str], Callable[[World, str], None]]:
        def start(world: World, customer: str) -> None:
            order = Order(plan="pro", currency="USD")
            subscriptions.create_subscription(
                world.ctx("once"), customer, order, payment_method="pm_card_visa"
            )

        return lambda world: world.customer(), start

    def by_page(self) -> tuple[Callable[[World], str], Callable[[World, str], None]]:
        def prepare(world: World) -> str:
            return world.customer()

        def start(world: World, customer: str) -> None:
            wanted = Order(plan="pro", currency="USD")
            purchase = Purchase(order=wanted, success_url=SHOP, cancel_url=SHOP, customer_id=customer)
            session = checkout_opening.open_checkout(world.ctx("once"), purchase)
            assert session.reference is not None
            with suppress(ValueError):
                world.parts.gateway.pay_checkout(session.reference)
            checkout.complete_checkout(world.ctx(), session.id)

        return prepare, start

    def test_the_end_and_the_reminders_delivered_again_happen_once(self) -> None:
        world = live_world(start="2025-03-01T09:00:00+00:00")
        sub = world.subscribe(world.customer("pm_card_visa"), "pro")
        world.facts()
        for instant in (
            "2025-03-12T09:00:00+00:00",
            "2025-03-14T09:00:00+00:00",
            "2025-03-15T00:00:00+00:00",
        ):
            for _ in range(3):
                remind_of_trial(world.ctx().at(datetime.fromisoformat(instant)), sub.id)
            world.expect("subscription.trial_will_end")
        for _ in range(3):
            end_trial(world.ctx().at(datetime.fromisoformat("2025-03-15T09:00:00+00:00")), sub.id)
        world.expect(*CONVERTED)


class TestReverse:
    def test_entitlements_switch_at_the_instant_and_nothing_is_invoiced(self) -> None:
        world = live_world(start="2026-03-01T09:00:00+00:00")
        customer = world.customer()
        sub = world.subscribe(customer, "starter")

        def custom_branding() -> bool:
            return "custom_branding" in get_entitlements(world.ctx(), customer).features

        world.advance(to="2026-03-15T08:59:59.999999+00:00")
        assert custom_branding()
        world.advance(to="2026-03-15T09:00:00+00:00")
        assert not custom_branding()
        assert world.reload(sub).plan.product == "free"
        assert world.invoices(customer) == []
        assert world.ledger() == {}
        world.advance(days=60)
        assert "subscription.win_back" not in world.facts()


class TestWinBack:
    def lapsed(self) -> tuple[World, Subscription]:
        """A trial of a plan that ends without a card: its card was taken off."""
        world = live_world(start="2026-03-01T09:00:00+00:00")
        sub = world.subscribe(world.customer("pm_card_visa"), "pro")
        world.edit(world.account(sub.customer_id), payment_method=None)
        world.advance(days=14)
        assert world.reload(sub).status is Status.CANCELED
        world.facts()
        return world, sub

    def test_once_a_week_after_a_trial_lapsed(self) -> None:
        world, sub = self.lapsed()
        world.advance(days=6, hours=23, expect=[])
        world.advance(hours=1, expect=["subscription.win_back"])
        assert world.journal()[-1].facts[0].data["reason"] == "trial_lapsed"
        win_back(world.ctx(), sub.id)
        world.advance(days=400, expect=[])

    def test_a_week_after_a_cancellation(self) -> None:
        world = live_world()
        sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        world.facts()
        world.advance(days=400, expect=["subscription.win_back"])

    def test_not_for_a_free_plan(self) -> None:
        world = live_world()
        sub = world.subscribe(world.customer(), "free")
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        world.facts()
        world.advance(days=400, expect=[])

    def test_not_for_whoever_reactivated_and_again_after_the_next_end(self) -> None:
        world, sub = self.lapsed()
        world.card(sub.customer_id, "pm_card_visa")
        subscriptions.reactivate_subscription(world.ctx(), sub.id)
        world.advance(days=8)
        assert "subscription.win_back" not in world.facts()
        subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
        world.facts()
        world.advance(days=8, expect=["subscription.win_back"])

    def test_not_for_whoever_has_another_plan_by_then(self) -> None:
        world, sub = self.lapsed()
        world.subscribe(sub.customer_id, "free")
        world.facts()
        world.advance(days=30, expect=[])
        assert world.reload(sub).win_back_at is None

    def test_a_reactivation_that_is_not_paid_asks_nobody_back(self) -> None:
        world, sub = self.lapsed()
        world.card(sub.customer_id, "pm_card_insufficient_funds")
        with suppress(PaymentDeclinedError):
            subscriptions.reactivate_subscription(world.ctx(), sub.id)
        world.advance(days=30)
        assert world.reload(sub).status is Status.CANCELED
        assert "subscription.win_back" not in world.facts()

    def test_killed_anywhere_and_delivered_again_it_is_said_once(self) -> None:
        def gone(world: World) -> str:
            sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
            subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
            return sub.id

        def ask(world: World, subject: str) -> None:
            later = world.ctx().at(world.now + timedelta(days=7))
            for _ in range(3):
                win_back(later, subject)

        for step in (1, 2):
            world = live_world()
            subject = gone(world)
            hook = "before_commit" if step == 1 else "after_commit"
            setattr(world.parts.store, hook, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                ask(world, subject)
            setattr(world.parts.store, hook, None)
            ask(world, subject)
            assert world.facts().count("subscription.win_back") == 1


def test_a_sandboxs_test_cards_are_everybodys() -> None:
    world = World()
    for _ in range(2):
        assert world.subscribe(world.customer("pm_card_visa"), "pro").status is Status.TRIALING
