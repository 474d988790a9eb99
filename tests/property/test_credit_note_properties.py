"""Notes in any number, order and kind: never more than was billed, and everything comes to exactly everything.

Currencies of no, two and three decimals, with coupons, tax on top and tax included; open, partly paid and paid.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.credit_choice import available, chosen
from chalicelib.domain.credit_note import CreditNote, left_by_line, unused_of
from chalicelib.domain.crediting import Wanted, issued, refund_of
from chalicelib.domain.customer import Account
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus, Line
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.proration import Parts
from tests import samples
from tests.property.test_adjustment_properties import _invoices

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("amount"), st.integers(1, 10**9), st.just(0)),
        st.tuples(st.just("line"), st.integers(0, 7), st.integers(1, 10**9)),
        st.tuples(st.just("time"), st.integers(0, 31), st.just(0)),
        st.tuples(st.just("pay"), st.integers(1, 10**9), st.just(0)),
    ),
    max_size=12,
)


class Story:
    """One invoice with its notes, and what their decisions add up to."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        total, tax = sum(line.total for line in lines), sum(line.tax for line in lines)
        self.invoice: Invoice = replace(
            samples.invoice(), status=InvoiceStatus.OPEN, lines=lines, total=total, tax=tax, amount_paid=0,
            payments=(), attempts=(), activates=False, paid_at=None, credit_applied=0,
        )  # fmt: skip
        self.account: Account = replace(samples.account(), credits=())
        self.ledger: Counter[LedgerAccount] = Counter()
        self.notes: list[CreditNote] = []

    def credit(self, wanted: Wanted) -> None:
        if available(self.invoice, {}):
            self.issue(chosen(self.invoice, {}, wanted))

    def issue(self, lines: tuple) -> None:
        total = sum(line.total for line in lines)
        made = issued(
            self.invoice, self.account, lines,
            refund=refund_of(self.invoice, total, Wanted(), 0), id_=f"crn_{len(self.notes)}", now=NOW,
        )  # fmt: skip
        assert sum(posting.amount for posting in made.postings) == 0
        for posting in made.postings:
            self.ledger[posting.account] += posting.amount
        assert (made.invoice.lines, made.invoice.total) == (self.invoice.lines, self.invoice.total)
        assert made.invoice.amount_remaining >= 0
        self.invoice, self.account = made.invoice, made.account
        self.notes.append(made.note)

    def pay(self, amount: int) -> None:
        if self.invoice.status is InvoiceStatus.OPEN:
            amount = min(amount, self.invoice.amount_remaining)
            self.invoice = replace(self.invoice, amount_paid=self.invoice.amount_paid + amount)
            if not self.invoice.amount_remaining:
                self.invoice = replace(self.invoice, status=InvoiceStatus.PAID)

    def unused(self, days: int) -> None:
        """The time of all lines that is not used, as a cancellation gives it back."""
        left = left_by_line(self.invoice, ())
        lines = [unused_of(line, left[line.id], Parts(days, 31)) for line in self.invoice.lines]
        lines = [line for line in lines if line.total > 0]
        if lines and sum(line.total for line in lines) <= available(self.invoice, {}):
            self.issue(tuple(lines))

    def step(self, what: str, first: int, second: int) -> None:
        with suppress(ValidationError, InvalidStateError):
            match what:
                case "amount":
                    self.credit(Wanted(amount=1 + first % max(1, available(self.invoice, {}))))
                case "line":
                    line = self.invoice.lines[first % len(self.invoice.lines)]
                    left = left_by_line(self.invoice, ())[line.id].total
                    self.credit(Wanted(lines=((line.id, 1 + second % max(1, left)),)))
                case "time":
                    self.unused(first)
                case "pay":
                    self.pay(first)

    def check(self) -> None:
        for line in self.invoice.lines:
            parts = [each for note in self.notes for each in note.lines if each.line_id == line.id]
            assert all(0 <= each.tax <= each.total and each.total > 0 for each in parts)
            assert sum(each.total for each in parts) <= line.total
            assert 0 <= sum(each.tax for each in parts) <= line.tax
            assert sum(each.total - each.tax for each in parts) <= line.total - line.tax
            before = 0
            for each in parts:
                assert each.before == before
                before += each.total
        given = sum(note.total for note in self.notes)
        returned = sum(note.credited + note.refunded for note in self.notes)
        assert given <= self.invoice.total
        assert returned <= self.invoice.amount_paid
        assert returned == self.invoice.returned == sum(each.amount for each in self.account.credits)
        assert self.account.credit_notes == len(self.notes)


@settings(deadline=None)
@given(_invoices(), STEPS)
def test_in_any_parts_everything_comes_to_exactly_everything(
    lines: tuple[Line, ...], steps: list[tuple[str, int, int]]
) -> None:
    story = Story(lines)
    for step in steps:
        story.step(*step)
        story.check()
    with suppress(InvalidStateError):
        story.credit(Wanted())
    story.check()
    assert not available(story.invoice, {})
    assert sum(note.total for note in story.notes) == story.invoice.total
    assert sum(note.tax for note in story.notes) == story.invoice.tax
    for line in lines:
        parts = [each for note in story.notes for each in note.lines if each.line_id == line.id]
        if line.total:
            assert sum(each.discount for each in parts) == line.discount
    net = story.invoice.total - story.invoice.tax
    assert (story.ledger[LedgerAccount.REVENUE], story.ledger[LedgerAccount.TAX]) == (net, story.invoice.tax)
    owed = story.ledger[LedgerAccount.RECEIVABLE] + story.ledger[LedgerAccount.CUSTOMER_CREDIT]
    assert owed == -story.invoice.total


@given(_invoices(), st.integers(0, 31), st.integers(0, 31))
def test_time_given_back_is_its_share_and_no_more(lines: tuple[Line, ...], first: int, second: int) -> None:
    """More unused time never gives less, and all of it gives the whole line."""
    story = Story(lines)
    left = left_by_line(story.invoice, ())
    for line in lines:
        few, many = sorted((first, second))
        less, more = (unused_of(line, left[line.id], Parts(days, 31)) for days in (few, many))
        assert 0 <= less.total <= more.total <= line.total
        whole = unused_of(line, left[line.id], Parts(31, 31))
        assert (whole.total, whole.tax) == (line.total, line.tax)
