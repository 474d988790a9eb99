"""Checkout sessions over engines in memory: opened, paid, saved, released, late, raced, and killed at every step."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.application import checkout, collection, payments, renewals
from chalicelib.application.checkout_opening import Purchase, open_checkout
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain.calendar import Interval
from chalicelib.domain.checkout import CheckoutMode, CheckoutSession, CheckoutStatus
from chalicelib.domain.customer import CollectionMethod, Credit, Terms
from chalicelib.domain.errors import (
    GatewayUnavailableError,
    IdempotencyMismatchError,
    InvalidStateError,
    NotFoundError,
    QuoteRequiredError,
    ValidationError,
)
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.ordering import Order
from chalicelib.domain.return_urls import require_allowed, with_session
from chalicelib.domain.subscription import Status
from tests.scenario.world import World, assert_books

SUCCESS = "https://shop.example/thanks?lang=en"
CANCEL = "https://shop.example/pricing"
OPENED = ["subscription.created", "invoice.opened", "checkout.opened"]
PAID = [
    "payment_method.attached",
    "payment.succeeded",
    "invoice.paid",
    "subscription.activated",
    "checkout.completed",
]


def purchase(plan: str = "pro", customer_id: str | None = None, **order) -> Purchase:
    order.setdefault("trial_days", 0)
    order.setdefault("interval", Interval.of("month"))
    return Purchase(
        order=Order(plan=plan, currency="USD", **order),
        success_url=SUCCESS,
        cancel_url=CANCEL,
        customer_id=customer_id,
        profile=None if customer_id else {"email": "grace@example.com", "name": "Grace"},
    )


def opened(world: World, wanted: Purchase | None = None, request: str = "buy") -> CheckoutSession:
    return open_checkout(world.ctx(request), wanted or purchase())


def read(world: World, session: CheckoutSession) -> CheckoutSession:
    return checkout.get_checkout(world.ctx(), session.id)


def subscription(world: World, session: CheckoutSession):
    return get_subscription(world.ctx(), session.subscription_id)


def assert_bought_once(world: World, session: CheckoutSession, amount: int = 2900) -> None:
    sub = subscription(world, session)
    assert sub.status is Status.ACTIVE
    assert read(world, session).status is CheckoutStatus.COMPLETE
    (invoice,) = world.invoices(sub)
    assert invoice.status is InvoiceStatus.PAID
    assert len(invoice.payments) == 1
    assert world.parts.gateway.totals("USD") - world.parts.gateway.refunded("USD") == amount
    assert len(world.parts.gateway.charges()) == 1
    assert world.ledger() == {LedgerAccount.CASH: amount, LedgerAccount.REVENUE: -amount}
    assert world.mrr() == amount
    assert world.account(session.customer_id).payment_method is not None
    assert_books(world)


def test_a_new_customer_pays_and_is_active() -> None:
    world = World()
    session = opened(world)
    assert session.mode is CheckoutMode.PAYMENT
    assert session.url == "https://pay.example/cs_mem_1"
    world.expect("customer.created", *OPENED)
    page = world.parts.gateway.pages["cs_mem_1"].request
    assert (page.amount, page.currency, page.invoice_id) == (2900, "USD", session.invoice_id)
    assert page.return_url.endswith(f"/checkout/return?env={world.env}&session={session.id}")
    assert subscription(world, session).status is Status.INCOMPLETE
    assert checkout.complete_checkout(world.ctx(), session.id).status is CheckoutStatus.OPEN
    assert checkout.return_address(world.ctx(), session) is None
    world.parts.gateway.pay_checkout("cs_mem_1")
    done = checkout.complete_checkout(world.ctx(), session.id)
    world.expect(*PAID)
    assert_bought_once(world, session)
    address = checkout.return_address(world.ctx(), done)
    assert address == f"{SUCCESS}&checkout_session={session.id}"


def test_the_first_renewal_charges_the_saved_card() -> None:
    world = World(start="2026-01-31T10:00:00+00:00")
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1")
    checkout.complete_checkout(world.ctx(), session.id)
    world.facts()
    world.advance(
        to="2026-03-01T00:00:00+00:00",
        expect=["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"],
    )


def test_the_same_request_continues_and_another_content_is_refused() -> None:
    world = World()
    first = opened(world)
    again = opened(world)
    assert first == again
    assert len(world.parts.gateway.pages) == 1
    with pytest.raises(IdempotencyMismatchError):
        open_checkout(replace(world.ctx("buy"), request_print="other"), purchase())


class Counted:
    """A store that notes every trip to it."""

    def __init__(self, store) -> None:
        self.store, self.trips = store, []

    def __getattr__(self, name: str):
        if name in ("get", "get_many", "children", "commit", "listing"):
            self.trips.append(name)
        return getattr(self.store, name)


def test_trips_to_the_table_and_to_the_processor() -> None:
    world = World()
    ctx = world.ctx("buy")
    world.parts.store = counted = Counted(world.parts.store)
    session = open_checkout(ctx, purchase())
    assert counted.trips == ["get", "get", "commit", "commit"]
    assert world.parts.gateway.calls == {"ensure_customer": 1, "open_checkout": 1}
    world.parts.gateway.pay_checkout("cs_mem_1")
    counted.trips.clear()
    checkout.complete_checkout(ctx, session.id)
    assert counted.trips == ["get", "get_many", "commit"]
    assert world.parts.gateway.calls["checkout"] == 1


def test_an_existing_customer_with_credit_pays_the_rest() -> None:
    world = World()
    customer = world.customer(terms=Terms(method=CollectionMethod.SEND_INVOICE, net_days=30))
    world.edit(world.account(customer), credits=(Credit(1000, "USD", world.now, "gift"),))
    session = opened(world, purchase(customer_id=customer, quantity=2))
    page = world.parts.gateway.pages["cs_mem_1"].request
    assert page.amount == 4800
    assert [item.amount for item in page.items] == [4800]
    checkout.expire_checkout(world.ctx(), session.id)
    assert [credit.amount for credit in world.account(customer).credits] == [1000]
    assert world.ledger() == {}


def test_nothing_due_saves_a_card_and_then_activates() -> None:
    world = World()
    customer = world.customer()
    world.edit(world.account(customer), credits=(Credit(9000, "USD", world.now, "gift"),))
    session = opened(world, purchase(customer_id=customer))
    assert session.mode is CheckoutMode.SETUP
    assert world.invoices(customer) == []
    world.facts()
    world.parts.gateway.pay_checkout("cs_mem_1")
    checkout.complete_checkout(world.ctx(), session.id)
    world.expect(
        "payment_method.attached",
        "invoice.opened",
        "invoice.paid",
        "subscription.activated",
        "checkout.completed",
    )
    assert world.account(customer).credits[0].amount == 6100
    assert world.parts.gateway.charges() == []


@pytest.mark.parametrize("plan", ["pro", "starter"])  # with and without a card required
def test_a_trial_starts_when_the_card_is_saved(plan: str) -> None:
    world = World(start="2026-05-01T09:00:00+00:00")
    session = opened(world, purchase(plan, trial_days=None))
    assert session.mode is CheckoutMode.SETUP
    world.expect("customer.created", "subscription.created", "checkout.opened")
    world.advance(hours=2, expect=[])
    world.parts.gateway.pay_checkout("cs_mem_1")
    for _ in range(3):
        checkout.complete_checkout(world.ctx(), session.id)
    world.expect("payment_method.attached", "subscription.trial_started", "checkout.completed")
    sub = subscription(world, session)
    assert sub.status is Status.TRIALING
    assert sub.trial.ends_at.isoformat() == "2026-05-15T11:00:00+00:00"
    world.advance(days=15)
    assert subscription(world, session).status is Status.ACTIVE


def test_an_abandoned_trial_is_given_back() -> None:
    world = World()
    customer = world.customer()
    session = opened(world, purchase(customer_id=customer, trial_days=None))
    assert world.account(customer).trial_used
    with pytest.raises(ValidationError):
        opened(world, purchase(customer_id=customer, trial_days=14), request="second")
    world.facts()
    world.advance(days=2, expect=["subscription.expired"])
    assert read(world, session).status is CheckoutStatus.EXPIRED
    assert not world.account(customer).trial_used
    assert not world.parts.gateway.pages["cs_mem_1"].state.payable


def test_an_unpaid_page_is_closed_and_everything_given_back() -> None:
    world = World()
    session = opened(world)
    world.facts()
    world.advance(hours=22, expect=[])
    world.advance(hours=1, expect=["subscription.expired", "invoice.voided"])
    assert read(world, session).status is CheckoutStatus.EXPIRED
    assert subscription(world, session).status is Status.INCOMPLETE_EXPIRED
    assert world.ledger() == {}
    with pytest.raises(ValueError, match="closed"):
        world.parts.gateway.pay_checkout("cs_mem_1")
    assert checkout.return_address(world.ctx(), read(world, session)).startswith(CANCEL)
    world.advance(days=40, expect=[])


def test_paid_in_the_last_moment_is_completed_by_the_release() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1")
    world.advance(hours=30)
    assert_bought_once(world, session)


def test_nothing_is_void_while_the_processor_cannot_be_asked() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.script(["unavailable"] * 9, on="close_checkout")
    advance = world.advance(hours=30)
    assert advance.status == "stuck"
    assert subscription(world, session).status is Status.INCOMPLETE
    world.parts.gateway._scripts.clear()
    world.parts.gateway.pay_checkout("cs_mem_1")
    world.advance(hours=1)
    assert_bought_once(world, session)


def test_a_bank_debit_holds_back_activation_and_release() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1", "pm_debit_processing")
    checkout.complete_checkout(world.ctx(), session.id)
    assert checkout.payment_status(world.ctx(), read(world, session)) == "processing"
    assert checkout.return_address(world.ctx(), read(world, session)).startswith(SUCCESS)
    world.facts()
    world.advance(days=7, expect=[])
    assert subscription(world, session).status is Status.INCOMPLETE
    reference = next(iter(world.parts.gateway.payments))
    world.parts.gateway.settle(reference)
    checkout.complete_checkout(world.ctx(), session.id)
    world.expect("payment.succeeded", "invoice.paid", "subscription.activated", "checkout.completed")
    assert_bought_once(world, session)


def test_a_bank_debit_settled_by_the_clock_completes_the_page_too() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1", "pm_debit_processing")
    checkout.complete_checkout(world.ctx(), session.id)
    world.parts.gateway.settle(next(iter(world.parts.gateway.payments)))
    world.advance(days=7)
    assert_bought_once(world, session)


def test_a_refused_bank_debit_ends_in_release() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1", "pm_debit_processing")
    checkout.complete_checkout(world.ctx(), session.id)
    world.parts.gateway.settle(next(iter(world.parts.gateway.payments)), "decline")
    world.facts()
    for _ in range(2):
        checkout.complete_checkout(world.ctx(), session.id)
    world.expect("payment.failed", "subscription.expired", "invoice.voided")
    assert read(world, session).status is CheckoutStatus.EXPIRED
    assert world.ledger() == {}


def test_money_after_a_release_goes_back_once() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1")  # paid, and yet released: as if the processor had erred
    renewals.release(world.ctx(), session.subscription_id, session.invoice_id)
    world.facts()
    for _ in range(3):
        checkout.complete_checkout(world.ctx(), session.id)
    world.expect("payment.unexpected", "payment.refunded")
    assert world.parts.gateway.refunded("USD") == 2900
    (payment,) = payments.list_payments(world.ctx(), session.customer_id, limit=9, cursor=None).records
    assert (payment.id, payment.refunded, payment.allocations) == (read(world, session).refund, 2900, ())
    assert subscription(world, session).status is Status.INCOMPLETE_EXPIRED
    assert_books(world)


def test_money_for_an_invoice_that_another_card_paid_goes_back() -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    session = opened(world, purchase(customer_id=customer))
    collection.begin_and_collect(world.ctx(), session.invoice_id)
    world.parts.gateway.pay_checkout("cs_mem_1")
    for _ in range(2):
        checkout.complete_checkout(world.ctx(), session.id)
    assert subscription(world, session).status is Status.ACTIVE
    assert world.parts.gateway.totals("USD") - world.parts.gateway.refunded("USD") == 2900
    assert world.facts().count("payment.refunded") == 1
    assert_books(world)


def test_a_saved_card_that_is_being_charged_comes_first() -> None:
    """Two ways to pay one invoice at the same time: one of them is given back, whichever is learned first."""
    world = World()
    customer = world.customer("pm_card_visa")
    session = opened(world, purchase(customer_id=customer))
    world.parts.gateway.script(["lost_after_charge"])
    world.parts.gateway.script(["unavailable"], on="find_charge")
    with pytest.raises(GatewayUnavailableError):
        collection.begin_and_collect(world.ctx(), session.invoice_id)
    world.parts.gateway.pay_checkout("cs_mem_1")
    world.parts.gateway.script(["unavailable"])
    with pytest.raises(GatewayUnavailableError):
        checkout.complete_checkout(world.ctx(), session.id)
    assert subscription(world, session).status is Status.INCOMPLETE
    checkout.complete_checkout(world.ctx(), session.id)
    assert subscription(world, session).status is Status.ACTIVE
    assert world.parts.gateway.totals("USD") - world.parts.gateway.refunded("USD") == 2900
    assert_books(world)


def test_a_charge_without_outcome_is_not_mistaken_for_the_pages_own() -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    session = opened(world, purchase(customer_id=customer))
    world.parts.gateway.script(["lost_before_charge"])
    invoice = collection.begin_and_collect(world.ctx(), session.invoice_id)
    assert invoice.attempt.not_before is not None
    world.parts.gateway.pay_checkout("cs_mem_1")
    checkout.complete_checkout(world.ctx(), session.id)
    assert subscription(world, session).status is Status.INCOMPLETE
    world.machine += timedelta(hours=1)
    checkout.complete_checkout(world.ctx(), session.id)
    assert subscription(world, session).status is Status.ACTIVE
    assert world.parts.gateway.totals("USD") - world.parts.gateway.refunded("USD") == 2900
    assert_books(world)


def test_a_page_that_the_processor_keeps_open_is_not_given_up() -> None:
    world = World()
    session = opened(world)
    gateway = world.parts.gateway

    class Stubborn:
        def __getattr__(self, name):
            return getattr(gateway, "checkout" if name == "close_checkout" else name)

    world.parts.gateway = Stubborn()
    world.facts()
    world.advance(days=2, expect=[])
    assert subscription(world, session).status is Status.INCOMPLETE
    world.parts.gateway = gateway
    gateway.pay_checkout("cs_mem_1")
    world.advance(hours=2)
    assert_bought_once(world, session)


def test_a_debit_that_the_collector_settled_completes_the_page() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1", "pm_debit_processing")
    checkout.complete_checkout(world.ctx(), session.id)
    world.parts.gateway.settle(next(iter(world.parts.gateway.payments)))
    collection.collect_due(world.ctx(), session.invoice_id)
    assert subscription(world, session).status is Status.ACTIVE
    world.facts()
    checkout.complete_checkout(world.ctx(), session.id)
    world.expect("checkout.completed")
    assert_bought_once(world, session)


def test_killed_between_a_refused_debit_and_its_release() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1", "pm_debit_processing")
    checkout.complete_checkout(world.ctx(), session.id)
    world.parts.gateway.settle(next(iter(world.parts.gateway.payments)), "decline")
    world.facts()
    world.parts.store.after_commit = lambda *_: (_ for _ in ()).throw(Killed())
    with pytest.raises(Killed):
        checkout.complete_checkout(world.ctx(), session.id)
    world.parts.store.after_commit = None
    world.expect("payment.failed")
    checkout.complete_checkout(world.ctx(), session.id)
    world.expect("subscription.expired", "invoice.voided")


def test_a_page_that_expired_at_the_processor_is_released() -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.close_checkout("cs_mem_1")
    assert checkout.complete_checkout(world.ctx(), session.id).status is CheckoutStatus.EXPIRED
    assert subscription(world, session).status is Status.INCOMPLETE_EXPIRED


def test_expiring_by_request() -> None:
    world = World()
    session = opened(world)
    for _ in range(2):
        assert checkout.expire_checkout(world.ctx(), session.id).status is CheckoutStatus.EXPIRED
    paid = opened(world, request="second")
    world.parts.gateway.pay_checkout("cs_mem_2")
    with pytest.raises(InvalidStateError):
        checkout.expire_checkout(world.ctx(), paid.id)
    assert subscription(world, paid).status is Status.ACTIVE


def test_a_session_given_up_before_its_page_was_opened_closes_it() -> None:
    world = World()
    gateway = world.parts.gateway
    real = gateway.open_checkout

    class Late:
        def __getattr__(self, name):
            return getattr(gateway, name)

        def open_checkout(self, request):
            checkout.expire_checkout(world.ctx(), request.key)
            return real(request)

    world.parts.gateway = Late()
    session = opened(world)
    assert session.status is CheckoutStatus.EXPIRED
    assert not gateway.pages["cs_mem_1"].state.payable


@pytest.mark.parametrize(
    ("wanted", "error", "field"),
    [
        (purchase("free"), ValidationError, "plan"),
        (purchase("enterprise"), QuoteRequiredError, "plan"),
        (purchase("nope"), ValidationError, "plan"),
        (purchase("pro", trial_days=31), ValidationError, "trial_days"),
        (purchase("starter", quantity=2), ValidationError, "quantity"),
        (replace(purchase(), success_url="https://evil.example/"), ValidationError, "success_url"),
        (replace(purchase(), cancel_url="javascript:alert(1)"), ValidationError, "cancel_url"),
        (replace(purchase(), profile={"email": "x"}), ValidationError, "email"),
    ],
)
def test_what_is_refused_leaves_nothing(wanted: Purchase, error: type[Exception], field: str) -> None:
    world = World()
    with pytest.raises(error) as refusal:
        opened(world, wanted)
    assert getattr(refusal.value, "field", None) == field
    assert world.facts() == []


def test_a_missing_session_is_not_found() -> None:
    world = World()
    for bad in ("chk_1", "sub_" + "0" * 42, "chk_" + "0" * 42):
        with pytest.raises(NotFoundError):
            checkout.complete_checkout(world.ctx(), bad)


@pytest.mark.parametrize(
    "url",
    [
        "//shop.example/x",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://evil.example/?https://shop.example/",
        "http://shop.example/",
        "https://shop.example:8443/",
        "https:\\\\shop.example/",
        "https://shop.example\\@evil.example/",
        "https://user@shop.example/",
        "https://shop.example:x/",
        "https://shop.example/\nSet-Cookie:x",
        "data:text/html,x",
        "",
    ],
)
def test_addresses_outside_the_allowed_origins(url: str) -> None:
    with pytest.raises(ValidationError):
        require_allowed(url, ("https://shop.example",), field="success_url")


def test_addresses_inside_the_allowed_origins() -> None:
    for url in ("https://shop.example/a?b=c#d", "https://SHOP.example:443"):
        assert require_allowed(url, ("https://shop.example",), field="success_url") == url


def test_the_session_is_told_to_the_merchant() -> None:
    assert with_session("https://a.example/x#f", "chk_1") == "https://a.example/x?checkout_session=chk_1#f"
    assert with_session("https://a.example/{CHECKOUT_SESSION_ID}", "chk_1") == "https://a.example/chk_1"


def by_return(world: World, session: CheckoutSession) -> None:
    checkout.complete_checkout(world.ctx(), session.id)


def by_due_row(world: World, session: CheckoutSession) -> None:
    checkout.release_checkout(world.ctx(now=session.release_at), session.id)


def by_subscription_row(world: World, session: CheckoutSession) -> None:
    late = session.release_at + timedelta(days=1)
    checkout.release_incomplete(world.ctx(now=late), session.subscription_id)


WAYS = [by_return, by_due_row, by_subscription_row]


class Killed(Exception):
    pass


class Killer:
    """Raises at the n-th boundary: before and after every commit and every call of the gateway."""

    def __init__(self, world: World, at: int) -> None:
        self.left = at
        self.store, self.gateway = world.parts.store, world.parts.gateway
        self.store.before_commit = self.store.after_commit = lambda *_: self.step()
        world.parts.gateway = self
        self.world = world

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def __getattr__(self, name: str):
        call = getattr(self.gateway, name)
        if name in ("minimum", "pages", "payments", "charges", "totals", "refunded", "pay_checkout"):
            return call

        def stepping(*args):
            self.step()
            answer = call(*args)
            self.step()
            return answer

        return stepping

    def off(self) -> None:
        self.store.before_commit = self.store.after_commit = None
        self.world.parts.gateway = self.gateway


@pytest.mark.parametrize("at", range(1, 10))
def test_killed_while_opening_and_repeated(at: int) -> None:
    world = World()
    killer = Killer(world, at)
    try:
        opened(world)
        finished = True
    except Killed:
        finished = False
    killer.off()
    session = opened(world)
    assert finished == (at > 8), "every boundary of the opening is tried"
    assert len(world.parts.gateway.pages) == 1
    assert world.facts() == ["customer.created", *OPENED]
    world.parts.gateway.pay_checkout("cs_mem_1")
    by_return(world, session)
    assert_bought_once(world, session)


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("repeat", WAYS)
@pytest.mark.parametrize("way", WAYS)
def test_killed_while_completing_and_repeated(way, repeat, at: int) -> None:
    world = World()
    session = opened(world)
    world.parts.gateway.pay_checkout("cs_mem_1")
    killer = Killer(world, at)
    try:
        way(world, session)
        finished = True
    except Killed:
        finished = False
    killer.off()
    assert finished == (at > 4), "every boundary of the completion is tried"
    repeat(world, session)
    by_return(world, session)
    assert_bought_once(world, session)
    assert world.facts() == ["customer.created", *OPENED, *PAID]


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("way", WAYS[1:])
def test_killed_while_releasing_and_repeated(way, at: int) -> None:
    world = World()
    session = opened(world)
    killer = Killer(world, at)
    try:
        way(world, session)
        finished = True
    except Killed:
        finished = False
    killer.off()
    assert finished == (at > 4)
    for _ in range(2):
        way(world, session)
    assert read(world, session).status is CheckoutStatus.EXPIRED
    assert world.ledger() == {}
    facts = world.facts()
    assert facts == ["customer.created", *OPENED, "subscription.expired", "invoice.voided"]


@pytest.mark.parametrize("mode", ["payment", "setup"])
def test_three_complete_at_once(mode: str) -> None:
    world = World()
    session = opened(world, purchase(trial_days=0 if mode == "payment" else None))
    world.parts.gateway.pay_checkout("cs_mem_1")
    together = threading.Barrier(3)
    errors: list[Exception] = []

    def run(way) -> None:
        together.wait()
        try:
            way(world, session)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(way,)) for way in WAYS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    facts = world.facts()
    if mode == "payment":
        assert_bought_once(world, session)
        assert facts.count("subscription.activated") == 1
    else:
        assert facts.count("subscription.trial_started") == 1
    assert facts.count("checkout.completed") == 1


@pytest.mark.parametrize("trial_days", [0, None])
def test_a_loser_decides_anew_on_what_the_winner_wrote(trial_days: int | None) -> None:
    world = World()
    session = opened(world, purchase(trial_days=trial_days))
    world.parts.gateway.pay_checkout("cs_mem_1")
    world.facts()
    world.parts.store.before_commit = lambda *_: overtake()

    def overtake() -> None:
        world.parts.store.before_commit = None
        by_return(world, session)

    by_return(world, session)
    facts = world.facts()
    assert facts.count("checkout.completed") == facts.count("payment_method.attached") == 1
    assert subscription(world, session).status is (Status.ACTIVE if trial_days == 0 else Status.TRIALING)


def test_a_stale_due_row_of_the_subscription_changes_nothing() -> None:
    world = World()
    session = opened(world)
    checkout.release_incomplete(world.ctx(), session.subscription_id)
    checkout.release_checkout(world.ctx(), session.id)
    assert read(world, session).status is CheckoutStatus.OPEN
    key = child_key(CheckoutSession, world.env, session.id)
    assert world.parts.store.get(key).release_at == session.release_at
