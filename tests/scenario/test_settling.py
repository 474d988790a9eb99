"""Whoever reports an outcome, and however often: it is settled once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from chalicelib.application import collection
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
        reports = [
            pool.submit(collection.settle, world.ctx(), invoice, subscription, PAID) for _ in range(8)
        ]
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
