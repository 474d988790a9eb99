"""A customer's bank takes money back: what is booked, what waits, and what goes on when it is decided."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from math import factorial
from typing import Any

import pytest

from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.application.collection import collect_due, instants
from chalicelib.application.disputes import list_disputes
from chalicelib.application.dunning import retry_now
from chalicelib.application.entitlements import get_entitlements
from chalicelib.application.erasure import erase_customer
from chalicelib.application.invoices import pay_invoice
from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.application.records import catalog_key
from chalicelib.application.renewals import renew_subscription
from chalicelib.application.subscriptions import cancel_subscription
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import CollectionMethod, Terms
from chalicelib.domain.dunning_policy import DunningPolicy
from chalicelib.domain.errors import CurrencyMismatchError, InvalidStateError
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.subscription import Subscription
from tests.infra.job_world import Jobs
from tests.scenario.test_crashes import at_the_renewal, every_step
from tests.scenario.world import World, assert_books

FEE = 1500


def a_world() -> World:
    world = World(start="2026-01-31")
    world.parts.ops.create("environments", world.env, {"name": "world"})
    world.parts.gateway.now = lambda: world.machine
    return world


def paid(world: World, plan: str = "pro") -> tuple[Subscription, str]:
    """A subscription whose first invoice is paid, and that payment's reference."""
    sub = world.subscribe(world.customer("pm_card_visa"), plan, trial_days=0)
    world.facts()
    reference = world.invoices(sub)[0].payments[0].reference
    assert reference is not None
    return sub, reference


def told(world: World) -> list[ProcessorNotice]:
    return [each for each in world.parts.gateway.notices if each.kind.startswith("charge.dispute")]


def tell(world: World, notices: list[ProcessorNotice] | None = None) -> None:
    for notice in told(world) if notices is None else notices:
        apply_notice(world.ctx(), notice)


def opened(world: World, **options: Any) -> tuple[Subscription, str]:
    sub, reference = paid(world)
    dispute = world.parts.gateway.dispute_opens(reference, **options)
    tell(world)
    return sub, dispute


def publish_policy(world: World, policy: DunningPolicy) -> None:
    """Version 1 of the catalog with this policy, as if it had been published so."""
    catalog = replace(world.parts.catalogs.version(world.env, 1), dunning=policy)
    world.parts.store.commit(world.env, delete=[catalog_key(world.env, 1)])
    world.parts.store.commit(world.env, catalog)
    world.parts.catalogs = CachedCatalogs(world.parts.store)


def test_what_is_withdrawn_is_owed_again_and_the_fee_is_booked() -> None:
    world = a_world()
    sub, reference = paid(world)
    before, total = world.ledger(), world.invoices(sub)[0].total
    dispute = world.parts.gateway.dispute_opens(reference)
    tell(world)
    world.expect("dispute.opened")
    invoice = world.invoices(sub)[0]
    assert invoice.status == "paid"
    moved = {
        LedgerAccount.CASH: before[LedgerAccount.CASH] - total - FEE,
        LedgerAccount.RECEIVABLE: total,
        LedgerAccount.PROCESSOR_FEES: FEE,
    }
    assert world.ledger() == {**before, **moved}
    assert world.account(sub.customer_id).disputes == (dispute,)
    ((payment, found),) = list_disputes(world.ctx(), sub.customer_id, limit=5).records
    assert (payment.id, payment.contested) == (invoice.payments[0].id, total)
    assert found.state.evidence_due_at is not None
    assert found.opened_at == world.now
    assert_books(world)


def test_won_is_as_before_but_for_the_fee() -> None:
    world = a_world()
    sub, dispute = opened(world)
    world.parts.gateway.dispute_closes(dispute, won=True)
    tell(world)
    world.expect("dispute.opened", "dispute.closed")
    invoice = world.invoices(sub)[0]
    assert (invoice.status, invoice.amount_remaining, invoice.payments[0].contested) == ("paid", 0, 0)
    assert world.ledger()["cash"] == invoice.total - FEE
    assert "receivable" not in world.ledger()
    assert not world.account(sub.customer_id).disputes
    assert_books(world)


def test_lost_the_invoice_moves_from_paid_to_uncollectible() -> None:
    world = a_world()
    sub, dispute = opened(world)
    world.parts.gateway.dispute_closes(dispute, won=False)
    tell(world)
    world.expect("dispute.opened", "dispute.closed", "invoice.uncollectible")
    invoice = world.invoices(sub)[0]
    assert (invoice.status, invoice.amount_paid, invoice.closed_at) == ("uncollectible", 0, world.now)
    assert invoice.amount_remaining == world.ledger()["bad_debt"] == invoice.total
    assert world.ledger()["cash"] == -FEE
    assert "receivable" not in world.ledger()
    assert world.reload(sub).status == "active"
    assert_books(world)


def test_a_part_that_is_lost_is_bad_debt_and_the_rest_stays_paid() -> None:
    world = a_world()
    sub, dispute = opened(world, amount=1000)
    assert world.invoices(sub)[0].payments[0].contested == 1000
    world.parts.gateway.dispute_closes(dispute, won=False)
    tell(world)
    invoice = world.invoices(sub)[0]
    assert (invoice.status, invoice.amount_remaining) == ("uncollectible", 1000)
    assert invoice.amount_paid == invoice.total - 1000
    assert world.ledger()["bad_debt"] == 1000
    assert_books(world)


def test_lost_and_won_on_appeal_is_paid_again() -> None:
    world = a_world()
    sub, dispute = opened(world)
    world.parts.gateway.dispute_closes(dispute, won=False)
    tell(world)
    world.parts.gateway.dispute_closes(dispute, won=True)
    tell(world)
    world.expect(
        "dispute.opened", "dispute.closed", "invoice.uncollectible", "dispute.closed", "invoice.paid"
    )
    invoice = world.invoices(sub)[0]
    assert (invoice.status, invoice.amount_remaining, invoice.closed_at) == ("paid", 0, None)
    assert "bad_debt" not in world.ledger()
    assert_books(world)


def test_an_inquiry_is_recorded_books_nothing_and_holds_nothing_back() -> None:
    world = a_world()
    sub, dispute = opened(world, inquiry=True)
    before = world.ledger()
    assert not world.account(sub.customer_id).disputes
    world.advance(days=28)
    assert [invoice.status for invoice in world.invoices(sub)] == ["paid", "paid"]
    world.facts()
    world.parts.gateway.dispute_escalates(dispute)
    tell(world)
    world.expect("dispute.updated")
    assert world.account(sub.customer_id).disputes == (dispute,)
    assert world.ledger()["processor_fees"] == FEE
    assert before["cash"] > 0


def test_an_inquiry_that_is_closed_was_only_a_question() -> None:
    world = a_world()
    sub, dispute = opened(world, inquiry=True)
    before = world.ledger()
    world.parts.gateway.dispute_closes(dispute, won=False)
    tell(world)
    world.expect("dispute.opened", "dispute.closed")
    assert world.ledger() == before
    assert world.invoices(sub)[0].status == "paid"


def test_renewals_open_their_invoices_and_wait() -> None:
    world = a_world()
    sub, dispute = opened(world)
    world.facts()
    world.advance(to="2026-03-15T00:00:00+00:00", expect=["subscription.renewed", "invoice.opened"])
    world.advance(to="2026-04-15T00:00:00+00:00", expect=["subscription.renewed", "invoice.opened"])
    assert [(each.status, each.attempts) for each in world.invoices(sub)[1:]] == [("open", ())] * 2
    assert len(world.parts.gateway.charges()) == 1
    assert world.reload(sub).status == "active"
    world.parts.gateway.dispute_closes(dispute, won=True)
    tell(world)
    world.expect("dispute.closed")
    world.advance(minutes=1, expect=["payment.succeeded", "invoice.paid"] * 2)
    assert [each.status for each in world.invoices(sub)] == ["paid"] * 3
    assert len(world.parts.gateway.charges()) == 3


def test_what_the_closing_did_not_release_finds_out_within_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()
    sub, dispute = opened(world)
    world.advance(to="2026-03-15T00:00:00+00:00")
    world.facts()
    monkeypatch.setattr("chalicelib.domain.disputing.MOST_RELEASED", 0)
    world.parts.gateway.dispute_closes(dispute, won=False)
    tell(world)
    world.facts()
    world.advance(days=1, expect=["payment.succeeded", "invoice.paid"])
    assert world.invoices(sub)[1].status == "paid"


def test_all_of_the_customers_subscriptions_wait_and_nobody_elses() -> None:
    world = a_world()
    sub, dispute = opened(world)
    other = world.subscribe(sub.customer_id, "starter", trial_days=0)
    stranger, _ = paid(world)
    world.advance(to="2026-03-01T00:00:00+00:00")
    assert world.invoices(other)[0].status == "paid"  # asked for by hand
    assert [world.invoices(each)[-1].status for each in (sub, other, stranger)] == ["open", "open", "paid"]
    assert dispute in world.account(sub.customer_id).disputes


def test_a_second_dispute_holds_on_when_the_first_is_closed() -> None:
    world = a_world()
    sub, first = opened(world, amount=500)
    second = world.parts.gateway.dispute_opens(world.invoices(sub)[0].payments[0].reference, 700)
    tell(world)
    world.advance(to="2026-03-01T00:00:00+00:00")
    world.parts.gateway.dispute_closes(first, won=True)
    tell(world)
    assert world.account(sub.customer_id).disputes == (second,)
    world.advance(days=3)
    assert world.invoices(sub)[1].status == "open"
    world.parts.gateway.dispute_closes(second, won=False)
    tell(world)
    world.advance(minutes=1)
    first_invoice, held = world.invoices(sub)
    assert (held.status, first_invoice.amount_remaining) == ("paid", 700)


def test_a_dunning_run_waits_and_then_makes_up_with_one_try() -> None:
    world = a_world()
    sub, reference = paid(world)
    method = world.account(sub.customer_id).payment_method.id
    world.parts.gateway.behave(method, "insufficient_funds")
    world.advance(days=28)
    assert world.reload(sub).status == "past_due"
    dispute = world.parts.gateway.dispute_opens(reference)
    tell(world)
    tries = len(world.invoices(sub)[1].attempts)
    world.facts()
    world.advance(days=8, expect=[])
    assert len(world.invoices(sub)[1].attempts) == tries
    waiting = world.reload(sub)
    assert waiting.status == "past_due"
    assert waiting.dunning is not None
    assert waiting.dunning.next_at is not None
    assert waiting.dunning.next_at > world.now  # its row does not come back with every tick
    world.parts.gateway.dispute_closes(dispute, won=True)
    tell(world)
    world.advance(minutes=5)
    assert len(world.invoices(sub)[1].attempts) == tries + 1
    world.advance(days=1)
    assert len(world.invoices(sub)[1].attempts) == tries + 1
    world.parts.gateway.behave(method, "ok")
    world.advance(days=7)
    assert world.reload(sub).status == "active"


def test_by_hand_it_is_charged_all_the_same() -> None:
    world = a_world()
    sub, _ = opened(world)
    world.advance(to="2026-03-01T00:00:00+00:00")
    held = world.invoices(sub)[1]
    assert pay_invoice(world.ctx(), held.id, payment_method=None).status == "paid"
    method = world.account(sub.customer_id).payment_method.id
    behind, reference = paid(world)
    world.parts.gateway.behave(world.account(behind.customer_id).payment_method.id, "insufficient_funds")
    world.advance(days=31)
    world.parts.gateway.dispute_opens(reference)
    tell(world)
    world.parts.gateway.behave(world.account(behind.customer_id).payment_method.id, "ok")
    assert retry_now(world.ctx(), behind.id).status == "active"
    assert method


def test_a_new_card_is_not_charged_by_itself() -> None:
    world = a_world()
    sub, reference = paid(world)
    world.parts.gateway.behave(world.account(sub.customer_id).payment_method.id, "lost_card")
    world.advance(days=28)
    world.parts.gateway.dispute_opens(reference)
    tell(world)
    charges = len(world.parts.gateway.charges())
    world.card(sub.customer_id, "pm_card_mastercard")
    world.advance(days=3)
    assert len(world.parts.gateway.charges()) == charges
    assert world.reload(sub).status == "past_due"


def lifes() -> list[tuple[str, ...]]:
    return [
        ("withdrawn", "won"),
        ("withdrawn", "lost"),
        ("inquiry", "withdrawn", "lost"),
        ("inquiry", "closed"),
    ]


def live_through(world: World, life: tuple[str, ...], reference: str) -> None:
    dispute = world.parts.gateway.dispute_opens(reference, inquiry=life[0] == "inquiry")
    for step in life[1:]:
        if step == "withdrawn":
            world.parts.gateway.dispute_escalates(dispute)
        else:
            world.parts.gateway.dispute_closes(dispute, won=step == "won")


def state_of(world: World, sub: Subscription) -> Any:
    (invoice,) = world.invoices(sub)
    disputes = [(each.state, each.is_open) for each in invoice.payments[0].disputes]
    account = world.account(sub.customer_id)
    return (
        invoice.status,
        invoice.amount_paid,
        invoice.amount_remaining,
        disputes,
        account.disputes,
        world.ledger(),
    )


@pytest.mark.parametrize(("life", "events"), list(zip(lifes(), (4, 3, 3, 2), strict=True)))
def test_any_order_twice_or_by_the_reconciler_alone_ends_the_same(life: tuple[str, ...], events: int) -> None:
    def told_in(order: Iterable[int]) -> Any:
        world = a_world()
        sub, reference = paid(world)
        live_through(world, life, reference)
        notices = told(world)
        assert len(notices) == events
        tell(world, [notices[index] for index in order])
        Jobs(world).reconcile()
        before = world.parts.store.committed[:]
        tell(world, notices * 2)
        Jobs(world).reconcile()
        assert world.parts.store.committed == before
        assert_books(world)
        return state_of(world, sub)

    ends = [told_in(order) for order in ((), *permutations(range(events)))]
    assert len(ends) == 1 + factorial(events)
    assert all(end == ends[0] for end in ends)


def test_told_step_by_step_ends_as_told_at_the_end() -> None:
    ends = []
    for at_once in (True, False):
        world = a_world()
        sub, reference = paid(world)
        dispute = world.parts.gateway.dispute_opens(reference, inquiry=True)
        for step in ("escalates", "loses", "wins"):
            if not at_once:
                tell(world)
            if step == "escalates":
                world.parts.gateway.dispute_escalates(dispute)
            else:
                world.parts.gateway.dispute_closes(dispute, won=step == "wins")
        tell(world)
        ends.append(state_of(world, sub))
        assert_books(world)
    assert ends[0] == ends[1]


def test_a_look_that_was_overtaken_is_not_written_over_a_later_one() -> None:
    """Seen open, and decided before that was written: the loser looks again."""
    world = a_world()
    sub, dispute = opened(world)
    gateway, notice = world.parts.gateway, told(world)[0]

    class Overtaken:
        def __getattr__(self, name: str) -> Any:
            return getattr(gateway, name)

        def disputes(self, payment: str) -> Any:
            seen = gateway.disputes(payment)
            world.parts.gateway = gateway
            gateway.dispute_closes(dispute, won=False)
            apply_notice(world.ctx(), notice)
            return seen

    gateway.dispute_escalates(dispute, fee=100)
    world.parts.gateway = Overtaken()
    apply_notice(world.ctx(), notice)
    assert world.invoices(sub)[0].status == "uncollectible"
    assert not world.account(sub.customer_id).disputes
    assert_books(world)


def test_a_dispute_of_a_payment_that_we_have_not_heard_of_settles_it_first() -> None:
    world = a_world()
    sub, _ = paid(world)
    world.parts.gateway.script(["lost_after_charge"] * 4)
    world.parts.gateway.script(["unavailable"] * 4, on="find_charge")
    world.advance(days=28)
    world.facts()
    invoice = world.invoices(sub)[1]
    assert invoice.attempt.status == "in_flight"
    (charge,) = world.parts.gateway.charges(invoice.id)
    world.parts.gateway.dispute_opens(charge.reference)
    tell(world)
    world.expect("payment.succeeded", "invoice.paid", "dispute.opened")
    assert_books(world)


def test_a_dispute_in_another_currency_than_the_payment_fails_loudly() -> None:
    world = a_world()
    sub, dispute = opened(world)
    disputes = world.parts.gateway.disputed(dispute).disputes
    disputes[dispute] = type(disputes[dispute])(
        reference=dispute, status=disputes[dispute].status, amount=900, currency="EUR"
    )
    with pytest.raises(CurrencyMismatchError):
        tell(world)
    assert sub


@pytest.mark.parametrize("won", [True, False], ids=["won", "lost"])
def test_killed_anywhere_it_is_booked_once(won: bool) -> None:
    def prepare(world: World) -> str:
        sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
        world.parts.gateway.dispute_opens(world.invoices(sub)[0].payments[0].reference)
        return sub.id

    def act(world: World, subject: str) -> None:
        tell(world)
        renew_subscription(at_the_renewal(world), subject)
        sub = world.reload(world.parts.store.records(Subscription)[0])
        (dispute,) = world.account(sub.customer_id).disputes
        world.parts.gateway.dispute_closes(dispute, won=won)
        tell(world)
        collect_due(world.ctx(), world.invoices(sub)[1].id)

    def repair(world: World, subject: str) -> None:
        tell(world)
        world.advance(to="2026-04-30T12:00:00+00:00")
        (sub,) = world.parts.store.records(Subscription)
        for dispute in world.account(sub.customer_id).disputes:
            world.parts.gateway.dispute_closes(dispute, won=won)
        tell(world)
        world.advance(days=2)

    for world in every_step(prepare, act, repair):
        (sub,) = world.parts.store.records(Subscription)
        first, second = world.invoices(sub)
        assert (first.status, second.status) == ("paid" if won else "uncollectible", "paid")
        assert len(world.parts.gateway.charges(second.id)) == 1
        assert world.ledger()["processor_fees"] == FEE
        assert world.ledger().get("bad_debt", 0) == (0 if won else first.total)
        assert_books(world)


@pytest.mark.parametrize("seed", range(4))
def test_the_log_replayed_twice_in_any_order_changes_nothing(seed: int) -> None:
    world = a_world()
    for life in lifes():
        _, reference = paid(world)
        live_through(world, life, reference)
    tell(world)
    before = world.parts.store.committed[:]
    replay = told(world) * 2
    random.Random(seed).shuffle(replay)
    assert Jobs(world).apply_notices(replay) == []
    assert world.parts.store.committed == before


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "taken away"])
def test_access_follows_the_policy_and_comes_back_with_the_decision(keeps: bool) -> None:
    world = a_world()
    publish_policy(world, DunningPolicy(access_while_disputed=keeps))
    sub, reference = paid(world)
    before = get_entitlements(world.ctx(), sub.customer_id)
    assert before.active
    dispute = world.parts.gateway.dispute_opens(reference, inquiry=True)
    tell(world)
    assert get_entitlements(world.ctx(), sub.customer_id).active
    world.parts.gateway.dispute_escalates(dispute)
    tell(world)
    assert get_entitlements(world.ctx(), sub.customer_id).active is keeps
    publish_policy(world, DunningPolicy(access_while_disputed=not keeps))
    second = world.parts.gateway.dispute_opens(reference, 100)
    tell(world)
    assert get_entitlements(world.ctx(), sub.customer_id).active is keeps
    for each in (dispute, second):
        assert get_entitlements(world.ctx(), sub.customer_id).active is keeps
        world.parts.gateway.dispute_closes(each, won=True)
        tell(world)
    assert get_entitlements(world.ctx(), sub.customer_id) == before


def test_a_dispute_that_opens_inside_the_renewal_holds_it_back() -> None:
    """Read before and written after: the renewal's commit meets another account, and is decided anew."""
    world = a_world()
    sub, reference = paid(world)
    world.facts()

    def before_commit(env: str, records: Any) -> None:
        world.parts.store.before_commit = None
        world.parts.gateway.dispute_opens(reference)
        tell(world)

    world.parts.store.before_commit = before_commit
    renew_subscription(world.ctx(now=world.now + timedelta(days=28)), sub.id)
    assert world.facts() == ["dispute.opened", "subscription.renewed", "invoice.opened"]
    assert world.invoices(sub)[1].attempts == ()
    assert len(world.parts.gateway.charges()) == 1


def test_an_attempt_without_a_trace_is_given_up_and_its_successor_waits() -> None:
    """Begun before the dispute opened, never arrived, and too old to repeat under its key."""
    world = a_world()
    sub, reference = paid(world)
    world.parts.gateway.script(["lost_before_charge"] * 9)
    world.advance(days=28)
    world.parts.gateway.dispute_opens(reference)
    tell(world)
    world.machine += timedelta(hours=30)
    collect_due(world.ctx(), world.invoices(sub)[1].id)
    (attempt,) = world.invoices(sub)[1].attempts
    assert attempt.status == "canceled"
    (dispute,) = world.account(sub.customer_id).disputes
    world.parts.gateway.dispute_closes(dispute, won=True)
    tell(world)
    world.parts.gateway._scripts.clear()
    world.advance(minutes=1)
    held = world.invoices(sub)[1]
    assert (held.status, [each.status for each in held.attempts]) == ("paid", ["canceled", "succeeded"])
    assert len(world.parts.gateway.charges(held.id)) == 1


def test_a_sent_invoice_that_somebody_pays_by_hand_does_not_wait_when_the_attempt_left_no_trace() -> None:
    world = a_world()
    sub, _ = opened(world)
    terms = Terms(method=CollectionMethod.SEND_INVOICE, net_days=30)
    other = world.subscribe(sub.customer_id, "starter", trial_days=0, terms=terms)
    (invoice,) = world.invoices(other)
    begun = begin_attempt(invoice, world.account(sub.customer_id), instants(world.ctx()))
    world.parts.store.commit(world.env, begun)
    world.machine += timedelta(hours=30)
    collect_due(world.ctx(), invoice.id)
    (settled,) = world.invoices(other)
    assert ([attempt.status for attempt in settled.attempts], settled.collect_at) == (
        ["canceled", "succeeded"],
        None,
    )


def test_nobody_is_erased_while_their_payment_is_disputed() -> None:
    world = a_world()
    sub, dispute = opened(world)
    cancel_subscription(world.ctx(), sub.id, at_period_end=False, reason="")
    with pytest.raises(InvalidStateError, match="disputed"):
        erase_customer(world.ctx(), sub.customer_id)
    world.parts.gateway.dispute_closes(dispute, won=True)
    tell(world)
    erase_customer(world.ctx(), sub.customer_id)


def test_a_dispute_about_money_that_no_invoice_was_paid_with_is_said_once() -> None:
    """A charge of another system under our metadata: nothing is booked, and somebody has to look."""
    world = a_world()
    sub, reference = paid(world)
    known = world.parts.gateway.payments[reference].request
    attempt = replace(known.attempt, number=9, key=f"charge:{known.invoice_id}:9")
    stray = world.parts.gateway.charge(replace(known, attempt=attempt)).reference
    world.parts.gateway.dispute_opens(stray)
    before = world.ledger()
    for _ in range(2):
        tell(world, [each for each in told(world) if each.kind == "charge.dispute.created"])
    world.expect("dispute.unmatched")
    assert world.ledger() == before
    assert not world.account(sub.customer_id).disputes
