"""Customers and cards that somebody changes at the processor: told by a notice, or found out by using them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application import payment_methods
from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.customer import Account
from tests.infra.gateway_worlds import StandinWorld
from tests.infra.job_world import Jobs
from tests.infra.test_jobs_notices import a_notice, opened_page
from tests.scenario.test_crashes import every_step
from tests.scenario.world import Parts, World, customer_key


def deleted(world: World, customer: str) -> ProcessorNotice:
    """The customer deleted at the processor; the notice of it, which nobody was sent yet."""
    reference = world.account(customer).processor_customer
    assert reference is not None
    world.parts.gateway.delete_customer(reference)
    world.facts()
    notice: ProcessorNotice = world.parts.gateway.notices[-1]
    assert notice.kind == "customer.deleted"
    return notice


def test_a_deleted_customer_is_forgotten_with_what_was_saved_and_made_anew() -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    notice = deleted(world, customer)
    for _ in range(3):
        apply_notice(world.ctx(), notice)
    world.expect("customer.processor_customer_deleted")
    account = world.account(customer)
    assert (account.processor_customer, account.payment_method) == (None, None)
    world.card(customer, "pm_card_mastercard")
    fresh = world.account(customer)
    assert fresh.processor_customer not in (None, notice.reference)
    apply_notice(world.ctx(), notice)  # late: it was about another
    assert world.account(customer) == fresh


def test_before_anybody_tells_us_a_new_card_finds_out() -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    notice = deleted(world, customer)
    saved = payment_methods.attach(world.ctx(), customer, "pm_card_mastercard")
    assert world.account(customer).payment_method == saved
    world.expect("customer.processor_customer_deleted", "payment_method.attached")
    apply_notice(world.ctx(), notice)
    world.expect()


def test_a_renewal_of_a_deleted_customer_is_a_decline_and_not_an_error() -> None:
    world = World(start="2026-01-31")
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    deleted(world, sub.customer_id)
    world.advance(days=28)
    attempt = world.invoices(sub)[-1].attempt
    assert attempt is not None
    assert (attempt.status, attempt.decline and attempt.decline.code) == (
        "declined", "payment_method_missing",
    )  # fmt: skip
    assert world.reload(sub).status == "past_due"


def test_killed_anywhere_a_new_card_is_saved_for_a_customer_made_anew() -> None:
    def prepare(world: World) -> str:
        customer = world.customer("pm_card_visa")
        deleted(world, customer)
        return customer

    def act(world: World, customer: str) -> None:
        payment_methods.attach(world.ctx(), customer, "pm_card_mastercard")

    for world in every_step(prepare, act, act):
        (account,) = world.parts.store.records(Account)
        assert account.payment_method is not None
        assert account.processor_customer in world.parts.gateway.customers


def test_details_that_were_changed_are_taken_over() -> None:
    world = World()
    customer = world.customer("pm_card_visa")
    method = world.account(customer).payment_method
    assert method is not None
    held = world.parts.gateway.methods[method.id]
    held.method = replace(held.method, exp_year=2041)
    news = a_notice(world, "payment_method.updated", customer_id=customer)
    for _ in range(2):
        apply_notice(world.ctx(), replace(news, reference=method.id))
    fresh = world.account(customer).payment_method
    assert fresh is not None
    assert fresh.exp_year == 2041
    world.facts()
    apply_notice(world.ctx(), replace(news, reference="pm_other"))
    world.expect()


def test_a_card_saved_on_a_page_is_reported_by_its_setup_intent_too() -> None:
    world = World()
    session = opened_page(world, trial_days=None)
    world.parts.gateway.pay_checkout(session.reference)
    world.facts()
    told = next(each for each in world.parts.gateway.notices if each.kind == "checkout.session.completed")
    for _ in range(2):
        apply_notice(world.ctx(), replace(told, kind="setup_intent.succeeded", reference="seti_1"))
    assert "subscription.trial_started" in world.facts()
    assert world.account(session.customer_id).payment_method is not None


def test_an_expired_page_gives_everything_back() -> None:
    world = World()
    session = opened_page(world)
    world.parts.gateway.close_checkout(session.reference)
    world.facts()
    told = world.parts.gateway.notices[-1]
    assert told.kind == "checkout.session.expired"
    for _ in range(2):
        apply_notice(world.ctx(), told)
    assert world.facts().count("invoice.voided") == 1
    assert [invoice.status for invoice in world.invoices(session.customer_id)] == ["void"]


@pytest.fixture
def standin() -> Iterator[StandinWorld]:
    made = StandinWorld()
    yield made
    made.close()


@pytest.mark.parametrize("told", [True, False], ids=["told", "found out"])
def test_against_the_stand_in(standin: StandinWorld, told: bool) -> None:
    parts = Parts(MemoryStore(), standin.gateway, MemoryQueues(), MemoryOps())
    world = World(parts=parts, machine=datetime.now(UTC))
    jobs = Jobs(world)
    customer = world.customer("pm_card_visa", name="Ana")
    before = world.account(customer).processor_customer
    standin.delete(f"customers/{before}")
    if told:
        jobs.reconcile()
        assert world.account(customer).processor_customer is None
    parts.store.commit(world.env, replace(profile_of(world, customer), name="Ana Costa"))
    world.card(customer, "pm_card_visa")
    assert world.account(customer).processor_customer not in (None, before)


def profile_of(world: World, customer: str) -> Any:
    return world.parts.store.get(customer_key(world.env, customer))
