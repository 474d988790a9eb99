"""Drawing up invoices: lines that explain themselves, numbers, credit, and the bookings that open them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chalicelib.domain import ids, prepaid
from chalicelib.domain.adjustments import adjusted
from chalicelib.domain.arrears import dunning_data, received_since
from chalicelib.domain.calendar import Period, add_days, next_day_start
from chalicelib.domain.catalog import Party
from chalicelib.domain.customer import Account, CollectionMethod, Credit, Customer
from chalicelib.domain.discount import Redemption
from chalicelib.domain.invoice import Cause, Invoice, InvoiceStatus, Line, invoice_id
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.line_items import WHOLE, lines_of
from chalicelib.domain.proration import Granularity, parts_of
from chalicelib.domain.subscription import Item, Subscription
from chalicelib.domain.tax import NO_TAX, TaxTerms
from chalicelib.domain.usage import Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Occasion:
    """Everything an invoice needs that is not in the subscription: when, for whom, from whom.

    `minimum` is the smallest amount (minor units) the processor charges in the invoice's currency; `tax` how the
    customer's lines are taxed; `attempts_per_card` is the dunning policy's.
    """

    now: datetime
    customer: Customer
    seller: Party
    minimum: int = 0
    tax: TaxTerms = NO_TAX
    usage: tuple[Usage, ...] = ()
    attempts_per_card: int = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """An invoice just opened, with the account it passed through and its side of the journal. `redemptions` are
    the subscription's coupons as they stand after it: whoever commits it keeps them.
    """

    account: Account
    invoice: Invoice
    facts: tuple[Fact, ...]
    postings: tuple[Posting, ...]
    redemptions: tuple[Redemption, ...] = ()


def recurring_lines(
    items: Iterable[Item], period: Period, *, full: Period, zone: str, granularity: Granularity
) -> tuple[Line, ...]:
    """One line per priced item for `period`, a share of the `full` period when it is a stub."""
    parts = WHOLE if period == full else parts_of(full, period, zone, granularity)
    return tuple(line for item in items for line in lines_of(item, period, parts, granularity))


def open_invoice(
    subscription: Subscription,
    account: Account,
    lines: tuple[Line, ...],
    *,
    cause: Cause,
    period: Period | None,
    occasion: Occasion,
    activates: bool = False,
) -> Opened:
    """The open invoice with its number, after the subscription's coupons, tax, account credit (oldest first) and
    carried debits.

    Lines that give back more than the others charge turn the rest into account credit. What is left below the
    processor's minimum is carried to the next invoice; nothing left makes it paid.
    Pure: the id follows from subscription and cause, so drawing it up twice is the same invoice.
    """
    identity, account = invoice_id(subscription.id, cause), replace(account, invoices=account.invoices + 1)
    start = period.start if period is not None else occasion.now
    final = adjusted(
        lines,
        subscription.redemptions,
        currency=subscription.currency,
        period_start=start,
        tax=occasion.tax,
        grants=prepaid.open_grants(account, subscription.currency, occasion.now),
    )
    account, depleted = prepaid.after_draw(account, final.uses, subscription.currency, occasion.now)
    account, sums = _sums(subscription, account, final.lines, occasion, identity)
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    paid = sums.due == sums.carried_out
    invoice = Invoice(
        id=identity,
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        number=invoice_number(account),
        sequence=account.invoices,
        cause=cause,
        status=InvoiceStatus.PAID if paid else InvoiceStatus.OPEN,
        currency=subscription.currency,
        zone=subscription.zone,
        issued_at=occasion.now,
        due_at=_due_at(subscription, occasion.now),
        terms=subscription.terms,
        seller=occasion.seller,
        buyer=occasion.customer.party(),
        lines=final.lines,
        period=period,
        total=sums.total,
        tax=sum(line.tax for line in final.lines),
        credit_applied=sums.applied,
        carried_in=sums.carried_in,
        carried_out=sums.carried_out,
        credit_granted=sums.granted,
        credits_used=final.uses,
        overdue_at=None if paid or automatic else _overdue_at(subscription, occasion.now),
        activates=activates,
        paid_at=occasion.now if paid else None,
    )
    facts = [_opened_fact(invoice)]
    if paid:
        facts.append(paid_fact(invoice))
    return Opened(
        account=account,
        invoice=invoice,
        facts=(*facts, *depleted),
        postings=opening_postings(invoice),
        redemptions=final.redemptions,
    )


def void(invoice: Invoice, account: Account, now: datetime) -> Opened:
    """The invoice void, its credit given back and its bookings reversed. Only before anything was paid on it."""
    currency = invoice.currency
    credits = tuple(
        entry for entry in account.credits if not (entry.source == invoice.id and entry.amount < 0)
    )
    if invoice.credit_applied:
        credits += (Credit(invoice.credit_applied, currency, now, f"void {invoice.number}"),)
    if invoice.carried_in:
        credits += (Credit(-invoice.carried_in, currency, now, f"void {invoice.number}"),)
    if invoice.credit_granted:
        credits += (Credit(-invoice.credit_granted, currency, now, f"void {invoice.number}"),)
    voided = replace(invoice, status=InvoiceStatus.VOID, collect_at=None, overdue_at=None, closed_at=now)
    data = {**invoice_data(voided), **dunning_data(invoice.arrears)}
    return Opened(
        account=prepaid.given_back(replace(account, credits=credits), invoice, now),
        invoice=voided,
        facts=(Fact("invoice.voided", invoice.id, data),),
        postings=tuple(replace(posting, amount=-posting.amount) for posting in opening_postings(invoice)),
    )


def opening_postings(invoice: Invoice) -> tuple[Posting, ...]:
    """Receivable against revenue and tax; credit and carried debits move between credit and receivable, and what
    the lines give back beyond what they charge becomes credit. Prepaid credits are revenue once they are drawn.
    """
    currency = invoice.currency
    moved = invoice.credit_applied - invoice.carried_in + invoice.carried_out
    deferred = sum(line.net for line in invoice.lines if line.kind == prepaid.PURCHASE)
    deferred -= sum(use.released for use in invoice.credits_used)
    return (
        Posting(LedgerAccount.RECEIVABLE, invoice.total - moved, currency),
        Posting(
            LedgerAccount.REVENUE, invoice.tax - invoice.total + invoice.credit_granted + deferred, currency
        ),
        Posting(LedgerAccount.TAX, -invoice.tax, currency),
        Posting(LedgerAccount.CUSTOMER_CREDIT, moved - invoice.credit_granted - deferred, currency),
    )


def invoice_number(account: Account) -> str:
    """Gapless per customer: eight characters of the customer, then the count of its invoices."""
    return f"{ids.token_of(account.customer_id)[:8].upper()}-{account.invoices:04d}"


def invoice_data(invoice: Invoice) -> dict[str, object]:
    """What events and mails say of an invoice: ids, minor units, ISO instants."""
    data: dict[str, object] = {
        "invoice": invoice.id,
        "number": invoice.number,
        "subscription": invoice.subscription_id,
        "currency": invoice.currency,
        "total": invoice.total,
        "amount_due": invoice.amount_due,
        "status": str(invoice.status),
    }
    if invoice.period is not None:
        data["period_start"] = invoice.period.start.isoformat()
        data["period_end"] = invoice.period.end.isoformat()
    return data


def paid_fact(invoice: Invoice) -> Fact:
    recovered = received_since(invoice.arrears, invoice.amount_paid)
    about = dunning_data(invoice.arrears, recovered=recovered)
    return Fact("invoice.paid", invoice.id, {**invoice_data(invoice), **about})


def _opened_fact(invoice: Invoice) -> Fact:
    more = {"due_at": invoice.due_at.isoformat(), "collection_method": str(invoice.terms.method)}
    return Fact("invoice.opened", invoice.id, {**invoice_data(invoice), **more})


class _Sums(NamedTuple):
    total: int
    granted: int
    applied: int
    carried_in: int
    due: int
    """Before what is carried to the next invoice."""
    carried_out: int


def _sums(
    subscription: Subscription, account: Account, lines: Iterable[Line], occasion: Occasion, invoice: str
) -> tuple[Account, _Sums]:
    """The account after the invoice has passed through it, and what came of that."""
    currency = subscription.currency
    balance = sum(line.total for line in lines)
    granted = max(0, -balance)
    total = balance + granted
    account, applied, carried_in = _use_credit(account, total, currency)
    due = total - applied + carried_in
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    carried_out = due if automatic and 0 < due < occasion.minimum else 0
    left = tuple(
        Credit(amount, currency, occasion.now, invoice) for amount in (-carried_out, granted) if amount
    )
    if left:
        account = replace(account, credits=account.credits + left)
    return account, _Sums(total, granted, applied, carried_in, due, carried_out)


def _use_credit(account: Account, total: int, currency: str) -> tuple[Account, int, int]:
    """(account after it, credit applied, debit carried in): credit oldest first, never below zero."""
    carried_in = -sum(c.amount for c in account.credits if c.currency == currency and c.amount < 0)
    wanted = total + carried_in
    applied, kept = 0, []
    for credit in account.credits:
        if credit.currency != currency:
            kept.append(credit)
        elif credit.amount > 0:
            used = min(credit.amount, wanted - applied)
            applied += used
            if credit.amount > used:
                kept.append(replace(credit, amount=credit.amount - used))
    return replace(account, credits=tuple(kept)), applied, carried_in


def _due_at(subscription: Subscription, now: datetime) -> datetime:
    return add_days(now, subscription.terms.net_days, subscription.zone)


def _overdue_at(subscription: Subscription, now: datetime) -> datetime:
    """The start of the day after the due date, in the customer's zone."""
    return next_day_start(_due_at(subscription, now), subscription.zone)
