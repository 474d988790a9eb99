"""Whoever reports an outcome, and however often: it is settled once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

from chalicelib.application import collection, renewals
from chalicelib.domain.errors import PaymentPendingError
from chalicelib.domain.invoice import Invoice, attempt_key
from chalicelib.domain.payment import ChargeResult, Outcome
from chalicelib.domain.subscription import Subscription
from tests.scenario.world import World, assert_books

PAID = ChargeResult(outcome=Outcome.SUCCEEDED, reference="pi_1", charge="ch_1", charged=1900)


def in_flight(world: World) -> tuple[Invoice, Subscription]:
    """A renewal that was opened and not yet charged: the processor was away."""
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.parts.gateway.script(["unavailable"] * 4)
    world.advance(days=31)
    world.facts()
    return collection.load(world.ctx(), world.invoices(sub)[-1].id)


def test_the_key_follows_from_invoice_and_attempt_alone() -> None:
    world = World()
    invoice, _ = in_flight(world)
    assert invoice.attempts[-1].key == attempt_key(invoice.id, 1) == f"charge:{invoice.id}:1"


def test_a_second_report_changes_nothing() -> None:
    world = World()
    invoice, subscription = in_flight(world)
    collection.settle(world.ctx(), invoice, subscription, PAID)
    world.expect("payment.succeeded", "invoice.paid")
    fresh = collection.load(world.ctx(), invoice.id)
    for stale in ((invoice, subscription), fresh):
        collection.settle(world.ctx(), *stale, PAID)
    world.expect()
    assert_books(world)


def test_eight_reports_at_once_settle_once() -> None:
    world = World()
    invoice, subscription = in_flight(world)
    with ThreadPoolExecutor(8) as pool:
        reports = [pool.submit(collection.settle, world.ctx(), invoice, subscription, PAID) for _ in range(8)]
    assert {report.result().status for report in reports} == {"paid"}
    world.expect("payment.succeeded", "invoice.paid")
    assert_books(world)


def test_a_late_decline_does_not_undo_a_payment() -> None:
    world = World()
    invoice, subscription = in_flight(world)
    collection.settle(world.ctx(), invoice, subscription, PAID)
    world.facts()
    collection.settle(world.ctx(), invoice, subscription, ChargeResult(outcome=Outcome.DECLINED))
    world.expect()


def test_a_bank_debit_in_a_dunning_run_holds_the_run_until_it_ends() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, "generic_decline")
    world.advance(to="2026-04-05T12:00:00+00:00")
    world.parts.gateway.behave(method.id, "processing")
    world.facts()
    calls = world.parts.gateway.calls["charge"]
    world.advance(days=3, expect=["payment.processing"])
    assert world.parts.gateway.calls["charge"] == calls + 1
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is None
    (payment,) = (p for p in world.parts.gateway.payments.values() if p.result.outcome is Outcome.PROCESSING)
    world.parts.gateway.settle(payment.reference, "ok")
    world.advance(days=3, expect=["payment.succeeded", "invoice.paid", "subscription.recovered"])


def test_money_that_comes_for_a_void_invoice_is_refunded_once() -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    world.parts.gateway.script(["lost_before_charge"])
    with suppress(PaymentPendingError):
        world.subscribe(customer, "starter", trial_days=0)
    (invoice,) = world.invoices(customer)
    open_, subscription = collection.load(world.ctx(), invoice.id)
    world.machine += timedelta(minutes=5)
    renewals.release_incomplete(world.ctx(now=world.now + timedelta(hours=24)), subscription.id)
    assert world.invoices(customer)[0].status == "void"
    # A worker that had loaded the invoice before it was void charges it after all.
    world.parts.gateway.charge(collection.charge_request(world.ctx(), open_, open_.attempts[-1]))
    world.facts()
    for _ in range(3):
        fresh = collection.load(world.ctx(), invoice.id)
        found = world.parts.gateway.find_charge(
            collection.charge_request(world.ctx(), fresh[0], fresh[0].attempts[-1])
        )
        assert found is not None
        collection.settle(world.ctx(), *fresh, found)
    world.expect("payment.unexpected", "payment.refunded")
    assert world.parts.gateway.totals("USD") == world.parts.gateway.refunded("USD") > 0
    assert world.ledger() == {}
    assert world.reload(subscription).status == "incomplete_expired"
