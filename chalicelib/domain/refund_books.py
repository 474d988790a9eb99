"""What refunds do to the books: a function of what has been refunded so far, and of nothing else.

A refund takes money out of cash against revenue and tax, in the proportion of the invoice that the money paid, or
against customer credit where it was paid over or a credit note owes it (the note took revenue and tax back). An entry
books the difference between two states, so parts add up to the whole to the minor unit, and a refund that fails later
leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import LedgerAccount, Posting
from chalicelib.domain.money import round_half_away
from chalicelib.domain.refund import Source


def postings(before: Source, after: Source) -> tuple[Posting, ...]:
    """The bookings that lead from one state of refunds to the other; balanced, empty where nothing moved."""
    moved: Counter[LedgerAccount] = Counter(_booked(after))
    moved.subtract(_booked(before))
    return tuple(Posting(account, moved[account], after.payment.currency) for account in LedgerAccount)


def _booked(source: Source) -> Counter[LedgerAccount]:
    """Everything booked for refunds of these invoices, and of what the payment left as credit."""
    books: Counter[LedgerAccount] = Counter()
    for invoice in source.invoices:
        books.update(_booked_of(invoice))
    shares = sum(
        share.refunded
        for invoice in source.invoices
        for share in invoice.payments
        if share.id == source.payment.id
    )
    from_credit = source.payment.refunded - shares
    books[LedgerAccount.CASH] -= from_credit
    books[LedgerAccount.CUSTOMER_CREDIT] += from_credit
    return books


def _booked_of(invoice: Invoice) -> Counter[LedgerAccount]:
    """Where the processor moved more or less than was asked (it counts coarser), the difference is rounding's, as
    it was when the money came. What was paid for amounts carried in from other invoices takes no tax back.
    """
    noted = sum(share.noted for share in invoice.payments)
    returned = sum(
        round_half_away(Fraction(part.amount * (share.refunded - share.noted), share.amount))
        for share in invoice.payments
        for part in share.allocations
    )
    tax = 0
    if invoice.total:
        tax = round_half_away(Fraction(invoice.tax * min(returned, invoice.total), invoice.total))
    return Counter(
        {
            LedgerAccount.CASH: -invoice.amount_refunded,
            LedgerAccount.REVENUE: returned - tax,
            LedgerAccount.TAX: tax,
            LedgerAccount.CUSTOMER_CREDIT: noted,
            LedgerAccount.ROUNDING: invoice.amount_refunded - noted - returned,
        }
    )
