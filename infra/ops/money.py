"""Checks of money: the ledger, the books made from it, the invoices, and what the processor received."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

from chalicelib.application.books import Month, by_month, read_books
from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.journal import JournalEntry, LedgerAccount
from chalicelib.domain.payment import Payment
from chalicelib.domain.refund import Refund
from infra.ops.chart import Chart, Finding, Patient
from infra.ops.processor import Received
from infra.ops.repairs import recount_books

LOOK = "read the customer's journal and invoices: the ledger is the sum of its postings"


class Ledger:
    """Debit and credit are equal; what is booked is what records say, per customer; the books are the sum."""

    name = "ledger"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._months: dict[str, Month] = {}
        self._entries = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        entries = chart.of(JournalEntry)
        self._entries += len(entries)
        for name, booked in by_month(entries).items():
            self._months[name] = self._months.get(name, Month(name)).folded(booked)
        ledger: dict[str, Counter[LedgerAccount]] = defaultdict(Counter)
        for posting in chain.from_iterable(entry.postings for entry in entries):
            ledger[posting.currency][posting.account] += posting.amount
        invoices = chart.of(Invoice)
        for currency in sorted({invoice.currency for invoice in invoices} | ledger.keys()):
            for what, amount, said in self._pairs(chart, ledger[currency], currency):
                if amount != said:
                    yield Finding(text=f"{chart.id}: {what}: {amount} ≠ {said} {currency}", what_to_do=LOOK)

    def end(self) -> Iterator[Finding]:
        counted = [self._months[name] for name in sorted(self._months)]
        if _sums(read_books(self._patient.ops, self._patient.env)) != _sums(counted):
            yield Finding(
                text="the books are not the sum of the journal",
                what_to_do="make doctor REPAIR=1 counts them anew once the feed is complete",
                repair=lambda: recount_books(self._patient),
            )

    def said(self) -> str:
        return f"{self._entries} journal entries balance and are what records and books say"

    def _pairs(
        self, chart: Chart, booked: Counter[LedgerAccount], currency: str
    ) -> Iterator[tuple[str, int, int]]:
        invoices = chart.of(Invoice)
        of = [invoice for invoice in invoices if invoice.currency == currency]
        by_hand = [payment for payment in chart.of(Payment) if payment.currency == currency]
        own = {payment.id for payment in by_hand}
        collected = [payment for invoice in of for payment in invoice.payments if payment.id not in own]
        disputes = [each for invoice in invoices for payment in invoice.payments for each in payment.disputes]
        withdrawn = sum(each.state.withdrawn for each in disputes if each.state.currency == currency)
        lost = sum(each.lost for each in disputes if each.state.currency == currency)
        fees = sum(each.state.fee for each in disputes if each.state.fee_currency == currency)
        open_ = sum(invoice.amount_remaining for invoice in of if invoice.status is InvoiceStatus.OPEN)
        credits_ = chart.account.credits if chart.account else ()
        grants = chart.account.grants if chart.account else ()
        yield "debit and credit", sum(booked.values()), 0
        received = _net((*collected, *by_hand)) - withdrawn - fees
        yield "cash booked and money received", booked[LedgerAccount.CASH], received
        yield "receivable booked and what is open", booked[LedgerAccount.RECEIVABLE], open_ + withdrawn - lost
        yield (
            "credit booked and credit of the account, refunds on their way included",
            -booked[LedgerAccount.CUSTOMER_CREDIT],
            _owed(chart.of(Refund), currency)
            + sum(credit.amount for credit in credits_ if credit.currency == currency)
            + sum(grant.deferred for grant in grants if grant.currency == currency),
        )


def _owed(refunds: Iterable[Refund], currency: str) -> int:
    """Refunds that are taken out of credit once they have gone: those of credit notes, and of what was paid over."""
    return sum(
        each.amount
        for each in refunds
        if each.is_open and each.currency == currency and (each.credit_note or not each.allocations)
    )


class Invoices:
    """One invoice per period, numbers without gaps, and paid is what payments paid."""

    name = "invoices"

    def __init__(self, patient: Patient) -> None:
        self._seen = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        invoices = chart.of(Invoice)
        self._seen += len(invoices)
        yield from _twice(invoices)
        numbers, account = sorted(invoice.sequence for invoice in invoices), chart.account
        counted = account.invoices if account else 0
        if numbers != list(range(1, len(numbers) + 1)) or counted != len(numbers):
            text = f"{chart.id}: invoices are numbered {numbers}, the account has counted {counted}"
            yield Finding(text=text, what_to_do="ask who wrote to the table; numbers are never given twice")
        notes = sorted(note.sequence for note in chart.of(CreditNote))
        if notes != list(range(1, len(notes) + 1)) or (account and account.credit_notes != len(notes)):
            text = f"{chart.id}: credit notes are numbered {notes}"
            yield Finding(text=text, what_to_do="ask who wrote to the table; numbers are never given twice")
        for invoice in invoices:
            paid = sum(_kept(payment, invoice.id) for payment in invoice.payments)
            if invoice.amount_paid != paid:
                text = f"{invoice.id} says that {invoice.amount_paid} was paid, its payments say {paid}"
                yield Finding(text=text, what_to_do=LOOK)
            if invoice.status is InvoiceStatus.PAID and invoice.amount_remaining:
                text = f"{invoice.id} is paid with {invoice.amount_remaining} {invoice.currency} remaining"
                yield Finding(text=text, what_to_do=LOOK)

    def end(self) -> Iterator[Finding]:
        yield from ()

    def said(self) -> str:
        return f"{self._seen} invoices: one per period, numbers without gaps, paid by their payments"


class Receipts:
    """Each payment of ours is money that the processor has, and the other way round, to the cent."""

    name = "processor"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._ours: dict[str, tuple[str, Payment]] = {}
        self._recent: set[str] = set()
        self._invoices: set[str] = set()
        self._compared = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        own = chart.of(Payment)
        self._ours |= {each.reference: (each.id, each) for each in own if each.charge and each.reference}
        recorded = {payment.id for payment in own}
        for invoice in chart.of(Invoice):
            self._invoices.add(invoice.id)
            begun = {attempt.reference: attempt.written_at for attempt in invoice.attempts}
            for payment in invoice.payments:
                if payment.reference is None or payment.id in recorded:
                    continue
                self._ours[payment.reference] = (invoice.id, payment)
                if payment.reference in begun and begun[payment.reference] >= self._patient.since:
                    self._recent.add(payment.reference)
        yield from ()

    def end(self) -> Iterator[Finding]:
        if self._patient.processor is None:
            return
        missing = set(self._recent)
        for received in self._patient.processor.received(self._patient.since):
            if received.env == self._patient.env:
                self._compared += 1
                missing.discard(received.reference)
                text = self._difference(received)
                if text:
                    what = "look at it in Stripe's dashboard; the hourly reconciler reads it again"
                    yield Finding(text=text, what_to_do=what)
        for reference in sorted(missing):
            id_, payment = self._ours[reference]
            noted = f"{payment.amount} {payment.currency} as {reference}"
            text = f"{id_} notes {noted}, which the processor has not received"
            yield Finding(text=text, what_to_do="look the payment up in Stripe's dashboard")

    def said(self) -> str:
        if self._patient.processor is None:
            return "not asked"
        days = (self._patient.machine_now - self._patient.since).days
        return f"{self._compared} payments of {days} days are the processor's, to the cent"

    def _difference(self, received: Received) -> str | None:
        """A refund that is on its way counts there from its first day."""
        theirs = f"{received.reference} ({received.amount} {received.currency})"
        id_, ours = self._ours.get(received.reference, (None, None))
        if ours is None:
            if received.refunded >= received.amount:  # money that came too late went back
                return None
            if received.invoice_id in self._invoices:
                return f"{received.invoice_id} does not note {theirs}"
            return f"{theirs} was received for nothing that is here"
        same = (received.currency, received.amount) == (ours.currency, ours.amount)
        if same and ours.refunded <= received.refunded <= ours.refunded + ours.refunding:
            return None
        return (
            f"{id_} notes {ours.amount} less {ours.refunded} {ours.currency}, the processor {received.amount} "
            f"less {received.refunded} {received.currency} as {received.reference}"
        )


def _twice(invoices: list[Invoice]) -> Iterator[Finding]:
    seen = Counter(
        (invoice.subscription_id, invoice.period.start)
        for invoice in invoices
        if invoice.cause.kind is CauseKind.CYCLE
        and invoice.period
        and invoice.status is not InvoiceStatus.VOID
    )
    for (subscription, start), times in seen.items():
        if times > 1:
            text = f"{subscription} has {times} invoices for the period from {start.isoformat()}"
            yield Finding(text=text, what_to_do="void or refund all but one")


def _kept(payment: Payment, invoice_id: str) -> int:
    """What pays the invoice still: all of it but what a bank has taken back for good."""
    allocated = sum(part.amount for part in payment.allocations if part.invoice_id == invoice_id)
    return allocated - min(allocated, sum(dispute.lost for dispute in payment.disputes))


def _net(payments: Iterable[Payment]) -> int:
    return sum(payment.amount - payment.refunded for payment in payments)


def _sums(months: Iterable[Month]) -> list[tuple[str, dict[str, int], dict[str, int]]]:
    """What can be compared: nothing that is zero."""
    found = []
    for month in months:
        ledger, mrr = (
            {f"{currency} {name}": amount for currency, of in sums.items() for name, amount in of.items() if amount}
            for sums in (month.ledger, month.mrr)
        )  # fmt: skip
        if ledger or mrr:
            found.append((month.name, ledger, mrr))
    return found
