"""Refunds in any number and order: never more than was paid, and books that follow from what has gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain import refund_rules
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.payment import Allocation
from chalicelib.domain.refund import Refund, RefundResult, RefundStatus, Source, share_of
from chalicelib.domain.refund_rules import Wanted
from tests import samples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OUTCOMES = st.sampled_from([RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 3000)),
        st.tuples(st.just("all"), st.just(0)),
        st.tuples(st.just("dashboard"), st.integers(1, 3000)),
        st.tuples(OUTCOMES, st.integers(0, 30)),
    ),
    max_size=25,
)


class Story:
    """A paid invoice, its payment's refunds and the ledger that their decisions add up to."""

    def __init__(self, total: int, tax: int, charged: int) -> None:
        payment = replace(
            samples.invoice().payments[0],
            amount=charged,
            allocations=(Allocation(samples.invoice().id, total),),
        )
        invoice = replace(
            samples.invoice(),
            total=total,
            tax=tax,
            amount_paid=total,
            payments=(payment,),
            status=InvoiceStatus.PAID,
        )
        self.source = Source(payment=payment, invoices=(invoice,), account=samples.account())
        self.refunds: list[Refund] = []
        self.ledger: Counter[LedgerAccount] = Counter()

    def refund(self, amount: int) -> Refund:
        payment = self.source.payment
        return Refund(
            id=f"ref_{len(self.refunds)}", customer_id=payment.customer_id, payment_id=payment.id, amount=amount,
            currency=payment.currency, at=NOW, written_at=NOW, payment_reference=payment.reference,
            allocations=(Allocation(self.source.invoices[0].id, amount),),
        )  # fmt: skip

    def apply(self, decision: Decision) -> None:
        assert sum(posting.amount for posting in decision.postings) == 0
        for posting in decision.postings:
            self.ledger[posting.account] += posting.amount
        for record in decision.also:
            if isinstance(record, Invoice):
                share = share_of(record, self.source.payment.id)
                self.source = replace(self.source, invoices=(record,), payment=share)
            elif isinstance(record, Refund):
                known = [each for each in self.refunds if each.id != record.id]
                self.refunds = [*known, record]

    def step(self, what: str, number: int) -> None:
        if what in ("ask", "all", "dashboard"):
            try:
                amount, _ = refund_rules.parts(self.source, Wanted(amount=number or None))
            except (InvalidStateError, ValidationError):
                return
            if what == "dashboard":
                done = RefundResult(status=RefundStatus.SUCCEEDED, reference="re")
                self.apply(refund_rules.found(self.source, self.refund(amount), done, NOW))
            else:
                self.apply(refund_rules.begun(self.source, self.refund(amount)))
        elif self.refunds:
            self.settle(number % len(self.refunds), RefundStatus(what))

    def settle(self, index: int, status: RefundStatus) -> None:
        result = RefundResult(status=status, reference="re")
        for _ in range(2):  # told twice
            refund = sorted(self.refunds, key=lambda each: each.id)[index]
            decision = refund_rules.settled(self.source, refund, result, now=NOW, machine_now=NOW)
            if decision is not None:
                self.apply(decision)
        again = refund_rules.settled(
            self.source,
            sorted(self.refunds, key=lambda each: each.id)[index],
            result,
            now=NOW,
            machine_now=NOW,
        )
        assert again is None


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 3000).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total))),
    st.integers(-5, 5),
    STEPS,
)
def test_never_more_than_was_paid_and_books_that_follow(
    amounts: tuple[int, int], coarser: int, steps: list[tuple[str, int]]
) -> None:
    total, tax = amounts
    charged = max(1, total + coarser)
    story = Story(total, tax, charged)
    for what, number in steps:
        story.step(what, number)
        payment = story.source.payment
        assert payment.refunding >= 0
        assert payment.refunded >= 0
        assert payment.refunded + payment.refunding <= charged
        gone = sum(each.amount for each in story.refunds if each.status is RefundStatus.SUCCEEDED)
        under_way = sum(each.amount for each in story.refunds if each.is_open)
        assert (payment.refunded, payment.refunding) == (gone, under_way)
        assert story.ledger[LedgerAccount.CASH] == -gone
        assert sum(story.ledger.values()) == 0
        if gone in (0, charged):
            whole = gone == charged
            assert story.ledger[LedgerAccount.TAX] == (tax if whole else 0)
            assert story.ledger[LedgerAccount.REVENUE] == (total - tax if whole else 0)
            assert story.ledger[LedgerAccount.ROUNDING] == (charged - total if whole else 0)
        tax_share = story.ledger[LedgerAccount.TAX]
        assert 0 <= tax_share <= tax


@given(
    st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total))), st.data()
)
def test_parts_take_back_the_tax_that_the_whole_would(amounts: tuple[int, int], data: st.DataObject) -> None:
    """Cent by cent or at once: what is booked depends on what has gone, not on how."""
    total, tax = amounts
    piecewise, at_once = Story(total, tax, total), Story(total, tax, total)
    gone = data.draw(st.integers(1, total))
    left = gone
    while left:
        part = data.draw(st.integers(max(1, left // 4), left))
        left -= part
        piecewise.apply(refund_rules.found(piecewise.source, piecewise.refund(part), _DONE, NOW))
    at_once.apply(refund_rules.found(at_once.source, at_once.refund(gone), _DONE, NOW))
    assert +piecewise.ledger == +at_once.ledger
    assert -piecewise.ledger == -at_once.ledger


_DONE = RefundResult(status=RefundStatus.SUCCEEDED, reference="re")
