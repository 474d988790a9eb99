"""Money: what the processor took is what payments, ledger and invoices say, to the cent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from chalicelib.domain.customer import Account
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.payment import Outcome, Payment
from tests.simulation.world import World


def one_cycle_invoice(world: World) -> Iterator[str]:
    seen = Counter(
        (invoice.subscription_id, invoice.period.start)
        for invoice in world.records(Invoice)
        if invoice.cause.kind is CauseKind.CYCLE
        and invoice.period
        and invoice.status is not InvoiceStatus.VOID
    )
    for (subscription, start), times in seen.items():
        if times > 1:
            yield f"{subscription} has {times} invoices for the period from {start}"


def money(world: World) -> Iterator[str]:
    """Processor, payments, ledger and invoices, per currency."""
    invoices, accounts = world.records(Invoice), world.records(Account)
    ledger: dict[str, Counter[LedgerAccount]] = defaultdict(Counter)
    for entry in world.journal():
        for posting in entry.postings:
            ledger[posting.currency][posting.account] += posting.amount
    manual = world.records(Payment)
    for currency in sorted({invoice.currency for invoice in invoices} | set(ledger)):
        of = [invoice for invoice in invoices if invoice.currency == currency]
        by_hand = sum(p.amount for p in manual if p.currency == currency)
        taken = world.processor.totals(currency) - world.processor.refunded(currency)
        collected = sum(p.amount - p.refunded for i in of for p in i.payments if p.reference is not None)
        open_ = sum(invoice.amount_remaining for invoice in of if invoice.status is InvoiceStatus.OPEN)
        bad = sum(invoice.amount_remaining for invoice in of if invoice.status is InvoiceStatus.UNCOLLECTIBLE)
        revenue = sum(i.total - i.tax - i.credited for i in of if i.status is not InvoiceStatus.VOID)
        credit = sum(c.amount for a in accounts for c in a.credits if c.currency == currency)
        booked = ledger[currency]
        for what, left, right in (
            ("the ledger does not balance", sum(booked.values()), 0),
            ("the processor's money and the payments differ", taken, collected),
            ("cash and the money received differ", booked[LedgerAccount.CASH], taken + by_hand),
            ("receivable and what is open differ", booked[LedgerAccount.RECEIVABLE], open_),
            ("bad debt and what is uncollectible differ", booked[LedgerAccount.BAD_DEBT], bad),
            ("revenue and the invoices differ", -booked[LedgerAccount.REVENUE], revenue),
            ("customer credit and the accounts differ", -booked[LedgerAccount.CUSTOMER_CREDIT], credit),
        ):
            if left != right:
                yield f"{what}: {left} ≠ {right} {currency}"


def charges(world: World) -> Iterator[str]:
    """Per invoice: no more taken than due, each payment of the processor noted once, one charge per attempt."""
    by_invoice: dict[str | None, list[Any]] = defaultdict(list)
    begun: Counter[tuple[Any, ...]] = Counter()
    for payment in world.processor.payments.values():
        by_invoice[payment.request.invoice_id].append(payment)
        attempt = getattr(payment.request, "attempt", None)
        if attempt is not None:
            begun[payment.request.invoice_id, attempt.number] += 1
    for (invoice_id, number), times in begun.items():
        if times > 1:
            yield f"{invoice_id} attempt {number} was begun {times} times at the processor"
    invoices = {invoice.id: invoice for invoice in world.records(Invoice)}
    for invoice_id, paid in by_invoice.items():
        invoice = invoices.get(invoice_id or "")
        if invoice is None:
            yield f"the processor knows an invoice that we do not: {invoice_id}"
            continue
        money = [p for p in paid if p.result.outcome is Outcome.SUCCEEDED]
        net = sum(p.amount - p.refunded for p in money)
        most = 0 if invoice.status is InvoiceStatus.VOID else invoice.amount_due
        if net > most + invoice.amount_due // 100:  # a processor may count in coarser units
            yield f"{invoice_id} took {net} of {most} {invoice.currency}"
        ours = sorted(p.reference for p in invoice.payments if p.reference and p.refunded < p.amount)
        theirs = sorted(p.reference for p in money if p.refunded < p.amount)
        if ours != theirs:
            yield f"{invoice_id} notes {ours}, the processor has {theirs}"
