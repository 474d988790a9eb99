"""Giving an open invoice up: what was served is bad debt, what was not is credited."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from chalicelib.domain.arrears import dunning_data, received_since
from chalicelib.domain.billing import invoice_data
from chalicelib.domain.calendar import Period
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.money import round_half_away
from chalicelib.domain.proration import Granularity, share_left_on_cancel

Outcome = tuple[Invoice, tuple[Fact, ...], tuple[Posting, ...]]


def written_off(invoice: Invoice, now: datetime) -> Outcome:
    """The open invoice uncollectible: time that was served and not paid is bad debt, time not served is credited.

    The day of `now` is served. What is credited takes its share of the tax back with it.
    """
    credited, postings = _credit(invoice, now)
    bad_debt = invoice.amount_remaining - credited
    closed = replace(
        invoice,
        status=InvoiceStatus.UNCOLLECTIBLE,
        credited=invoice.credited + credited,
        closed_at=now,
        collect_at=None,
        overdue_at=None,
    )
    postings += (
        Posting(LedgerAccount.BAD_DEBT, bad_debt, invoice.currency),
        Posting(LedgerAccount.RECEIVABLE, -bad_debt, invoice.currency),
    )
    recovered = received_since(invoice.arrears, invoice.amount_paid)
    about = dunning_data(invoice.arrears, recovered=recovered, lost=bad_debt)
    data = {**invoice_data(closed), "bad_debt": bad_debt, "credited": closed.credited, **about}
    return closed, (Fact("invoice.uncollectible", invoice.id, data),), postings


def unserved_credited(invoice: Invoice, now: datetime) -> Outcome:
    """The open invoice of a service that ends now: what was served stays due, what was not is credited.

    Where nothing of it was served there is nothing left to collect, and it is closed.
    """
    credited, postings = _credit(invoice, now)
    if credited == invoice.amount_remaining:
        return written_off(invoice, now)
    if not credited:
        return invoice, (), ()
    lowered = replace(invoice, credited=invoice.credited + credited)
    data = {**invoice_data(lowered), "credited": credited, "amount_remaining": lowered.amount_remaining}
    return lowered, (Fact("invoice.credited", invoice.id, data),), postings


def _credit(invoice: Invoice, now: datetime) -> tuple[int, tuple[Posting, ...]]:
    """What is still to be credited, and its bookings; what was credited before is not credited again."""
    credited = 0 if invoice.credited else _unserved(invoice, now)
    tax = round_half_away(Fraction(invoice.tax * credited, invoice.total)) if invoice.total else 0
    return credited, (
        Posting(LedgerAccount.REVENUE, credited - tax, invoice.currency),
        Posting(LedgerAccount.TAX, tax, invoice.currency),
        Posting(LedgerAccount.RECEIVABLE, -credited, invoice.currency),
    )


def _unserved(invoice: Invoice, now: datetime) -> int:
    """What of the total is for days after the one of `now`, as far as it is not paid: money pays served time first."""
    if invoice.period is None:
        return 0
    totals: dict[Period, int] = defaultdict(int)
    for line in invoice.lines:
        totals[line.period or invoice.period] += line.total
    unserved = sum(
        round_half_away(total * share_left_on_cancel(period, now, invoice.zone, Granularity.DAY))
        for period, total in totals.items()
    )
    return max(0, min(invoice.amount_remaining, unserved))
