"""Every kind of event, told twice, failing on the way, or once more at the end: its effect is its mark."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.application import clock_work
from chalicelib.application.context import Context
from chalicelib.application.notices import HANDLERS, apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.checkout import CheckoutSession
from chalicelib.domain.customer import Account
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import PROCESSOR, ActorKind
from chalicelib.domain.payment import ChargeResult, Outcome
from chalicelib.domain.subscription import Subscription
from tests.infra.test_jobs_notices import left_in_the_air, opened_page
from tests.scenario.world import World, assert_books


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lives are compared, and the processor numbers its payments as they come: threads would mix them."""
    monkeypatch.setattr(clock_work, "WORKERS", 1)


def processor(world: World) -> Context:
    return replace(world.ctx(), actor=PROCESSOR)


def a_full_life() -> tuple[World, list[ProcessorNotice]]:
    """A world in which nobody was told anything yet, and what there is to tell: every kind that has a handler."""
    world = World(start="2026-01-31")
    gateway = world.parts.gateway
    gateway.now = lambda: world.machine
    page, setup, left = (opened_page(world, **order) for order in ({}, {"trial_days": None}, {}))
    gateway.pay_checkout(page.reference, "pm_sepaDebit")
    gateway.settle(next(iter(gateway.payments)))
    gateway.pay_checkout(setup.reference)
    gateway.close_checkout(left.reference)
    payer, debtor, refused = (
        world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0) for _ in range(3)
    )
    world.card(debtor.customer_id, "pm_sepaDebit")
    behaves(world, refused.customer_id, "insufficient_funds")
    world.advance(days=29)
    gateway.settle(world.invoices(debtor)[-1].attempt.reference)
    (charge,) = [each for each in gateway.charges() if each.request.invoice_id == world.invoices(payer)[0].id]
    dispute = gateway.dispute_opens(charge.reference, 900)
    gateway.dispute_closes(dispute, won=True)
    lost = gateway.dispute_opens(charge.reference, 700)
    gateway.dispute_closes(lost, won=False)
    gateway.delete_customer(world.account(debtor.customer_id).processor_customer)
    return world, [*gateway.notices, *derived(world, charge.reference, refused.customer_id)]


def behaves(world: World, customer: str, behaviour: str) -> None:
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, behaviour)


def derived(world: World, paid: str, customer: str) -> list[ProcessorNotice]:
    """The kinds that the processor in memory does not send: they say where to look as others do."""
    notices = world.parts.gateway.notices
    first = {notice.kind: notice for notice in reversed(notices)}
    about_paid = next(each for each in notices if each.reference == paid)
    method = world.account(customer).payment_method
    assert method is not None
    held = world.parts.gateway.methods[method.id]
    held.method = replace(held.method, exp_year=2044)
    of_method = replace(first["payment_method.detached"], reference=method.id, customer_id=customer)
    like = {
        "payment_intent.requires_action": first["payment_intent.payment_failed"],
        "payment_intent.canceled": first["payment_intent.payment_failed"],
        "setup_intent.succeeded": first["checkout.session.completed"],
        "checkout.session.async_payment_succeeded": first["checkout.session.completed"],
        "checkout.session.async_payment_failed": first["checkout.session.completed"],
        "charge.refunded": about_paid,
        "refund.created": about_paid,
        "refund.failed": about_paid,
        "refund.updated": about_paid,
        "charge.dispute.updated": about_paid,
        "payment_method.updated": of_method,
        "payment_method.automatically_updated": of_method,
    }
    return [
        replace(notice, id=f"evt_{kind}", kind=kind)
        for kind, notice in like.items()
        if kind in HANDLERS and kind not in first
    ]


def state_of(world: World) -> Any:
    records = {
        (type(record).__name__, getattr(record, "id", ""), getattr(record, "customer_id", "")): record
        for type_ in (Invoice, Account, Subscription, CheckoutSession)
        for record in world.parts.store.records(type_)
    }
    unversioned = {key: replace(record, version=0) for key, record in records.items()}
    return unversioned, Counter(world.facts()), world.ledger()


def test_every_kind_told_again_writes_nothing() -> None:
    world, log = a_full_life()
    assert {notice.kind for notice in log} == set(HANDLERS)
    for notice in log:
        apply_notice(processor(world), notice)
    before, calls = world.parts.store.committed[:], Counter(world.parts.gateway.calls)
    for notice in [*reversed(log), *log]:
        apply_notice(processor(world), notice)
    assert world.parts.store.committed == before
    moved = world.parts.gateway.calls - calls
    assert not moved["charge"] + moved["refund"] + moved["cancel_charge"]
    assert_books(world)


def test_every_kind_whose_writes_fail_ends_as_if_they_had_not() -> None:
    """The write fails (before it is done, then after), and the message is delivered again."""
    calm, log = a_full_life()
    for notice in log:
        apply_notice(processor(calm), notice)
    rough, log = a_full_life()
    failed = 0
    for notice in log:
        for moment in ("before_commit", "after_commit"):
            failed += fails_once(rough, notice, moment)
        apply_notice(processor(rough), notice)
    assert failed > 8
    assert state_of(rough) == state_of(calm)
    assert_books(rough)


def fails_once(world: World, notice: ProcessorNotice, moment: str) -> bool:
    """Whether applying it died at its first write."""

    def fail(env: str, records: Any) -> None:
        raise KeyboardInterrupt

    setattr(world.parts.store, moment, fail)
    try:
        apply_notice(processor(world), notice)
    except KeyboardInterrupt:
        return True
    finally:
        setattr(world.parts.store, moment, None)
    return False


def test_what_an_event_brought_about_names_it() -> None:
    world = World(start="2026-01-31")
    _, invoice = left_in_the_air(world)
    notice = next(each for each in world.parts.gateway.notices if each.invoice_id == invoice.id)
    apply_notice(processor(world), notice)
    entry = world.journal()[-1]
    assert [fact.type for fact in entry.facts] == ["payment.succeeded", "invoice.paid"]
    assert (entry.actor.kind, entry.actor.id) == (ActorKind.PROCESSOR, notice.id)


@pytest.mark.parametrize("hosted", [False, True], ids=["off session", "on a page"])
def test_a_debit_under_way_that_is_told_again_writes_nothing(hosted: bool) -> None:
    world = World(start="2026-01-31")
    if hosted:
        session = opened_page(world)
        world.parts.gateway.pay_checkout(session.reference, "pm_sepaDebit")
    else:
        sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
        world.card(sub.customer_id, "pm_sepaDebit")
        world.advance(days=28)
    told = [each for each in world.parts.gateway.notices if each.kind == "payment_intent.processing"]
    assert told
    apply_notice(processor(world), told[-1])
    before = world.parts.store.committed[:]
    for _ in range(3):
        apply_notice(processor(world), told[-1])
    assert world.parts.store.committed == before


def test_a_debit_under_way_is_still_looked_up_when_its_time_has_come() -> None:
    world = World(start="2026-01-31")
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.card(sub.customer_id, "pm_sepaDebit")
    world.advance(days=28)
    first = world.invoices(sub)[-1].collect_at
    world.advance(days=4)
    second = world.invoices(sub)[-1].collect_at
    assert first is not None
    assert second is not None
    assert second > world.now > first


def test_an_event_of_a_payment_that_says_nothing_yet_writes_nothing() -> None:
    """The intent exists and was never confirmed: the due row looks again, however often we are told."""
    world = World(start="2026-01-31")
    _, invoice = left_in_the_air(world)
    notice = next(each for each in world.parts.gateway.notices if each.invoice_id == invoice.id)
    (charge,) = world.parts.gateway.charges(invoice.id)
    charge.result = ChargeResult(outcome=Outcome.UNKNOWN, reference=charge.reference)
    before = world.parts.store.committed[:]
    for _ in range(3):
        apply_notice(processor(world), notice)
    assert world.parts.store.committed == before
