"""What was really settled of an invoice, and what of that may still be returned.

An invoice is settled by money, by account credit, and by its lines that give back what an earlier invoice had billed:
what the earlier one was settled with. So value passes from invoice to invoice, and none of it is returned twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.credit_note import reversed_total
from chalicelib.domain.invoice import Invoice, InvoiceStatus


def due(invoice: Invoice) -> int:
    """What a note lowers first."""
    return invoice.amount_remaining if invoice.status is InvoiceStatus.OPEN else 0


def returnable(invoice: Invoice, others: Mapping[str, Invoice]) -> int:
    """What was settled of the invoice (not by notes), less what went back of it, what a bank claims, and what later
    invoices took over. Less than zero where more went back than was not taken over.
    """
    return own(invoice) + _taken_over(invoice, others) - reversed_total(invoice, others.values())


def own(invoice: Invoice) -> int:
    """What was settled by money and credit, less what was returned or is claimed."""
    gone = claimed = 0
    for share in invoice.payments:
        gone += share.refunded + share.refunding - share.noted - share.noting
        claimed += sum(each.state.amount for each in share.disputes if each.is_open)
    settled = invoice.amount_paid + invoice.credit_applied + invoice.carried_out - invoice.carried_in
    return settled - invoice.returned - gone - claimed


def sources(invoice: Invoice, others: Mapping[str, Invoice]) -> list[Invoice]:
    """The invoices whose lines it gives back."""
    named = dict.fromkeys(line.reversal.invoice_id for line in invoice.lines if line.reversal is not None)
    return [others[id_] for id_ in named if id_ in others and id_ != invoice.id]


def _taken_over(invoice: Invoice, others: Mapping[str, Invoice]) -> int:
    """What its lines give back, as far as that was settled and did not go back to the customer since."""
    given = sum(-line.total for line in invoice.lines if line.is_credit) - invoice.credit_granted
    short = sum(max(0, -returnable(source, others)) for source in sources(invoice, others))
    return max(0, given - short)
