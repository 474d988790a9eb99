"""Issuing a credit note: how much, what becomes of it, and what it leaves behind.

It first lowers its own invoice's amount due; the rest is refunded or becomes account credit, never more than was
settled of the invoice by money, credit or lines that give back, less what was returned of that before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.billing import invoice_data, paid_fact
from chalicelib.domain.credit_note import (
    CreditNote,
    NoteLine,
    note_number,
    with_credits,
)
from chalicelib.domain.credit_value import due
from chalicelib.domain.customer import Account, Credit
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Posting


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a note is asked to give back: these `lines` ((id, amount or None for all that is left)), an `amount` over
    all lines, or everything left. Amounts are minor units with tax.

    Of what remains after the amount due was lowered, `refund` and `credit` say how much goes where; without them
    `as_refund` does: refunded as far as there is money, or all of it credit.
    """

    lines: tuple[tuple[str, int | None], ...] = ()
    amount: int | None = None
    refund: int | None = None
    credit: int | None = None
    as_refund: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A note with what it changed: the account (number, credit) and its invoice."""

    note: CreditNote
    account: Account
    invoice: Invoice
    facts: tuple[Fact, ...]
    postings: tuple[Posting, ...]


def beyond_due(invoice: Invoice, total: int) -> int:
    """What of a note's total is left once it has lowered its invoice's amount due."""
    return total - min(total, due(invoice))


def refund_of(invoice: Invoice, total: int, wanted: Wanted, money: int) -> int:
    """How much of the note goes back as money, of which there is `money`. ValidationError where the parts asked for
    are not the whole, or there is not so much money.
    """
    rest = beyond_due(invoice, total)
    refund = min(rest, money) if wanted.as_refund else 0
    if wanted.refund is not None:
        refund = wanted.refund
    elif wanted.credit is not None:
        refund = rest - wanted.credit
    if refund < 0 or refund > rest or (wanted.credit is not None and refund + wanted.credit != rest):
        raise ValidationError(
            f"{total - rest} lowers what is due, so {rest} is to be refunded or credited",
            field="refund" if wanted.refund is not None else "credit",
            fix=f"let refund and credit add up to {rest}, or leave them out",
            invoice=invoice.id,
        )
    if refund > money:
        raise ValidationError(
            f"only {money} of the money paid can be refunded",
            field="refund",
            fix=f"refund at most {money}, and credit the rest",
            invoice=invoice.id,
        )
    return refund


def issued(
    invoice: Invoice,
    account: Account,
    lines: Sequence[NoteLine],
    *,
    refund: int,
    id_: str,
    now: datetime,
    reason: str = "",
    request: str = "",
) -> Issued:
    """The note over these lines, of which `refund` goes back as money. The refunds themselves are written down
    besides. Pure: the same request gives the same id.
    """
    account = replace(account, credit_notes=account.credit_notes + 1)
    total, tax = sum(line.total for line in lines), sum(line.tax for line in lines)
    rest = beyond_due(invoice, total)
    note = CreditNote(
        id=id_,
        customer_id=invoice.customer_id,
        subscription_id=invoice.subscription_id,
        invoice_id=invoice.id,
        number=note_number(account),
        sequence=account.credit_notes,
        currency=invoice.currency,
        at=now,
        lines=tuple(lines),
        total=total,
        tax=tax,
        applied=total - rest,
        credited=rest - refund,
        refunded=refund,
        reason=reason,
        request=request,
    )
    if note.credited:
        credit = Credit(note.credited, note.currency, now, note.id)
        account = replace(account, credits=(*account.credits, credit))
    lowered = _lowered(invoice, note)
    facts = [Fact("credit_note.issued", note.id, note_data(note, lowered))]
    if lowered.status is not invoice.status:
        facts.append(paid_fact(lowered))
    return Issued(note=note, account=account, invoice=lowered, facts=tuple(facts), postings=_postings(note))


def note_data(note: CreditNote, invoice: Invoice) -> dict[str, object]:
    """What events and mails say of a note."""
    return {
        **invoice_data(invoice),
        "credit_note": note.id,
        "credit_note_number": note.number,
        "amount": note.total,
        "tax": note.tax,
        "applied": note.applied,
        "credited": note.credited,
        "refunded": note.refunded,
        "reason": note.reason,
    }


def _lowered(invoice: Invoice, note: CreditNote) -> Invoice:
    """The invoice with the note noted: paid where nothing is due any more."""
    lowered = replace(
        invoice,
        credited=invoice.credited + note.applied,
        returned=invoice.returned + note.credited + note.refunded,
        line_credits=with_credits(invoice, note.lines),
    )
    if invoice.status is not InvoiceStatus.OPEN or lowered.amount_remaining:
        return lowered
    return replace(lowered, status=InvoiceStatus.PAID, paid_at=note.at, collect_at=None, overdue_at=None)


def _postings(note: CreditNote) -> tuple[Posting, ...]:
    """Revenue and tax taken back, against what is owed to us and what we owe."""
    return (
        Posting(LedgerAccount.REVENUE, note.total - note.tax, note.currency),
        Posting(LedgerAccount.TAX, note.tax, note.currency),
        Posting(LedgerAccount.RECEIVABLE, -note.applied, note.currency),
        Posting(LedgerAccount.CUSTOMER_CREDIT, note.applied - note.total, note.currency),
    )
