"""Ways in which billing systems lose or double money, told at the processor's side of the fence."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from chalicelib.adapters.codec import dumps, encode
from chalicelib.application import collection, payments, refunds, subscriptions
from chalicelib.application.context import Context
from chalicelib.application.notices import apply_notice
from chalicelib.application.records import environment_key
from chalicelib.application.renewals import renew_subscription
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import PROCESSOR
from chalicelib.domain.payment import Outcome, Payment
from chalicelib.domain.subscription import Status, Subscription
from tests.infra.job_world import Jobs
from tests.infra.test_jobs_notices import left_in_the_air, opened_page
from tests.scenario.test_crashes import Trap, at_the_renewal, paid_starter
from tests.scenario.world import World, assert_books


class Around:
    """A gateway with one call replaced; everything else goes through."""

    def __init__(self, gateway: Any, name: str, call: Callable[..., Any]) -> None:
        self.inner, self._name, self._call = gateway, name, call

    def __getattr__(self, name: str) -> Any:
        return self._call if name == self._name else getattr(self.inner, name)


def processor(world: World) -> Context:
    return replace(world.ctx(), actor=PROCESSOR)


def subscribed(world: World) -> Subscription:
    return world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)


# --- Charging once -------------------------------------------------------------------------------


def test_every_redelivery_asks_with_the_same_key_and_parameters() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub, sent = subscribed(world), []
    gateway = world.parts.gateway

    def charge(request: Any) -> Any:
        sent.append((request.attempt.key, request.attempt.method, request.attempt.amount, request.currency))
        return gateway.charge(request)

    world.parts.gateway = Around(gateway, "charge", charge)
    gateway.script(["lost_before_charge"] * 4)
    world.advance(days=31)
    for _ in range(6):
        world.machine += timedelta(hours=3)
        collection.collect_due(world.ctx(), world.invoices(sub)[-1].id)
    assert len(sent) == 5
    assert len(set(sent)) == 1
    assert len(gateway.charges(world.invoices(sub)[-1].id)) == 1
    assert_books(world)


def a_day_old(world: World, fault: str) -> Invoice:
    """A renewal whose outcome is unknown and whose key the processor has forgotten."""
    sub = subscribed(world)
    world.parts.gateway.script([fault] * 4)
    world.parts.gateway.script(["unavailable"] * 4, on="find_charge")
    world.advance(to="2026-04-05T12:00:00+00:00")
    assert world.parts.gateway.calls["charge"] == 5
    world.machine += timedelta(hours=25)
    world.parts.gateway.expire_keys()
    return world.invoices(sub)[-1]


def test_an_attempt_of_yesterday_is_looked_up_and_not_repeated() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    invoice = a_day_old(world, "lost_after_charge")
    assert invoice.attempt is not None
    assert invoice.attempt.is_open
    calls = world.parts.gateway.calls["charge"]
    for _ in range(3):
        collection.collect_due(world.ctx(), invoice.id)
    assert world.parts.gateway.calls["charge"] == calls
    assert len(world.parts.gateway.charges(invoice.id)) == 1
    assert collection.load(world.ctx(), invoice.id)[0].status == "paid"
    assert_books(world)


def test_an_attempt_of_yesterday_that_never_arrived_is_begun_anew_under_its_own_key() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    invoice = a_day_old(world, "lost_before_charge")
    for _ in range(3):
        collection.collect_due(world.ctx(), invoice.id)
    settled, _ = collection.load(world.ctx(), invoice.id)
    assert settled.status == "paid"
    assert settled.attempts[-1].key != invoice.attempts[-1].key
    assert len(world.parts.gateway.charges(invoice.id)) == 1
    assert_books(world)


def test_a_cancellation_at_any_step_of_the_renewal_ends_in_a_whole_state() -> None:
    """Before the period is opened nothing is charged; after it, it is charged once and stays paid."""
    ends = Counter[int]()
    for step in range(1, 100):
        world = World(start="2026-03-31T12:00:00+00:00")
        subject = paid_starter(world)
        trap, ctx = Trap(world), at_the_renewal(world)
        reached = _cancel_at(world, trap, subject, step)
        renew_subscription(ctx, subject)
        if not reached:
            break
        first, *later = world.invoices(world.reload(world.parts.store.records(Subscription)[0]))
        assert world.parts.store.records(Subscription)[0].status is Status.CANCELED
        assert len(later) <= 1
        assert world.parts.gateway.totals("USD") == sum(i.amount_paid for i in (first, *later))
        assert all(len(world.parts.gateway.charges(i.id)) == (i.status == "paid") for i in later)
        assert_books(world)
        charges = len(world.parts.gateway.charges())
        world.advance(days=90)
        assert len(world.parts.gateway.charges()) == charges
        ends[len(later)] += 1
    assert set(ends) == {0, 1}


def _cancel_at(world: World, trap: Trap, subject: str, step: int) -> list[bool]:
    """Somebody cancels at the step-th boundary; the list is filled when that happens."""
    reached: list[bool] = []
    passed = [0]

    def boundary() -> None:
        passed[0] += 1
        if passed[0] == step:
            reached.append(True)
            subscriptions.cancel_subscription(at_the_renewal(world), subject, at_period_end=False, reason="")

    trap.boundary = boundary  # type: ignore[method-assign]
    return reached


def test_one_request_key_serves_operations_of_their_own() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0, request="same")
    paid = payments.record_payment(
        world.ctx("same"), customer, amount=500, currency="USD", kind="transfer", reference=None,
        allocations=[],
    )  # fmt: skip
    assert sub.id.partition("_")[2] != paid.id.partition("_")[2]
    assert len(world.parts.store.records(Payment)) == 1
    (invoice,) = world.invoices(sub)
    for _ in range(2):
        refund = refunds.refund_payment(world.ctx("same"), invoice.payments[0].id, amount=100)
    assert (refund.key.partition(":")[0], invoice.attempts[0].key.partition(":")[0]) == ("refund", "charge")
    assert world.parts.gateway.refunded("USD") == 100


# --- The right card ------------------------------------------------------------------------------


def test_a_card_replaced_after_the_claim_is_charged_from_the_next_invoice_on() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = subscribed(world)
    claimed = world.account(sub.customer_id).payment_method
    world.parts.gateway.script(["unavailable"] * 4)
    world.advance(to="2026-04-05T12:00:00+00:00")
    world.card(sub.customer_id, "pm_card_mastercard")
    replaced = world.account(sub.customer_id).payment_method
    assert claimed is not None
    assert replaced is not None
    world.advance(to="2026-05-05T12:00:00+00:00")
    assert [invoice.attempts[-1].method for invoice in world.invoices(sub)] == [
        claimed.id, claimed.id, replaced.id,
    ]  # fmt: skip
    charged = [charge.request.attempt.method for charge in world.parts.gateway.charges()]
    assert charged == [claimed.id, claimed.id, replaced.id]


def test_a_card_that_was_taken_off_is_declined_and_no_other_card_is_charged() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_mastercard")
    world.card(customer, "pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    default = world.account(customer).payment_method
    assert default is not None
    world.parts.gateway.detach(default.id)
    world.advance(to="2026-04-05T12:00:00+00:00")
    assert len(world.parts.gateway.charges()) == 1
    attempt = world.invoices(sub)[-1].attempts[-1]
    assert (attempt.method, attempt.status) == (default.id, "declined")
    assert world.reload(sub).status is Status.PAST_DUE


def test_a_card_that_looks_expired_to_us_is_charged() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    sub = subscribed(world)
    account = world.account(sub.customer_id)
    assert account.payment_method is not None
    expired = replace(account.payment_method, exp_month=1, exp_year=2020)
    world.edit(account, payment_method=expired)
    world.advance(to="2026-04-05T12:00:00+00:00")
    assert [invoice.status for invoice in world.invoices(sub)] == ["paid", "paid"]


# --- Reports of the processor --------------------------------------------------------------------


def test_a_report_whose_writes_fail_is_applied_when_it_comes_again() -> None:
    world = World(start="2026-01-31")
    sub, invoice = left_in_the_air(world)
    jobs, failures = Jobs(world), [3]
    notice = next(each for each in world.parts.gateway.notices if each.invoice_id == invoice.id)

    def fail(env: str, records: Any) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OSError("the table is away")

    world.parts.store.before_commit = fail
    for _ in range(3):
        assert jobs.apply_notices([notice]) == [dumps(encode(notice))]
    assert world.invoices(sub)[-1].status == "open"
    assert jobs.apply_notices([notice, notice]) == []
    world.expect("payment.succeeded", "invoice.paid")
    assert_books(world)


def test_a_webhook_inside_the_call_that_caused_it() -> None:
    world = World(start="2026-01-31")
    gateway = world.parts.gateway

    def charge(request: Any) -> Any:
        answer = gateway.charge(request)
        world.parts.gateway = gateway
        for notice in [each for each in gateway.notices if each.invoice_id == request.invoice_id]:
            apply_notice(processor(world), notice)
        return answer

    world.parts.gateway = Around(gateway, "charge", charge)
    sub = subscribed(world)
    assert world.reload(sub).status is Status.ACTIVE
    assert world.facts().count("invoice.paid") == 1
    assert len(world.invoices(sub)[0].payments) == 1
    assert len(gateway.charges()) == 1
    assert_books(world)


def test_three_webhooks_at_once_are_one_payment() -> None:
    world = World(start="2026-01-31")
    sub, invoice = left_in_the_air(world)
    notice = next(each for each in world.parts.gateway.notices if each.invoice_id == invoice.id)
    contexts = [processor(world) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda ctx: apply_notice(ctx, notice), contexts))
    world.expect("payment.succeeded", "invoice.paid")
    assert len(world.invoices(sub)[-1].payments) == 1
    assert_books(world)


def told_in(order: tuple[int, ...]) -> tuple[Any, ...]:
    """The end of a life whose five events arrive in this order: a page paid by debit, its refund, its dispute."""
    world = World(start="2026-01-31")
    world.parts.gateway.now = lambda: world.machine
    session = opened_page(world)
    world.parts.gateway.pay_checkout(session.reference, "pm_sepaDebit")
    (reference,) = world.parts.gateway.payments
    world.parts.gateway.settle(reference)
    world.parts.gateway.refund_in_dashboard(reference, 500)
    told = [each for each in world.parts.gateway.notices if each.kind != "refund.created"]
    world.parts.gateway.dispute_opens(reference, 2000)
    told.append(world.parts.gateway.notices[-1])
    assert len(told) == 5
    for index in order:
        apply_notice(processor(world), told[index])
    assert_books(world)
    (sub,) = world.parts.store.records(Subscription)
    assert sub.status is Status.ACTIVE
    (invoice,) = world.invoices(sub)
    assert (invoice.status, invoice.amount_refunded) == ("paid", 500)
    return sub.mrr, sub.period, invoice.status, invoice.payments, Counter(world.facts()), world.ledger()


def test_every_order_of_a_lifes_events_ends_in_one_state() -> None:
    ends = [told_in(order) for order in permutations(range(5))]
    assert len(ends) == 120
    assert all(end == ends[0] for end in ends)


@pytest.mark.parametrize("seed", range(5))
def test_the_whole_log_replayed_twice_in_any_order_changes_nothing(seed: int) -> None:
    world = World(start="2026-01-31")
    world.parts.gateway.now = lambda: world.machine
    jobs = Jobs(world)
    for card in ("pm_card_visa", "pm_debit_processing", "pm_card_mastercard"):
        made = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
        world.card(made.customer_id, card)
    session = opened_page(world)
    world.parts.gateway.pay_checkout(session.reference)
    for month in range(3):
        for method in list(world.parts.gateway.methods)[month::3]:
            world.parts.gateway.behave(method, ["ok", "insufficient_funds", "processing"][month])
        world.advance(days=30)
    for reference, payment in list(world.parts.gateway.payments.items()):
        if payment.result.outcome is Outcome.PROCESSING:
            world.parts.gateway.settle(reference)
    charged = world.parts.gateway.charges()[0]
    world.parts.gateway.refund_in_dashboard(charged.reference, 500)
    failing = world.parts.gateway.refund_in_dashboard(charged.reference, 700)
    world.parts.gateway.settle_refund(failing, "failed")
    dispute = world.parts.gateway.dispute_opens(charged.reference, 2000)
    world.parts.gateway.dispute_closes(dispute, won=False)
    log = list(world.parts.gateway.notices)
    assert len(log) > 12
    assert jobs.apply_notices(log) == []
    environment = world.parts.store.get(environment_key(world.env))
    world.edit(environment, clock=world.now + timedelta(days=3))
    before, calls = world.parts.store.committed[:], Counter(world.parts.gateway.calls)
    replay = log * 2
    random.Random(seed).shuffle(replay)
    assert jobs.apply_notices(replay) == []
    assert world.parts.store.committed == before
    asked = world.parts.gateway.calls - calls
    assert not asked["charge"] + asked["refund"] + asked["cancel_charge"]
    assert_books(world)
