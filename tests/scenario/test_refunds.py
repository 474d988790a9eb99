"""Refunds: asked for through the API, made in the processor's dashboard, by hand, and for money that came late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from chalicelib.application import payments, refunds
from chalicelib.application.context import Context
from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.application.refund_notices import take_in
from chalicelib.domain.customer import CollectionMethod, Terms
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    IdempotencyMismatchError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import PROCESSOR, LedgerAccount
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.refund import Refund
from tests.infra.job_world import Jobs
from tests.scenario.world import World, assert_books

PRO = 2900
NET_30 = Terms(method=CollectionMethod.SEND_INVOICE, net_days=30)


def paid(world: World, card: str = "pm_card_visa", **order: Any) -> tuple[Invoice, Payment]:
    sub = world.subscribe(world.customer(card), "pro", trial_days=0, **order)
    (invoice,) = world.invoices(sub)
    world.facts()
    return invoice, invoice.payments[0]


def fresh(world: World, invoice: Invoice) -> Invoice:
    return next(each for each in world.invoices(invoice.customer_id) if each.id == invoice.id)


def payment(world: World, invoice: Invoice) -> Payment:
    return fresh(world, invoice).payments[0]


def refund(world: World, payment_id: str, amount: int | None = None, **more: Any) -> Refund:
    return refunds.refund_payment(world.ctx(more.pop("request", "")), payment_id, amount=amount, **more)


def told(world: World, *kinds: str) -> list[ProcessorNotice]:
    return [each for each in world.parts.gateway.notices if each.kind in kinds]


def hear(world: World, *notices: ProcessorNotice) -> None:
    for notice in notices:
        apply_notice(replace(world.ctx(), actor=PROCESSOR), notice)


class TestThroughTheApi:
    def test_all_of_a_payment(self) -> None:
        world = World()
        invoice, before = paid(world)
        made = refund(world, before.id, reason="asked nicely")
        world.expect("refund.created", "payment.refunded")
        assert (made.status, made.amount, made.key) == ("succeeded", PRO, f"refund:{before.id}:1")
        after = fresh(world, invoice)
        assert (after.status, after.total, after.amount_paid, after.amount_refunded) == (
            "paid",
            PRO,
            PRO,
            PRO,
        )
        assert after.lines == invoice.lines
        assert (world.ledger(), world.mrr()) == ({}, PRO)
        assert world.parts.gateway.refunded("USD") == PRO
        with pytest.raises(InvalidStateError, match="nothing is left"):
            refund(world, before.id)
        renewed = ["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"]
        world.advance(days=31, expect=renewed)

    def test_in_parts_and_never_more_than_is_left(self) -> None:
        world = World()
        invoice, before = paid(world)
        first = refund(world, before.id, 1000)
        second = refund(world, before.id, 1000)
        assert [first.key, second.key] == [f"refund:{before.id}:1", f"refund:{before.id}:2"]
        with pytest.raises(ValidationError) as refused:
            refund(world, before.id, 901)
        assert (refused.value.field, refused.value.fix) == (
            "amount",
            "at most 900, or leave it out for all of it",
        )
        assert refund(world, before.id).amount == 900
        assert payment(world, invoice).refunded == PRO
        assert_books(world)

    def test_the_same_request_is_one_refund(self) -> None:
        world = World()
        _, before = paid(world)
        first = refund(world, before.id, 500, request="once")
        assert refund(world, before.id, 500, request="once") == first
        assert world.parts.gateway.calls["refund"] == 1
        other = world.ctx("once")
        object.__setattr__(other, "request_print", "another content")
        with pytest.raises(IdempotencyMismatchError):
            refunds.refund_payment(other, before.id, amount=600)
        assert world.parts.gateway.refunded("USD") == 500

    def test_many_at_once_never_exceed_the_payment(self) -> None:
        world = World()
        invoice, before = paid(world)
        contexts = [world.ctx() for _ in range(12)]

        def ask(ctx: Context) -> int:
            try:
                return refunds.refund_payment(ctx, before.id, amount=700).amount
            except (InvalidStateError, ValidationError, ConflictError):
                return 0

        with ThreadPoolExecutor(12) as pool:
            given = sum(pool.map(ask, contexts))
        after = payment(world, invoice)
        assert 700 <= given <= PRO
        assert (after.refunded, after.refunding) == (given, 0)
        assert world.parts.gateway.refunded("USD") == given
        assert_books(world)

    def test_what_the_bank_took_back_is_not_returned_again(self) -> None:
        world = World()
        invoice, before = paid(world)
        world.parts.gateway.dispute_opens("pi_mem_1", 2000)
        hear(world, *told(world, "charge.dispute.created"))
        assert payment(world, invoice).contested == 2000
        with pytest.raises(ValidationError, match="only 900"):
            refund(world, before.id, 901)
        assert refund(world, before.id).amount == 900

    def test_an_amount_that_the_processor_cannot_move_is_refused(self) -> None:
        world = World()
        _, before = paid(world)
        gateway = world.parts.gateway

        class Coarse:
            def __getattr__(self, name: str) -> Any:
                return getattr(gateway, name)

            def movable(self, amount: int, currency: str) -> int:
                return amount // 10 * 10

        world.parts.gateway = Coarse()
        with pytest.raises(ValidationError) as refused:
            refund(world, before.id, 1234)
        assert (refused.value.field, refused.value.fix) == ("amount", "refund 1230")

    @pytest.mark.parametrize("id_", ["pay_x", "pay_" + "0" * 42, f"pay_{'0' * 42}_1", "inv_1"])
    def test_what_is_not_there_is_not_found(self, id_: str) -> None:
        with pytest.raises(NotFoundError):
            refund(World(), id_)


class TestOutcomes:
    def test_a_pending_refund_is_reserved_and_settled_by_its_due_row(self) -> None:
        world = World()
        invoice, before = paid(world, "pm_card_pendingRefund")
        made = refund(world, before.id, 2000)
        world.expect("refund.created", "refund.pending")
        assert (made.status, made.reference) == ("pending", "re_mem_1")
        held = payment(world, invoice)
        assert (held.refunded, held.refunding, world.ledger()[LedgerAccount.CASH]) == (0, 2000, PRO)
        with pytest.raises(ValidationError):
            refund(world, before.id, 901)
        world.advance(days=1, hours=1, expect=[])
        world.parts.gateway.settle_refund("re_mem_1")
        world.advance(days=1, expect=["payment.refunded"])
        assert world.parts.gateway.calls["refund"] == 1
        assert refunds.get_refund(world.ctx(), made.id).settled_at == made.at + timedelta(days=2)

    def test_a_pending_refund_is_settled_by_its_webhook(self) -> None:
        world = World()
        _, before = paid(world, "pm_card_pendingRefund")
        refund(world, before.id)
        world.parts.gateway.settle_refund("re_mem_1")
        world.facts()
        hear(world, *told(world, "refund.updated") * 2)
        world.expect("payment.refunded")
        assert_books(world)

    def test_what_the_processor_refuses_is_released(self) -> None:
        """Somebody was quicker in the processor's dashboard, and we have not heard of it yet."""
        world = World()
        invoice, before = paid(world)
        world.parts.gateway.refund_in_dashboard("pi_mem_1", PRO)
        made = refund(world, before.id, 500)
        world.expect("refund.created", "refund.failed")
        assert (made.status, made.failure) == ("failed", "charge_already_refunded")
        after = payment(world, invoice)
        assert (after.refunded, after.refunding) == (0, 0)
        hear(world, *told(world, "charge.refunded"))
        world.expect("payment.refunded")
        assert (payment(world, invoice).refunded, world.ledger()) == (PRO, {})

    def test_an_answer_that_is_lost_is_looked_up(self) -> None:
        world = World()
        _, before = paid(world)
        world.parts.gateway.script(["lost_after_charge"], on="refund")
        assert refund(world, before.id, 500).status == "succeeded"
        assert world.parts.gateway.calls["refund"] == 1

    def test_an_unknown_outcome_waits_and_is_repeated_under_its_key(self) -> None:
        world = World()
        invoice, before = paid(world)
        world.parts.gateway.script(["lost_before_charge"], on="refund")
        made = refund(world, before.id, 500)
        world.expect("refund.created")
        assert (made.status, made.not_before) == ("in_flight", world.machine + timedelta(minutes=5))
        assert payment(world, invoice).refunding == 500
        world.advance(minutes=1, expect=[])
        assert world.parts.gateway.calls["refund"] == 1
        world.machine += timedelta(minutes=6)
        world.advance(minutes=1, expect=["payment.refunded"])
        assert [each.request.key for each in world.parts.gateway.refunds.values()] == [made.key]

    def test_an_outage_leaves_it_to_the_due_row(self) -> None:
        world = World()
        invoice, before = paid(world)
        world.parts.gateway.script(["unavailable"], on="refund")
        with pytest.raises(GatewayUnavailableError):
            refund(world, before.id, 500, request="again")
        world.expect("refund.created")
        world.advance(minutes=1, expect=["payment.refunded"])
        assert refund(world, before.id, 500, request="again").status == "succeeded"
        assert payment(world, invoice).refunded == 500

    @pytest.mark.parametrize("fault", ["lost_after_charge", "lost_before_charge"])
    def test_an_old_key_is_looked_up_and_never_repeated(self, fault: str) -> None:
        """The processor has forgotten the key by then: repeated, it would be a second refund."""
        world = World()
        invoice, before = paid(world)
        world.parts.gateway.script([fault], on="refund")
        world.parts.gateway.script(["unavailable"], on="refunds_of")
        with pytest.raises(GatewayUnavailableError):
            refund(world, before.id, 500)
        world.machine += timedelta(hours=25)
        world.parts.gateway.expire_keys()
        world.advance(minutes=1, expect=["refund.created", "payment.refunded"])
        (made,) = world.parts.gateway.refunds.values()
        arrived = fault == "lost_after_charge"
        assert made.request.key == f"refund:{before.id}:{1 if arrived else 2}"
        assert (payment(world, invoice).refunded, payment(world, invoice).refunding) == (500, 0)

    def test_one_that_fails_after_it_had_succeeded_leaves_nothing_behind(self) -> None:
        world = World()
        invoice, before = paid(world, "pm_card_refundFail")
        ledger = world.ledger()
        made = refund(world, before.id, 1000)
        refund(world, before.id, 500)
        world.parts.gateway.settle_refund(made.reference or "", "failed")
        world.facts()
        hear(world, *told(world, "refund.updated", "refund.failed") * 2)
        world.expect("refund.failed")
        known = refunds.get_refund(world.ctx(), made.id)
        assert (known.status, known.failure) == ("failed", "expired_or_canceled_card")
        assert payment(world, invoice).refunded == 500
        world.parts.gateway.settle_refund("re_mem_2", "failed")
        hear(world, *told(world, "refund.failed"))
        assert (world.ledger(), fresh(world, invoice).amount_refunded) == (ledger, 0)
        assert refund(world, before.id).amount == PRO


class TestReported:
    def test_a_webhook_inside_the_call_that_caused_it(self) -> None:
        world = World()
        invoice, before = paid(world)
        gateway = world.parts.gateway

        class Telling:
            def __getattr__(self, name: str) -> Any:
                return getattr(gateway, name)

            def refund(self, request: Any) -> Any:
                result = gateway.refund(request)
                hear(world, *told(world, "refund.created", "charge.refunded"))
                return result

        world.parts.gateway = Telling()
        assert refund(world, before.id, 500).status == "succeeded"
        world.expect("refund.created", "payment.refunded")
        assert payment(world, invoice).refunded == 500
        assert len(world.parts.store.records(Refund)) == 1

    @pytest.mark.parametrize("order", list(permutations(range(4))))
    def test_every_order_ends_the_same(self, order: tuple[int, ...]) -> None:
        world = World()
        invoice, before = paid(world)
        refund(world, before.id, 500)
        world.parts.gateway.settle_refund("re_mem_1", "failed")
        world.parts.gateway.refund_in_dashboard("pi_mem_1", 700)
        news = told(world, "refund.failed", "refund.updated", "refund.created", "charge.refunded")[-4:]
        for index in (*order, *order):
            hear(world, news[index])
        after = payment(world, invoice)
        assert (after.refunded, after.refunding, after.refunds) == (700, 0, 2)
        assert world.ledger() == {LedgerAccount.CASH: 2200, LedgerAccount.REVENUE: -2200}

    def test_a_failure_that_is_known_is_not_undone_by_what_was_read_before(self) -> None:
        world = World()
        invoice, before = paid(world)
        world.parts.gateway.refund_in_dashboard("pi_mem_1", 700)
        (stale,) = world.parts.gateway.refunds_of("pi_mem_1")
        world.parts.gateway.settle_refund("re_mem_1", "failed")
        hear(world, *told(world, "refund.failed"))
        take_in(world.ctx(), before.id, stale)
        assert payment(world, invoice).refunded == 0
        assert_books(world)

    def test_with_every_webhook_dropped_the_sweep_takes_it_in_once(self) -> None:
        world = World(start="2026-01-31")
        world.parts.ops.create("environments", world.env, {"name": "world"})
        world.parts.gateway.now = lambda: world.machine
        invoice, before = paid(world, "pm_card_pendingRefund")
        jobs = Jobs(world)
        refund(world, before.id, 500)
        for reference in ("re_mem_1", world.parts.gateway.refund_in_dashboard("pi_mem_1", 700)):
            world.parts.gateway.settle_refund(reference)
        world.parts.gateway.settle_refund(world.parts.gateway.refund_in_dashboard("pi_mem_1", 300), "failed")
        world.facts()
        jobs.reconcile()
        assert sorted(world.facts()) == ["payment.refunded", "payment.refunded", "refund.failed"]
        assert payment(world, invoice).refunded == 1200
        state = world.parts.store.committed[:]
        world.machine += timedelta(minutes=5)
        jobs.reconcile()
        assert world.parts.store.committed == state
        assert_books(world)

    def test_a_refund_of_a_payment_that_nobody_has_told_us_of_yet(self) -> None:
        world = World(start="2026-01-31")
        sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
        world.parts.gateway.script(["lost_after_charge"] * 4)
        world.parts.gateway.script(["unavailable"] * 4, on="find_charge")
        world.advance(days=28)
        invoice = world.invoices(sub)[-1]
        (charged,) = world.parts.gateway.charges(invoice.id)
        world.parts.gateway.refund_in_dashboard(charged.reference, 400)
        world.facts()
        hear(world, *told(world, "charge.refunded"))
        world.expect("payment.succeeded", "invoice.paid", "payment.refunded")
        assert fresh(world, invoice).amount_refunded == 400

    def test_one_for_a_payment_that_is_not_ours_is_said(self) -> None:
        world = World()
        invoice, _ = paid(world)
        world.parts.gateway.refund_in_dashboard("pi_mem_1", 400)
        (notice,) = told(world, "charge.refunded")
        with pytest.raises(NotFoundError):
            hear(world, replace(notice, reference="pi_other", attempt=None))
        assert fresh(world, invoice).amount_refunded == 0


def by_hand(world: World, customer: str, amount: int, *parts: tuple[Invoice, int]) -> Payment:
    return payments.record_payment(
        world.ctx(), customer, amount=amount, currency="USD", kind="transfer", reference="bank 7",
        allocations=[Allocation(invoice.id, part) for invoice, part in parts],
    )  # fmt: skip


class TestByHand:
    def test_a_transfer_is_recorded_as_returned_without_the_processor(self) -> None:
        world = World()
        customer = world.customer()
        world.subscribe(customer, "pro", trial_days=0, terms=NET_30)
        (invoice,) = world.invoices(customer)
        received = by_hand(world, customer, PRO, (invoice, PRO))
        world.facts()
        made = refund(world, received.id, 900)
        world.expect("payment.refunded")
        assert (made.status, made.key, made.reference) == ("succeeded", "", None)
        assert world.parts.gateway.calls["refund"] == 0
        assert payments.get_payment(world.ctx(), received.id).refunded == 900
        after = fresh(world, invoice)
        assert (after.status, after.amount_refunded) == ("paid", 900)
        assert world.ledger() == {LedgerAccount.CASH: 2000, LedgerAccount.REVENUE: -2000}

    def test_one_transfer_for_two_invoices_is_returned_from_the_first_on_or_as_asked(self) -> None:
        world = World()
        customer = world.customer()
        sub = world.subscribe(customer, "pro", trial_days=0, terms=NET_30)
        world.advance(days=31)
        first, second = world.invoices(sub)
        received = by_hand(world, customer, 2 * PRO, (first, PRO), (second, PRO))
        named = refund(world, received.id, 1000, invoice_id=second.id)
        assert named.allocations == (Allocation(second.id, 1000),)
        both = refund(world, received.id, PRO + 1)
        assert both.allocations == (Allocation(first.id, PRO), Allocation(second.id, 1))
        assert [each.amount_refunded for each in world.invoices(sub)] == [PRO, 1001]
        with pytest.raises(ValidationError, match=f"only {PRO - 1001}"):
            refund(world, received.id, PRO - 1000)
        with pytest.raises(NotFoundError):
            refund(world, received.id, 1, invoice_id="inv_" + "0" * 42)
        assert_books(world)

    def test_what_was_paid_over_comes_out_of_credit_as_far_as_it_is_there(self) -> None:
        world = World()
        customer = world.customer()
        sub = world.subscribe(customer, "pro", trial_days=0, terms=NET_30)
        (invoice,) = world.invoices(sub)
        received = by_hand(world, customer, PRO + 4000, (invoice, PRO))
        assert refund(world, received.id, 100, from_credit=True).allocations == ()
        assert sum(credit.amount for credit in world.account(customer).credits) == 3900
        world.advance(days=31)  # the renewal uses 2900 of it
        with pytest.raises(ValidationError, match="only 1000"):
            refund(world, received.id, 1001, from_credit=True)
        assert refund(world, received.id, from_credit=True).amount == 1000
        assert world.account(customer).credits == ()
        assert world.ledger() == {LedgerAccount.CASH: 2 * PRO, LedgerAccount.REVENUE: -2 * PRO}
        assert refund(world, received.id).amount == PRO
        assert_books(world)

    def test_what_is_still_owed_keeps_its_part(self) -> None:
        world = World()
        customer = world.customer()
        world.subscribe(customer, "pro", trial_days=0, terms=NET_30)
        (invoice,) = world.invoices(customer)
        received = by_hand(world, customer, 1000, (invoice, 1000))
        with pytest.raises(InvalidStateError, match="not paid yet"):
            refund(world, received.id)


class TestLateMoney:
    def late(self, world: World) -> tuple[ProcessorNotice, str]:
        """The bank declined a renewal, and the same payment went through afterwards."""
        sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
        world.parts.gateway.behave(world.account(sub.customer_id).payment_method.id, "generic_decline")
        world.advance(days=31)
        declined = world.invoices(sub)[-1].attempts[0]
        world.parts.gateway.settle(declined.reference)
        world.facts()
        return world.parts.gateway.notices[-1], sub.customer_id

    def test_it_is_a_payment_of_its_own_and_goes_back_at_once(self) -> None:
        world = World()
        notice, customer = self.late(world)
        hear(world, notice, notice)
        world.expect("payment.unexpected", "payment.refunded")
        found = payments.list_payments(world.ctx(), customer, limit=9, cursor=None).records
        (late,) = (each for each in found if not each.allocations)
        assert (late.amount, late.credited, late.refunded, late.refunding) == (PRO, PRO, PRO, 0)
        (returned,) = refunds.list_refunds(world.ctx(), customer, late.id)
        assert (returned.reason, returned.allocations) == ("late_payment", ())
        assert world.account(customer).credits == ()
        hear(world, *told(world, "refund.created", "charge.refunded"))
        world.expect()
        assert_books(world)

    def test_an_outage_is_made_good_by_the_due_row(self) -> None:
        world = World()
        notice, _ = self.late(world)
        world.parts.gateway.script(["unavailable"], on="refund")
        hear(world, notice)
        world.expect("payment.unexpected")
        world.advance(minutes=1)
        assert world.facts().count("payment.refunded") == 1
        assert world.parts.gateway.refunded("USD") == PRO

    def test_money_that_cannot_go_back_is_the_customers_credit(self) -> None:
        world = World()
        notice, customer = self.late(world)
        hear(world, notice)
        world.parts.gateway.settle_refund("re_mem_1", "failed")
        world.facts()
        hear(world, *told(world, "refund.failed"))
        world.expect("refund.failed")
        (credit,) = world.account(customer).credits
        assert (credit.amount, world.ledger()[LedgerAccount.CUSTOMER_CREDIT]) == (PRO, -PRO)
        again = refund(world, credit.source)
        assert (again.status, again.allocations, world.account(customer).credits) == ("succeeded", (), ())
        assert_books(world)

    def test_a_customer_who_spent_it_and_gets_it_back_all_the_same_owes_it(self) -> None:
        """Refunded in the processor's dashboard, after the credit had paid a renewal."""
        world = World()
        notice, customer = self.late(world)
        hear(world, notice)
        world.parts.gateway.settle_refund("re_mem_1", "failed")
        hear(world, *told(world, "refund.failed"))
        account = world.account(customer)
        world.edit(account, credits=tuple(replace(each, amount=1000) for each in account.credits))
        world.parts.gateway.refund_in_dashboard(notice.reference, PRO)
        hear(world, *told(world, "charge.refunded"))
        assert [credit.amount for credit in world.account(customer).credits] == [1000 - PRO]


def test_a_letter_says_that_money_went_and_that_it_came_back() -> None:
    world = World(start="2026-01-31T10:00")
    jobs = Jobs(world)
    _, before = paid(world, "pm_card_refundFail")
    jobs.project()
    jobs.mail()
    jobs.mailer.sent.clear()
    refund(world, before.id, 1000)
    world.parts.gateway.settle_refund("re_mem_1", "failed")
    hear(world, *told(world, "refund.failed"))
    jobs.project()
    assert jobs.mail() == []
    subjects = [sent.subject for sent in jobs.mailer.sent]
    assert subjects == ["We returned $10.00", "Your refund of $10.00 did not arrive"]
