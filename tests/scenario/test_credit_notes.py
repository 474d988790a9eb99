"""Credit notes: less is owed than an invoice said; what was paid beyond that comes back once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chalicelib.application import changes, credit_grants, credit_notes, payments, refunds, subscriptions
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.unused_time import Unused
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.customer import CollectionMethod, Terms
from chalicelib.domain.errors import InvalidStateError, PaymentDeclinedError, ValidationError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.payment import Allocation
from chalicelib.domain.refund import Refund, RefundResult, RefundStatus
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_usage_invoices import CATALOG as METERED
from tests.scenario.world import World, assert_books

SENT = Terms(method=CollectionMethod.SEND_INVOICE, net_days=14)


def paid(world: World) -> Invoice:
    """A paid invoice over 19.00."""
    return world.invoices(world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0))[0]


def sent(world: World) -> Invoice:
    return world.invoices(world.subscribe(world.customer(), "starter", terms=SENT, trial_days=0))[0]


def note(world: World, invoice: Invoice, request: str = "", **wanted: object) -> CreditNote:
    made = credit_notes.issue_credit_note(world.ctx(request), invoice.id, Wanted(**wanted), reason="outage")
    assert_sound(world)
    return made


def reload(world: World, invoice: Invoice) -> Invoice:
    return next(each for each in world.invoices(invoice.customer_id) if each.id == invoice.id)


def credit(world: World, invoice: Invoice) -> int:
    return sum(each.amount for each in world.account(invoice.customer_id).credits)


def assert_sound(world: World) -> None:
    """The books are right, and customer credit is what accounts hold and refunds under way owe."""
    assert_books(world)
    accounts = {each.customer_id: world.account(each.customer_id) for each in world.everything(Invoice)}
    held = sum(each.amount for account in accounts.values() for each in account.credits)
    held += sum(each.amount for each in world.everything(Refund) if each.is_open and each.credit_note)
    assert -world.ledger().get(LedgerAccount.CUSTOMER_CREDIT, 0) == held
    for made in world.everything(CreditNote):
        assert made.total == made.applied + made.credited + made.refunded


class TestOnAPaidInvoice:
    def test_everything_becomes_credit(self) -> None:
        world = World()
        invoice = paid(world)
        world.facts()
        made = note(world, invoice)
        world.expect("credit_note.issued")
        assert (made.total, made.applied, made.credited, made.refunded) == (1900, 0, 1900, 0)
        assert made.number == f"{invoice.number[:8]}-CN-0001"
        after = reload(world, invoice)
        assert (after.status, after.total, after.lines) == ("paid", 1900, invoice.lines)
        assert credit(world, invoice) == 1900
        assert world.ledger() == {LedgerAccount.CASH: 1900, LedgerAccount.CUSTOMER_CREDIT: -1900}
        with pytest.raises(InvalidStateError, match="nothing is left"):
            note(world, invoice)

    def test_everything_is_refunded(self) -> None:
        world = World()
        invoice = paid(world)
        world.facts()
        made = note(world, invoice, as_refund=True)
        world.expect("credit_note.issued", "refund.created", "payment.refunded")
        assert (made.total, made.credited, made.refunded, len(made.refunds)) == (1900, 0, 1900, 1)
        assert world.ledger() == {}
        assert world.parts.gateway.refunded("USD") == 1900
        assert credit(world, invoice) == 0
        with pytest.raises(InvalidStateError):
            refunds.refund_payment(world.ctx(), invoice.payments[0].id)

    def test_parts_of_both(self) -> None:
        world = World()
        invoice = paid(world)
        line = invoice.lines[0].id
        made = note(world, invoice, lines=((line, 1000),), refund=300)
        assert (made.credited, made.refunded) == (700, 300)
        with pytest.raises(ValidationError, match="only 900 is left"):
            note(world, invoice, amount=901)
        with pytest.raises(ValidationError, match="only 900 is left of this line"):
            note(world, invoice, lines=((line, 901),))
        with pytest.raises(ValidationError, match="named twice"):
            note(world, invoice, lines=((line, 1), (line, 1)))
        with pytest.raises(ValidationError, match="no such line"):
            note(world, invoice, lines=(("nothing", 1),))
        with pytest.raises(ValidationError, match="to be refunded or credited"):
            note(world, invoice, refund=500, credit=500)
        rest = note(world, invoice, as_refund=True)
        assert (rest.total, rest.sequence) == (900, 2)
        assert world.ledger() == {LedgerAccount.CASH: 700, LedgerAccount.CUSTOMER_CREDIT: -700}

    def test_a_plain_refund_and_notes_never_exceed_what_was_paid(self) -> None:
        world = World()
        invoice = paid(world)
        payment = invoice.payments[0].id
        refunds.refund_payment(world.ctx(), payment, amount=500)
        note(world, invoice, amount=400)
        with pytest.raises(ValidationError, match="only 1000 is left"):
            note(world, invoice, amount=1001)
        with pytest.raises(ValidationError, match="only 1000 is left"):
            refunds.refund_payment(world.ctx(), payment, amount=1001)
        assert refunds.refund_payment(world.ctx(), payment).amount == 1000
        with pytest.raises(InvalidStateError):
            note(world, invoice)

    def test_the_same_request_is_one_note(self) -> None:
        world = World()
        invoice = paid(world)
        first = note(world, invoice, "once", amount=100, as_refund=True)
        assert note(world, invoice, "once", amount=100, as_refund=True) == first
        assert world.parts.gateway.refunded("USD") == 100

    def test_a_refund_that_fails_becomes_credit(self) -> None:
        world = World()
        invoice = paid(world)
        note(world, invoice, amount=500, as_refund=True)
        made = world.everything(Refund)[0]
        assert credit(world, invoice) == 0
        world.parts.gateway.settle_refund("re_mem_1", "failed")
        refunds.settle(world.ctx(), made.id, RefundResult(status=RefundStatus.FAILED))
        assert_sound(world)
        assert credit(world, invoice) == 500
        with pytest.raises(ValidationError, match="only 1400 is left"):
            refunds.refund_payment(world.ctx(), invoice.payments[0].id, amount=1401)

    def test_the_processor_out_of_reach_leaves_the_refund_to_its_row(self) -> None:
        world = World()
        invoice = paid(world)
        world.parts.gateway.script(["unavailable"], on="refund")
        made = note(world, invoice, amount=500, as_refund=True)
        assert refunds.get_refund(world.ctx(), made.refunds[0]).is_open
        world.advance(minutes=1)
        assert world.parts.gateway.refunded("USD") == 500
        assert_sound(world)


class TestOnAnOpenInvoice:
    def test_it_lowers_what_is_due_first(self) -> None:
        world = World()
        invoice = sent(world)
        made = note(world, invoice, amount=400)
        after = reload(world, invoice)
        assert (made.applied, made.credited, after.amount_remaining, after.status) == (400, 0, 1500, "open")
        assert (after.total, after.amount_due) == (1900, 1900)

    def test_all_of_it_is_paid(self) -> None:
        world = World()
        invoice = sent(world)
        world.facts()
        note(world, invoice)
        world.expect("credit_note.issued", "invoice.paid")
        after = reload(world, invoice)
        assert (after.status, after.amount_remaining, after.overdue_at) == ("paid", 0, None)
        assert world.ledger() == {}

    def test_partly_paid_the_rest_goes_back_the_way_it_came(self) -> None:
        world = World()
        invoice = sent(world)
        payments.record_payment(
            world.ctx(), invoice.customer_id, amount=1500, currency="USD", kind="transfer",
            reference=None, allocations=[Allocation(invoice.id, 1500)],
        )  # fmt: skip
        with pytest.raises(ValidationError, match="400 lowers what is due"):
            note(world, invoice, amount=1000, refund=601)
        made = note(world, invoice, amount=1000, as_refund=True)
        assert (made.applied, made.refunded, made.credited) == (400, 600, 0)
        (refund,) = world.everything(Refund)
        assert (refund.status, refund.credit_note, refund.payment_reference) == ("succeeded", made.id, None)
        assert payments.get_payment(world.ctx(), refund.payment_id).refunded == 600
        assert reload(world, invoice).status == "paid"

    def test_in_dunning_it_ends_the_run(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "generic_decline")
        world.advance(days=31)
        assert world.reload(sub).status == "past_due"
        owed = world.invoices(sub)[-1]
        with pytest.raises(ValidationError, match="too small to be charged"):
            note(world, owed, amount=1890)
        note(world, owed)
        assert (world.reload(sub).status, world.reload(sub).dunning) == ("active", None)


def cancel(world: World, sub: Subscription, unused: Unused, request: str = "") -> Subscription:
    done = subscriptions.cancel_subscription(
        world.ctx(request), sub.id, at_period_end=False, reason="moving", unused=unused
    )
    assert_sound(world)
    return done


class TestCancelledNow:
    def test_unused_time_becomes_credit_in_the_transaction_that_ends_it(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        world.advance(days=10)
        world.facts()
        cancel(world, sub, Unused.CREDIT)
        world.expect("subscription.canceled", "credit_note.issued")
        (made,) = world.everything(CreditNote)
        (line,) = made.lines
        assert (line.numerator, line.denominator, made.total) == (20, 31, 1226)  # 11 of 31 days are consumed
        assert credit(world, world.invoices(sub)[0]) == 1226

    def test_unused_time_is_refunded(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        cancel(world, sub, Unused.REFUND)
        assert world.parts.gateway.refunded("USD") == 1839  # the day is consumed
        assert credit(world, world.invoices(sub)[0]) == 0

    def test_nothing_is_given_back_unless_it_is_asked_for(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        cancel(world, sub, Unused.NONE)
        assert world.everything(CreditNote) == []

    def test_after_a_change_the_money_of_both_invoices_comes_back(self) -> None:
        """The rest of the period was paid for mostly by what the change credited: that money comes back too."""
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        world.advance(days=5)
        changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="pro"))
        first, second = world.invoices(sub)
        charged = first.amount_paid + second.amount_paid
        cancel(world, sub, Unused.REFUND)
        (made,) = world.everything(CreditNote)
        charge = next(line for line in second.lines if not line.is_credit)
        assert made.invoice_id == second.id
        assert made.total == made.refunded == charge.total * 25 // 26  # of 26 days one is consumed
        assert made.total > second.amount_paid
        assert len(made.refunds) == 2
        assert world.parts.gateway.refunded("USD") == made.refunded < charged

    def test_what_was_returned_before_is_not_returned_again(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        (invoice,) = world.invoices(sub)
        refunds.refund_payment(world.ctx(), invoice.payments[0].id, amount=1000)
        cancel(world, sub, Unused.CREDIT)
        assert credit(world, invoice) == 900

    def test_in_dunning_the_note_lowers_what_is_due(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "generic_decline")
        world.advance(days=31)
        cancel(world, sub, Unused.REFUND)
        owed = world.invoices(sub)[-1]
        (made,) = world.everything(CreditNote)
        assert (owed.status, owed.amount_remaining) == ("open", 1900 - made.total)
        assert (made.applied, made.refunded, made.credited) == (made.total, 0, 0)

    def test_an_adjusted_line_gives_a_later_change_only_what_is_left(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        (invoice,) = world.invoices(sub)
        note(world, invoice, amount=500)
        changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="pro"))
        given = next(line for line in world.invoices(sub)[1].lines if line.is_credit)
        assert (given.amount, given.reversal and given.reversal.credited) == (-1400, 500)
        with pytest.raises(InvalidStateError, match="nothing is left"):
            note(world, invoice)

    def test_what_a_declined_change_would_have_given_back_is_still_there(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        (invoice,) = world.invoices(sub)
        for method in list(world.parts.gateway.methods):
            world.parts.gateway.behave(method, "generic_decline")
        with pytest.raises(PaymentDeclinedError):
            changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="pro"))
        assert world.invoices(sub)[1].status == "void"
        assert note(world, invoice).total == 1900

    def test_a_change_that_waits_for_its_customer_takes_nothing_of_it(self) -> None:
        world = World()
        sub = world.subscribe(world.customer(card="pm_card_visa"), "starter", trial_days=0)
        world.card(sub.customer_id, "pm_card_authenticationRequired")
        with pytest.raises(PaymentDeclinedError):
            changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="pro"))
        assert world.reload(sub).pending is not None
        cancel(world, sub, Unused.CREDIT)
        assert world.invoices(sub)[1].status == "void"
        assert credit(world, world.invoices(sub)[0]) == 1839

    def test_what_was_served_in_arrears_is_not_given_back(self) -> None:
        world = World(start="2026-03-01")
        served = {
            "interval": "month",
            "currency": "USD",
            "model": "flat",
            "unit_amount": "3100",
            "timing": "in_arrears",
        }
        plan = {
            "id": "pro", "name": "Pro", "rank": 1,
            "prices": [{"interval": "month", "currency": "USD", "model": "flat", "unit_amount": "3000"}],
        }  # fmt: skip
        add_on = {"id": "help", "name": "Help", "prices": [served]}
        publish_catalog(
            world.ctx(),
            cast(Any, {"seller": {"name": "Acme"}, "plans": [plan], "add_ons": [add_on]}),
            expected=1,
        )
        sub = world.subscribe(world.customer(card="pm_card_visa"), "pro", add_ons=(("help", 1),))
        world.advance(days=31)
        renewed = world.invoices(sub)[1]
        assert {line.product for line in renewed.lines} == {"pro", "help"}
        cancel(world, sub, Unused.CREDIT)
        (made,) = world.everything(CreditNote)
        assert [line.total for line in made.lines] == [2900]  # of 30 days one is consumed
        assert (
            world.invoices(sub)[2].credit_applied == 103
        )  # of the month before all is served, of this a day


def test_prepaid_credits_that_were_sold_are_not_taken_back() -> None:
    world = World(start="2024-02-01")
    publish_catalog(world.ctx(), METERED, expected=1)
    sub = world.subscribe(world.customer(card="pm_card_visa"), "plain")
    bought = credit_grants.Wanted(amount=1000, currency="USD")
    credit_grants.buy_credits(world.ctx(), sub.id, bought, price=900)
    invoice = world.invoices(sub)[-1]
    assert invoice.status == "paid"
    with pytest.raises(InvalidStateError, match="nothing is left"):
        credit_notes.issue_credit_note(world.ctx(), invoice.id, Wanted())
