"""Arrears by policy: days, hard declines, quiet hours, grace, and the three ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application import dunning, payment_methods
from chalicelib.application.customers import update_customer
from chalicelib.application.entitlements import get_entitlements
from chalicelib.application.invoices import pay_invoice
from chalicelib.application.ports import ChargeRequest
from chalicelib.application.records import catalog_key
from chalicelib.domain.dunning_policy import DunningPolicy, EndState, HardDecline
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.payment import ChargeResult
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.world import World, assert_books

RENEWAL_FAILS = ["subscription.renewed", "invoice.opened", "payment.failed", "subscription.past_due"]


def behind(
    policy: DunningPolicy | None = None, *, decline: str = "generic_decline", zone: str = "UTC"
) -> tuple[World, Subscription]:
    """A subscription whose first renewal, on 5 April at noon, was just declined."""
    world = World(start="2026-03-05T12:00:00+00:00")
    if policy is not None:
        _publish(world, policy)
    customer = world.customer("pm_card_visa", zone=zone)
    sub = world.subscribe(customer, "starter", trial_days=0)
    method = world.account(customer).payment_method
    assert method is not None
    world.parts.gateway.behave(method.id, decline)
    world.advance(to="2026-04-05T12:00:00+00:00")
    return world, sub


def test_the_policys_days_are_the_days() -> None:
    world, sub = behind(DunningPolicy(days=(0, 1, 3)))
    world.facts()
    world.advance(days=1, expect=["payment.failed"])
    world.advance(days=2, expect=["payment.failed", "subscription.canceled", "invoice.uncollectible"])
    assert world.reload(sub).status is Status.CANCELED


def test_a_plans_own_policy_goes_before_the_catalogs() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    _publish(world, DunningPolicy(days=(0, 1)), plan="pro")
    catalog = world.parts.catalogs.version(world.env, 1)
    assert catalog.dunning_of("pro") == ("plan:pro", DunningPolicy(days=(0, 1)))
    assert catalog.dunning_of("starter") == ("default", DunningPolicy())


def test_a_customers_segment_has_a_policy_between_the_plans_and_the_catalogs() -> None:
    world = World(start="2026-03-05T12:00:00+00:00")
    _publish(world, DunningPolicy(days=(0, 1)), plan="pro")
    _publish(world, DunningPolicy(days=(0, 5)), segment="patient")
    found = {}
    for segment, plan in (
        ("patient", "starter"),
        ("patient", "pro"),
        ("", "starter"),
        ("unheard", "starter"),
    ):
        customer = world.customer("pm_card_visa", segment=segment)
        sub = world.subscribe(customer, plan, trial_days=0)
        method = world.account(customer).payment_method
        assert method is not None
        world.parts.gateway.behave(method.id, "insufficient_funds")
        found[segment, plan] = sub
    world.advance(to="2026-04-05T12:00:00+00:00")
    runs = {each: world.reload(sub).dunning for each, sub in found.items()}
    assert {each: (run.policy_name, run.policy.days[1]) for each, run in runs.items() if run} == {
        ("patient", "starter"): ("segment:patient", 5),
        ("patient", "pro"): ("plan:pro", 1),
        ("", "starter"): ("default", 2),
        ("unheard", "starter"): ("default", 2),
    }
    # The customer moves to another segment: the run that is under way keeps its policy.
    sub = found["patient", "starter"]
    update_customer(world.ctx(), sub.customer_id, {"segment": None})
    world.advance(days=5)
    assert world.reload(sub).status is Status.CANCELED


def test_a_hard_decline_may_end_it_at_once() -> None:
    world, sub = behind(DunningPolicy(hard_decline=HardDecline.END), decline="lost_card")
    assert world.reload(sub).status is Status.CANCELED
    (_, last) = world.invoices(sub)
    # 1 of 30 days was served.
    assert (last.status, last.credited, last.amount_remaining) == ("uncollectible", 1837, 63)
    assert world.ledger()[LedgerAccount.BAD_DEBT] == 63


def test_nothing_is_tried_in_quiet_hours() -> None:
    world, sub = behind(DunningPolicy(quiet_from=20, quiet_until=8), zone="Asia/Tokyo")
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    # Noon UTC is 21:00 in Tokyo: the try of 7 April waits for 08:00 on the 8th there.
    assert run.next_at.isoformat() == "2026-04-07T23:00:00+00:00"


def test_unpaid_keeps_the_invoice_open_and_paying_it_brings_everything_back() -> None:
    world, sub = behind(DunningPolicy(days=(0, 2), end=EndState.UNPAID))
    world.facts()
    world.advance(days=2, expect=["payment.failed", "subscription.unpaid"])
    assert world.reload(sub).status is Status.UNPAID
    assert not get_entitlements(world.ctx(), sub.customer_id).active
    world.advance(days=60, expect=[])
    assert world.mrr() == 0
    pay_invoice(world.ctx(), world.invoices(sub)[-1].id, payment_method="pm_card_visa")
    world.expect("payment_method.attached", "payment.succeeded", "invoice.paid", "subscription.recovered")
    assert get_entitlements(world.ctx(), sub.customer_id).active
    assert world.mrr() == 1900
    # Time without service is not billed: the next period begins now.
    world.advance(
        minutes=1, expect=["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"]
    )
    period = world.reload(sub).period
    assert period is not None
    assert period.start.isoformat() == "2026-06-06T12:00:00+00:00"
    assert_books(world)


def test_the_free_plan_catches_who_does_not_pay() -> None:
    world, sub = behind(DunningPolicy(days=(0, 2), end=EndState.FREE_PLAN, free_plan="free"))
    world.facts()
    world.advance(days=2, expect=["payment.failed", "subscription.fell_back", "invoice.uncollectible"])
    fallen = world.reload(sub)
    assert (fallen.status, fallen.plan.product, fallen.mrr) == (Status.ACTIVE, "free", 0)
    assert get_entitlements(world.ctx(), sub.customer_id).plan == "free"
    world.advance(days=90, expect=[])
    assert world.mrr() == 0


def test_access_lasts_as_long_as_the_grace_and_payment_restores_it_at_once() -> None:
    world, sub = behind(DunningPolicy(grace_days=3))
    assert get_entitlements(world.ctx(), sub.customer_id).active
    world.advance(days=3)
    assert not get_entitlements(world.ctx(), sub.customer_id).active
    dunning.extend_grace(world.ctx(), sub.id, days=2)
    assert get_entitlements(world.ctx(), sub.customer_id).active
    world.advance(days=2)
    assert not get_entitlements(world.ctx(), sub.customer_id).active
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_mastercard")
    dunning.try_new_method(world.ctx(), sub.customer_id)
    assert get_entitlements(world.ctx(), sub.customer_id).active
    assert world.reload(sub).status is Status.ACTIVE


def test_a_new_card_is_tried_at_once_and_its_decline_moves_nothing_on_the_schedule() -> None:
    world, sub = behind(decline="lost_card")
    before = world.reload(sub).dunning
    assert before is not None
    assert before.step == 4  # a hard decline waits for the last day
    world.advance(days=3)
    world.facts()
    payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_insufficient_funds")
    dunning.try_new_method(world.ctx(), sub.customer_id)
    world.expect("payment_method.attached", "payment.failed")
    after = world.reload(sub).dunning
    assert after is not None
    assert after.next_at is not None
    # Back on schedule: day 7 is next.
    assert (after.step, after.next_at.isoformat()) == (2, "2026-04-12T12:00:00+00:00")


def test_a_card_that_comes_while_the_old_one_is_asked_is_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world, sub = behind()
    gateway = type(world.parts.gateway)
    ask = gateway.charge

    def charge(self: MemoryGateway, request: ChargeRequest) -> ChargeResult:
        monkeypatch.undo()
        result = ask(self, request)
        payment_methods.attach(world.ctx(), sub.customer_id, "pm_card_mastercard")
        return result

    monkeypatch.setattr(gateway, "charge", charge)
    dunning.retry_now(world.ctx(), sub.id)
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at == world.now
    world.advance(hours=1)
    assert world.reload(sub).status is Status.ACTIVE
    assert_books(world)


def test_trying_by_hand_spends_no_step() -> None:
    world, sub = behind()
    world.facts()
    for _ in range(6):
        dunning.retry_now(world.ctx(), sub.id)
    world.expect(*["payment.failed"] * 6)
    run = world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    assert (run.step, run.next_at.isoformat()) == (1, "2026-04-07T12:00:00+00:00")
    healthy = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    with pytest.raises(InvalidStateError):
        dunning.retry_now(world.ctx(), healthy.id)


def test_writing_off_by_hand_ends_the_run_and_happens_once() -> None:
    world, sub = behind()
    world.advance(days=1)
    invoice = world.invoices(sub)[-1]
    world.facts()
    dunning.mark_uncollectible(world.ctx(), invoice.id)
    world.expect("invoice.uncollectible", "subscription.recovered")
    with pytest.raises(InvalidStateError):
        dunning.mark_uncollectible(world.ctx(), invoice.id)
    assert world.reload(sub).status is Status.ACTIVE
    assert_books(world)


def _publish(world: World, policy: DunningPolicy, plan: str | None = None, segment: str = "") -> None:
    """Version 1 of the catalog with this policy, as if it had been published so."""
    catalog = world.parts.catalogs.version(world.env, 1)
    if segment:
        changed = replace(catalog, dunning_by_segment={segment: policy})
    elif plan is None:
        changed = replace(catalog, dunning=policy)
    else:
        plans = tuple(replace(p, dunning=policy) if p.id == plan else p for p in catalog.plans)
        changed = replace(catalog, plans=plans)
    world.parts.store.commit(world.env, delete=[catalog_key(world.env, 1)])
    world.parts.store.commit(world.env, changed)
    world.parts.catalogs = type(world.parts.catalogs)(world.parts.store)
