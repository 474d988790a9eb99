"""Giving an open invoice up: what was served is bad debt, what was not is credited."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from chalicelib.domain.billing import invoice_data
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.money import round_half_away
from chalicelib.domain.proration import Granularity, share_left_on_cancel


def written_off(invoice: Invoice, now: datetime) -> tuple[Invoice, tuple[Fact, ...], tuple[Posting, ...]]:
    """The open invoice uncollectible: time that was served and not paid is bad debt, time not served is credited.

    The day of `now` is served. What is credited takes its share of the tax back with it.
    """
    remaining, currency = invoice.amount_remaining, invoice.currency
    credited = _unserved(invoice, now)
    tax = round_half_away(Fraction(invoice.tax * credited, invoice.total)) if invoice.total else 0
    closed = replace(
        invoice,
        status=InvoiceStatus.UNCOLLECTIBLE,
        credited=credited,
        closed_at=now,
        collect_at=None,
        overdue_at=None,
    )
    postings = (
        Posting(LedgerAccount.BAD_DEBT, remaining - credited, currency),
        Posting(LedgerAccount.REVENUE, credited - tax, currency),
        Posting(LedgerAccount.TAX, tax, currency),
        Posting(LedgerAccount.RECEIVABLE, -remaining, currency),
    )
    data = {**invoice_data(closed), "bad_debt": remaining - credited, "credited": credited}
    return closed, (Fact("invoice.uncollectible", invoice.id, data),), postings


def _unserved(invoice: Invoice, now: datetime) -> int:
    """What of the total is for days after the one of `now`, as far as it is not paid: money pays served time first."""
    if invoice.period is None:
        return 0
    left = share_left_on_cancel(invoice.period, now, invoice.zone, Granularity.DAY)
    return min(invoice.amount_remaining, round_half_away(invoice.total * left))
