"""Everything that may happen once, tried by many at the same time on engines that model concurrency: ministack, and
Amazon's DynamoDB Local where it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.stripe.throttle import Rates, Throttle
from chalicelib.application import (
    changes,
    checkout,
    checkout_opening,
    collection,
    coupon_offers,
    coupons,
    customers,
    dunning,
    invoices,
    payment_methods,
    payments,
    refunds,
    renewals,
    signup,
    signup_completion,
    subscriptions,
)
from chalicelib.application.idempotency import claim_request
from chalicelib.application.ports import VersionConflict
from chalicelib.domain.calendar import Interval
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.coupon import CouponUse
from chalicelib.domain.customer import Claim
from chalicelib.domain.discount import Coupon
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import (
    ConflictError,
    DomainError,
    GatewayUnavailableError,
    IdempotencyInFlightError,
    InvalidStateError,
    PaymentPendingError,
)
from chalicelib.domain.invoice import CauseKind
from chalicelib.domain.ordering import Order
from chalicelib.domain.payment import Allocation, ChargeResult, Outcome
from chalicelib.domain.subscription import Status, Subscription
from tests.conftest import ops_beside
from tests.infra.job_world import Jobs
from tests.infra.test_jobs_work import LiveWorld, a_month_on, live
from tests.scenario.world import Parts, World, assert_books

pytestmark = pytest.mark.engine
SHOP = "https://shop.example/"


@pytest.fixture
def parts(real_store):
    return Parts(real_store, MemoryGateway(), MemoryQueues(), ops_beside(real_store))


@pytest.fixture
def ops(real_store):
    return ops_beside(real_store)


def together(*acts: Callable[[], object]) -> list[Any]:
    """What each got, all started at once: its answer, or the refusal that a client would see."""
    gate = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        gate.wait()
        try:
            return act()
        except DomainError as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def refusals(answers: Sequence[object]) -> Counter[str]:
    return Counter(type(answer).__name__ for answer in answers if isinstance(answer, DomainError))


def test_three_ticks_before_eight_workers(parts):
    world, jobs, subscribers = live(12, parts)
    a_month_on(world)
    for _ in range(3):
        jobs.tick()
    assert len(parts.queues.due_rows) == 36
    assert jobs.work(parallel=8) == []
    for subscription in subscribers:
        assert [invoice.status for invoice in world.invoices(subscription)] == ["paid", "paid"]
    assert len(parts.gateway.charges()) == 24
    jobs.tick()
    assert parts.queues.due_rows == []
    assert_books(world)


def test_one_request_sent_twenty_times_is_one_subscription(parts):
    world = World(parts=parts)
    customer = world.customer("pm_card_visa")
    subscribe = partial(world.subscribe, customer, "starter", trial_days=0, request="double-click")
    answers = together(*[subscribe] * 20)
    done = [answer for answer in answers if isinstance(answer, Subscription)]
    assert done
    assert len({subscription.id for subscription in done}) == 1
    assert refusals(answers).keys() <= {"ConflictError", "PaymentPendingError"}
    assert world.subscribe(customer, "starter", trial_days=0, request="double-click").status == "active"
    assert len(parts.gateway.charges()) == len(world.invoices(customer)) == 1
    assert world.facts().count("subscription.created") == 1
    assert_books(world)


def test_of_twenty_with_one_key_one_runs(ops):
    now = World().machine
    answers = together(*[lambda: claim_request(ops, "request", "print", machine_now=now)] * 20)
    assert refusals(answers) == {IdempotencyInFlightError.__name__: 19}


def test_eight_reports_settle_once(parts):
    world, _, (subscription,) = live(1, parts)
    a_month_on(world)
    parts.gateway.script(["unavailable"])
    with pytest.raises(GatewayUnavailableError):
        renewals.renew_subscription(world.ctx(), subscription.id)
    invoice, owner = collection.load(world.ctx(), world.invoices(subscription)[-1].id)
    paid = ChargeResult(
        outcome=Outcome.SUCCEEDED, reference="pi_1", charge="ch_1", charged=invoice.amount_due
    )
    before = Counter(world.facts())
    answers = together(*[lambda: collection.settle(world.ctx(), invoice, owner, paid)] * 8)
    assert {answer.status for answer in answers} == {"paid"}
    settled = Counter(fact.type for entry in world.journal() for fact in entry.facts) - before
    assert settled == {"payment.succeeded": 1, "invoice.paid": 1}
    assert_books(world)


def test_numbers_have_no_gaps_with_two_renewals_of_each_customer_at_once(parts):
    world, jobs, _ = live(parts=parts)
    people = [world.customer("pm_card_visa") for _ in range(12)]
    for customer in people:
        for plan in ("starter", "pro"):
            world.subscribe(customer, plan, trial_days=0)
    a_month_on(world)
    jobs.tick()
    parts.queues.due_rows.sort(key=lambda row: (row.sk, row.pk))
    jobs.work(parallel=8)
    jobs.tick()
    jobs.work(parallel=8)
    for customer in people:
        numbered = world.invoices(customer)
        assert [invoice.sequence for invoice in numbered] == [1, 2, 3, 4]
        assert {invoice.status for invoice in numbered} == {"paid"}
    assert_books(world)


def test_who_loses_is_told_after_a_bound_and_nothing_is_lost(parts):
    """Thirty patches of one customer: each counts, or its sender is told that it does not (409)."""
    world = World(parts=parts)
    customer = world.customer()

    def patch(number: int) -> object:
        return customers.update_customer(world.ctx(), customer, {"metadata": {f"k{number}": "x"}})

    answers = together(*(partial(patch, number) for number in range(30)))
    assert refusals(answers).keys() <= {ConflictError.__name__}
    counted = {f"k{number}" for number, answer in enumerate(answers) if not isinstance(answer, DomainError)}
    stored = customers.get_customer(world.ctx(), customer)
    assert dict(stored.metadata).keys() == counted
    assert stored.version == 1 + len(counted)


def test_of_many_with_one_mailbox_one_has_the_trial(parts):
    world = LiveWorld(env=LIVE, parts=parts)
    people = [world.customer(email=f"Ada+{number}@gmail.com") for number in range(20)]
    answers = together(*(partial(world.subscribe, customer, "starter") for customer in people))
    assert refusals(answers).keys() <= {"ValidationError", "ConflictError"}
    assert sum(isinstance(answer, Subscription) for answer in answers) == 1
    assert trials(world) == 1
    assert parts.gateway.payments == {}


def test_of_many_with_one_card_one_has_the_trial(parts):
    world = LiveWorld(env=LIVE, parts=parts)
    people = [world.customer("pm_card_one") for _ in range(20)]
    answers = together(*(partial(world.subscribe, customer, "pro") for customer in people))
    assert sum(isinstance(answer, Subscription) for answer in answers) == 1
    assert trials(world) == 1
    assert parts.gateway.payments == {}


def test_of_many_sign_ups_of_one_mailbox_one_has_the_trial(parts):
    world = LiveWorld(env=LIVE, parts=parts)

    def sign_up(number: int) -> object:
        cart = {"email": f"ada+{number}@gmail.com", "plan": "starter", "interval": Interval.of("month"),
                "currency": "USD", "success_url": SHOP, "cancel_url": SHOP}  # fmt: skip
        session = signup.create_signup(world.ctx(f"sign-up-{number}"), cart)
        return signup_completion.complete_signup(world.ctx(), session.id)

    together(*(partial(sign_up, number) for number in range(16)))
    assert trials(world) == 1
    assert parts.gateway.payments == {}


def trials(world: World) -> int:
    return sum(fact.type == "subscription.trial_started" for entry in world.journal() for fact in entry.facts)


@pytest.mark.parametrize("trial_days", [0, None])
def test_eight_who_report_a_page_and_give_it_up(parts, trial_days):
    world = World(parts=parts)
    order = Order(plan="pro", currency="USD", interval=Interval.of("month"), trial_days=trial_days)
    wanted = checkout_opening.Purchase(
        order=order, success_url=SHOP, cancel_url=SHOP, profile={"email": "grace@example.com"}
    )
    sessions = together(*[lambda: checkout_opening.open_checkout(world.ctx("buy"), wanted)] * 8)
    assert len({session.url for session in sessions}) == len(parts.gateway.pages) == 1
    session = sessions[0]
    parts.gateway.pay_checkout("cs_mem_1")
    late = world.ctx(now=session.release_at)
    together(
        *[
            lambda: checkout.complete_checkout(world.ctx(), session.id),
            lambda: checkout.release_checkout(late, session.id),
        ]
        * 4
    )
    checkout.complete_checkout(world.ctx(), session.id)
    facts = world.facts()
    started = "subscription.activated" if trial_days == 0 else "subscription.trial_started"
    for once in ("subscription.created", "payment_method.attached", started, "checkout.completed"):
        assert facts.count(once) == 1
    assert len(parts.gateway.charges()) == facts.count("payment.succeeded") == (1 if trial_days == 0 else 0)
    assert_books(world)


def test_a_payment_is_given_back_once_however_many_ask(parts):
    """Sixteen want all of it, each by a request of its own: one refund, and no more goes back than was paid."""
    world = World(parts=parts)
    subscription = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    (invoice,) = world.invoices(subscription)
    payment = invoice.payments[0]
    answers = together(*[lambda: refunds.refund_payment(world.ctx(), payment.id)] * 16)
    assert sum(not isinstance(answer, DomainError) for answer in answers) == 1
    assert refusals(answers).keys() <= {InvalidStateError.__name__, ConflictError.__name__}
    assert parts.gateway.refunded("USD") == payment.amount
    assert len(refunds.list_refunds(world.ctx(), invoice.customer_id)) == 1
    assert_books(world)


def test_of_transfers_for_one_invoice_one_is_noted(parts):
    world = World(parts=parts)
    customer = world.customer("pm_card_chargeCustomerFail")
    with pytest.raises(DomainError):
        world.subscribe(customer, "starter", trial_days=0, request="declined")
    world.card(customer, "pm_card_visa")
    subscription = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    parts.gateway.behave(method.id, "generic_decline")
    world.advance(days=31)
    invoice = world.invoices(subscription)[-1]
    assert invoice.status == "open"

    def transfer() -> object:
        return payments.record_payment(
            world.ctx(), customer, amount=invoice.amount_due, currency="USD", kind="transfer",
            reference=None, allocations=[Allocation(invoice.id, invoice.amount_due)],
        )  # fmt: skip

    answers = together(*[transfer] * 8)
    assert sum(refusals(answers).values()) == 7
    assert refusals(answers).keys() <= {InvalidStateError.__name__, ConflictError.__name__}
    assert world.reload(subscription).status == "active"
    assert_books(world)


def test_no_more_is_taken_than_there_is_of_five(ops):
    """What limits redemptions and calls: one conditional addition. Two hundred ask for five."""
    now = World().machine

    def take() -> bool:
        return not ops.take("offer", "0", {"redeemed": 1}, at_most={"redeemed": 5}, expires_at=now)

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: take(), range(200))) == 5


def test_two_hundred_redeem_a_coupon_that_there_are_five_of(parts):
    """On subscriptions that run, each asked for by several at once; who met another's write repeats the request."""
    world = World(parts=parts)
    coupon_offers.create_coupon(world.ctx(), Coupon(id="FIVE", percent="50", max_redemptions=5))
    subscribed = [world.subscribe(world.customer(), "free") for _ in range(20)]
    ctx = world.ctx()

    def redeem(number: int) -> None:
        for _ in range(20):
            with suppress(ConflictError, InvalidStateError):
                coupons.apply_coupon(ctx, subscribed[number % 20].id, "five")
                return

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(redeem, range(200)))
    held = [sub.id for sub in map(world.reload, subscribed) if sub.redemptions]
    offered = coupon_offers.get_coupon(world.ctx(), "five")
    assert len(held) == coupon_offers.times_redeemed(world.ctx(), offered) == 5
    uses = [use for sub in subscribed for use in parts.store.children(CouponUse, world.env, sub.customer_id)]
    assert sorted(use.subscription_id for use in uses) == sorted(held)


def test_of_one_customers_subscriptions_created_at_once_one_has_the_coupon(parts):
    world = World(parts=parts)
    coupon_offers.create_coupon(world.ctx(), Coupon(id="ONE", percent="50"))
    customer = world.customer("pm_card_visa")

    def subscribe(number: int) -> object:
        return world.subscribe(
            customer, "starter", trial_days=0, coupon="one", request=f"request-of-{number}"
        )

    answers = together(*(partial(subscribe, number) for number in range(8)))
    assert refusals(answers).keys() <= {ConflictError.__name__, InvalidStateError.__name__}
    assert sum(isinstance(answer, Subscription) for answer in answers) == 1
    assert len(parts.gateway.charges()) == 1
    assert_books(world)


def test_eight_processes_keep_to_one_rate(ops):
    """Each has a throttle of its own; all lease from one second's budget."""
    rates = Rates(in_all=30, per_endpoint=20, reserve_percent=0, lease=3)

    def ask_ten_times() -> int:
        throttle = Throttle(ops, rates, clock=lambda: 1_800_000_000.0)
        admitted = 0
        for _ in range(10):
            try:
                throttle.admit("charge", patience=0)
            except GatewayUnavailableError:
                continue
            admitted += 1
        return admitted

    admitted = sum(together(*[ask_ten_times] * 8))
    assert 0 < admitted <= 20


def test_claims_of_one_event_are_one(parts):
    world = World(parts=parts)
    customer = world.customer()
    claim = Claim(kind="notice", value="evt_1", owner=customer, at=world.now)

    def note() -> bool:
        try:
            parts.store.commit(world.env, claim)
        except VersionConflict:
            return False
        return True

    assert together(*[note] * 16).count(True) == 1


@pytest.mark.parametrize("turn", range(3))
def test_everything_at_once_on_one_subscription_ends_in_a_documented_state(parts, turn):
    """Renewal, cancellation, new card, refund, more seats, payment by hand start together, more than once each."""
    world, jobs, (subscription,) = live(1, parts)
    customer = subscription.customer_id
    a_month_on(world)
    if turn:
        method = world.account(customer).payment_method
        assert method is not None
        parts.gateway.behave(method.id, "generic_decline")
        renewals.renew_subscription(world.ctx(), subscription.id)
        world.machine += timedelta(days=2)
    renew = partial(renewals.renew_subscription, world.ctx(), subscription.id)
    attach = lambda: payment_methods.attach(world.ctx(), customer, "pm_card_mastercard")  # noqa: E731
    cancel = partial(
        subscriptions.cancel_subscription, world.ctx(), subscription.id, at_period_end=turn == 2, reason=""
    )
    pay = lambda: invoices.pay_invoice(world.ctx(), world.invoices(subscription)[-1].id, payment_method=None)  # noqa: E731
    retry = partial(dunning.retry_now, world.ctx(), subscription.id)
    paid = world.invoices(subscription)[0].payments[0].id
    refund = partial(refunds.refund_payment, world.ctx("refund"), paid)
    seats = partial(changes.change_subscription, world.ctx("seats"), subscription.id, ChangeOrder(quantity=3))
    answers = together(*[renew, attach, cancel, pay, retry, refund, seats] * 2)
    expected = {ConflictError, InvalidStateError, PaymentPendingError}
    unexpected = {type(answer) for answer in answers if isinstance(answer, DomainError)} - expected
    assert {each.__name__ for each in unexpected} <= {"PaymentDeclinedError"}
    at_rest(world, jobs)
    assert_whole(world, subscription)
    assert parts.gateway.refunded("USD") == world.invoices(subscription)[0].payments[0].amount


def at_rest(world: LiveWorld, jobs: Jobs) -> None:
    for _ in range(8):
        jobs.tick()
        assert jobs.work(parallel=4) == []
        jobs.apply_notices(world.parts.gateway.notices)
        world.machine += timedelta(hours=1)


def assert_whole(world: World, subscription: Subscription) -> None:
    """Cancelled, or active (with or without an end in sight): every charge noted once, each period billed once."""
    after = world.reload(subscription)
    billed = world.invoices(subscription)
    assert after.status in (Status.CANCELED, Status.ACTIVE)
    cycles = [invoice.period for invoice in billed if invoice.cause.kind is CauseKind.CYCLE]
    assert len(set(cycles)) == len(cycles) <= 2
    for invoice in billed:
        references = [payment.reference for payment in invoice.payments]
        assert [charge.reference for charge in world.parts.gateway.charges(invoice.id)] == references
        assert len(references) <= 1
    assert_books(world)
