"""Sign-up sessions: filled in steps, priced to the cent, completed once, routed to sales, abandoned."""

from __future__ import annotations

import contextlib
import threading

import pytest

from chalicelib.application import checkout, leads, signup, signup_completion
from chalicelib.application.records import customer_key
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain.checkout import CheckoutMode, SignupSession, SignupStatus
from chalicelib.domain.contact import mailbox
from chalicelib.domain.customer import Claim, Customer
from chalicelib.domain.errors import (
    ConflictError,
    InvalidDocumentError,
    InvalidStateError,
    NotFoundError,
    QuoteRequiredError,
    ValidationError,
)
from chalicelib.domain.signup_rules import Outcome, zone_of_country
from chalicelib.domain.subscription import Status
from tests.scenario.world import World, assert_books

PERSON = {"email": "grace@example.com", "name": "Grace", "company": "Hopper Ltd", "country": "IE"}
URLS = {"success_url": "https://shop.example/welcome", "cancel_url": "https://shop.example/pricing"}


def started(world: World, **fields) -> SignupSession:
    return signup.create_signup(world.ctx(), {**PERSON, **URLS, **fields})


def completed(world: World, **fields) -> signup_completion.Completion:
    return signup_completion.complete_signup(world.ctx(), started(world, **fields).id)


def test_a_cart_over_several_steps() -> None:
    world = World()
    session = signup.create_signup(world.ctx("cart"), {"plan": "pro"})
    assert signup.create_signup(world.ctx("cart"), {"plan": "pro"}) == session
    with pytest.raises(ValidationError) as missing:
        signup_completion.complete_signup(world.ctx(), session.id)
    assert missing.value.field == "email"
    signup.update_signup(world.ctx(), session.id, {"email": "Grace@Example.com", "quantity": 3})
    session = signup.update_signup(world.ctx(), session.id, {"interval": "year", "trial": False, **URLS})
    assert (session.email, session.quantity, session.plan) == ("Grace@example.com", 3, "pro")
    price = signup.price_signup(world.ctx(), session.id)
    assert (price.total, price.due_now, price.renewal_amount) == (87000, 87000, 87000)
    assert world.facts() == []
    done = signup_completion.complete_signup(world.ctx(), session.id)
    assert done.checkout.mode is CheckoutMode.PAYMENT
    invoice = world.invoices(session.customer_id)[0]
    assert invoice.amount_due == price.due_now
    assert invoice.lines == price.lines
    assert done.subscription.plan.quantity == 3


def test_paid_with_a_card_is_active() -> None:
    world = World()
    done = completed(world, plan="starter", trial=False)
    assert done.session.outcome == Outcome.CHECKOUT
    assert done.checkout.url
    world.expect(
        "customer.created", "subscription.created", "invoice.opened", "checkout.opened", "signup.completed"
    )
    world.parts.gateway.pay_checkout(done.checkout.reference)
    checkout.complete_checkout(world.ctx(), done.checkout.id)
    sub = get_subscription(world.ctx(), done.session.subscription_id)
    assert sub.status is Status.ACTIVE
    customer = world.parts.store.get(customer_key(world.env, done.session.customer_id))
    assert (customer.legal_name, customer.address.country) == ("Hopper Ltd", "IE")
    assert_books(world)


def test_a_trial_that_wants_a_card_saves_one() -> None:
    world = World(start="2026-05-01T09:00:00+00:00")
    session = started(world, plan="pro", quantity=2, time_zone="Europe/Dublin")
    price = signup.price_signup(world.ctx(), session.id)
    assert (price.due_now, price.total, price.card_required) == (0, 5800, True)
    assert price.trial_end.isoformat() == "2026-05-15T09:00:00+00:00"
    assert price.renews_at == price.trial_end
    done = signup_completion.complete_signup(world.ctx(), session.id)
    assert done.checkout.mode is CheckoutMode.SETUP
    world.parts.gateway.pay_checkout(done.checkout.reference)
    checkout.complete_checkout(world.ctx(), done.checkout.id)
    sub = get_subscription(world.ctx(), done.session.subscription_id)
    assert (sub.status, sub.trial.ends_at) == (Status.TRIALING, price.trial_end)
    world.advance(to=price.renews_at.isoformat())
    assert world.invoices(sub)[0].amount_due == price.renewal_amount


def test_a_trial_without_a_card_starts_at_once() -> None:
    world = World()
    done = completed(world, plan="starter", success_url=None, cancel_url=None)
    assert done.checkout is None
    assert done.session.outcome == Outcome.TRIALING
    assert done.subscription.status is Status.TRIALING
    assert world.account(done.session.customer_id).trial_used
    world.expect("customer.created", "subscription.created", "subscription.trial_started", "signup.completed")


@pytest.mark.parametrize("plan", ["starter", "pro"])  # without a card, and with one
def test_a_trial_is_had_once_per_mailbox(plan: str) -> None:
    world = World()
    first = completed(world, plan=plan, email="ada.l@gmail.com")
    second = started(world, plan=plan, email="AdaL+again@googlemail.com")
    if plan == "pro":  # reserved, not yet had
        assert signup.price_signup(world.ctx(), second.id).trial_end is not None
        world.parts.gateway.pay_checkout(first.checkout.reference)
        checkout.complete_checkout(world.ctx(), first.checkout.id)
    price = signup.price_signup(world.ctx(), second.id)
    assert price.trial_end is None
    done = signup_completion.complete_signup(world.ctx(), second.id)
    assert done.checkout.mode is CheckoutMode.PAYMENT
    assert world.invoices(second.customer_id)[0].amount_due == price.due_now
    assert world.facts().count("subscription.trial_started") == 1
    assert "ada" not in repr(world.parts.store.records(Claim)).lower()


def test_two_trials_at_once_for_one_mailbox_are_one() -> None:
    world = World()
    first, second = started(world, plan="starter"), started(world, plan="starter")
    world.parts.store.before_commit = lambda *_: overtake()

    def overtake() -> None:
        world.parts.store.before_commit = None
        signup_completion.complete_signup(world.ctx(), first.id)

    with pytest.raises(ConflictError):
        signup_completion.complete_signup(world.ctx(), second.id)
    assert signup_completion.complete_signup(world.ctx(), second.id).checkout.mode is CheckoutMode.PAYMENT
    assert world.facts().count("subscription.trial_started") == 1


def test_the_free_plan_starts_at_once() -> None:
    world = World()
    session = started(world, plan="free", quantity=4)
    assert signup.price_signup(world.ctx(), session.id).due_now == 0
    done = signup_completion.complete_signup(world.ctx(), session.id)
    assert (done.session.outcome, done.subscription.status) == (Outcome.ACTIVE, Status.ACTIVE)
    assert world.account(done.session.customer_id).invoices == 0
    world.advance(days=60, expect=world.facts()[:0])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"plan": "enterprise"}, "quote_only_plan"),
        ({"plan": "business"}, "sales_assisted_plan"),
        ({"plan": "starter", "wants_demo": True}, "demo_requested"),
        ({"plan": "starter", "company_size": 101}, "large_company"),
    ],
)
def test_routed_to_sales_with_the_reason(fields, reason) -> None:
    world = World()
    session = started(world, **fields)
    for _ in range(2):
        done = signup_completion.complete_signup(world.ctx(), session.id)
    assert done.session.status is SignupStatus.ROUTED_TO_SALES
    world.expect("lead.created", "signup.completed")
    (lead,) = leads.list_leads(world.ctx(), limit=10).records
    assert (lead.reason, lead.email, lead.company) == (reason, "grace@example.com", "Hopper Ltd")
    assert leads.get_lead(world.ctx(), done.session.lead_id) == lead
    assert world.parts.store.records(Customer) == []


def test_a_hundred_people_are_not_yet_large() -> None:
    world = World()
    assert completed(world, plan="starter", company_size=100).session.outcome == Outcome.TRIALING


@pytest.mark.parametrize("plan", ["free", "starter", "pro", "enterprise"])
def test_completing_at_once_and_again_is_once(plan: str) -> None:
    world = World()
    session = started(world, plan=plan)
    together = threading.Barrier(3)
    outcomes: list[signup_completion.Completion] = []

    def run() -> None:
        together.wait()
        outcomes.append(signup_completion.complete_signup(world.ctx(), session.id))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes.append(signup_completion.complete_signup(world.ctx(), session.id))
    assert len(outcomes) == 4
    assert len({outcome.session.id + (outcome.session.subscription_id or "") for outcome in outcomes}) == 1
    assert world.facts().count("signup.completed") == 1
    assert len(world.parts.store.records(Customer)) == (0 if plan == "enterprise" else 1)
    assert len(world.parts.gateway.pages) == (1 if plan == "pro" else 0)


@pytest.mark.parametrize("plan", ["free", "starter", "pro", "enterprise"])
def test_the_loser_of_a_race_answers_what_the_winner_made(plan: str) -> None:
    world = World()
    session = started(world, plan=plan)
    world.parts.store.before_commit = lambda *_: overtake()
    winner = []

    def overtake() -> None:
        world.parts.store.before_commit = None
        winner.append(signup_completion.complete_signup(world.ctx(), session.id))

    assert [signup_completion.complete_signup(world.ctx(), session.id)] == winner
    assert world.facts().count("signup.completed") == 1


def test_a_stale_due_row_abandons_nothing() -> None:
    world = World()
    session = started(world, plan="pro")
    signup.abandon_signup(world.ctx(), session.id)
    assert signup.get_signup(world.ctx(), session.id).status is SignupStatus.OPEN


@pytest.mark.parametrize("at", range(1, 11))
@pytest.mark.parametrize("plan", ["free", "pro"])
def test_killed_while_completing_and_repeated(plan: str, at: int) -> None:
    from tests.unit.test_checkout import Killed, Killer

    world = World()
    session = started(world, plan=plan)
    killer = Killer(world, at)
    with contextlib.suppress(Killed):
        signup_completion.complete_signup(world.ctx(), session.id)
    killer.off()
    done = signup_completion.complete_signup(world.ctx(), session.id)
    assert world.facts().count("subscription.created") == 1
    assert (done.checkout is not None and done.checkout.url is not None) == (plan == "pro")


def test_a_complete_one_is_not_changed() -> None:
    world = World()
    done = completed(world, plan="free")
    with pytest.raises(InvalidStateError):
        signup.update_signup(world.ctx(), done.session.id, {"plan": "pro"})


def test_abandoned_after_a_day_without_a_step_and_open_again_with_one() -> None:
    world = World()
    session = started(world, plan="pro")
    world.advance(hours=20, expect=[])
    signup.update_signup(world.ctx(), session.id, {"quantity": 2})
    world.advance(hours=20, expect=[])
    world.advance(hours=5, expect=["signup.abandoned"])
    (found,) = signup.list_signups(world.ctx(), limit=5, status=SignupStatus.ABANDONED).records
    assert found.email == "grace@example.com"
    assert signup.list_signups(world.ctx(), limit=5, status=SignupStatus.COMPLETE).records == ()
    again = signup.update_signup(world.ctx(), session.id, {"quantity": 3})
    assert again.status is SignupStatus.OPEN
    world.advance(hours=25, expect=["signup.abandoned"])
    assert signup_completion.complete_signup(world.ctx(), session.id).session.outcome == Outcome.CHECKOUT
    world.advance(days=3)
    assert "signup.abandoned" not in world.facts()


def test_every_wrong_field_is_named() -> None:
    world = World()
    wrong = {
        "email": "nope",
        "country": "XX",
        "plan": "nope",
        "quantity": 0,
        "time_zone": "Mars",
        "name": "a\x00",
    }
    with pytest.raises(InvalidDocumentError) as refusal:
        signup.create_signup(world.ctx(), wrong)
    assert [problem.field for problem in refusal.value.problems] == list(wrong)
    with pytest.raises(ValidationError) as address:
        signup.create_signup(world.ctx(), {"success_url": "https://evil.example"})
    assert address.value.field == "success_url"


def test_a_page_needs_somewhere_to_come_back() -> None:
    world = World()
    with pytest.raises(ValidationError) as refusal:
        completed(world, plan="pro", success_url=None)
    assert refusal.value.field == "success_url"
    assert world.facts() == []


def test_a_quote_has_no_price() -> None:
    world = World()
    session = started(world, plan="enterprise")
    with pytest.raises(QuoteRequiredError):
        signup.price_signup(world.ctx(), session.id)


def test_a_price_in_a_currency_that_is_not_sold() -> None:
    world = World()
    session = started(world, plan="pro", currency="CHF")
    with pytest.raises(ValidationError) as refusal:
        signup.price_signup(world.ctx(), session.id)
    assert "USD" in (refusal.value.fix or "")


def test_foreign_and_missing_are_not_found() -> None:
    world = World()
    session = started(world, plan="free")
    other = World(env="sbx_other")
    for bad in (session.id, "sus_1", session.customer_id):
        with pytest.raises(NotFoundError):
            signup.get_signup(other.ctx(), bad)


@pytest.mark.parametrize(
    ("country", "zone"),
    [("DE", "Europe/Berlin"), ("US", "America/New_York"), ("AU", "Australia/Sydney"), ("", "UTC")],
)
def test_a_likely_zone_of_a_country(country: str, zone: str) -> None:
    assert zone_of_country(country) == zone


@pytest.mark.parametrize(
    ("address", "box"),
    [
        ("Ada.L+shop@Googlemail.com", "adal@gmail.com"),
        ("ada.l+shop@example.com", "ada.l@example.com"),
        ("+only@example.com", "+only@example.com"),
        ("nope", "@nope"),
    ],
)
def test_the_mailbox_behind_an_address(address: str, box: str) -> None:
    assert mailbox(address) == box
