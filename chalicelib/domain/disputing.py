"""What disputes do to invoice, account and books: the processor's present state, applied as a difference.

Money follows what the processor holds: withdrawn it is owed to us again, given back it is cash, lost it is bad
debt. So the same state applied twice, or states that were skipped, book the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain import holding
from chalicelib.domain.billing import invoice_data
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.dispute import Dispute, DisputeState
from chalicelib.domain.errors import CurrencyMismatchError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.payment import Payment
from chalicelib.domain.subscription import Subscription

MOST_RELEASED = 40
"""Invoices and runs that go on in the closing transaction itself; the rest finds out at its daily look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What may have waited for the customer's disputes: invoices without an attempt, and dunning runs."""

    invoices: Sequence[Invoice] = ()
    subscriptions: Sequence[Subscription] = ()


def brought_in_line(
    invoice: Invoice,
    payment: Payment,
    account: Account,
    states: Sequence[DisputeState],
    waiting: Waiting,
    now: datetime,
    *,
    suspends: Sequence[str] = (),
) -> Decision | None:
    """Everything that follows from what the processor says of a payment's disputes; None when it is known.

    Opened: the account holds automatic charging back, and access to the subscriptions that `suspends` names. Closed
    (the customer's last): what waited is due now. Lost: the invoice is uncollectible, what was kept of it stays
    paid. A state that contradicts an earlier one (an inquiry that became a dispute, a lost one that was won on
    appeal) is applied like any other.
    """
    known = {each.state.reference: each for each in payment.disputes}
    disputes = {**known, **{each.reference: _noted(known.get(each.reference), each, now) for each in states}}
    after = replace(payment, disputes=tuple(disputes.values()))
    if after == payment:
        return None
    _require_currency(invoice, after.disputes)
    adjusted = _adjusted(invoice, payment, after, now)
    held = _held(account, after, tuple(suspends))
    freed = waiting if account.disputes and not held.disputes else Waiting()
    return Decision(
        cause=f"dispute:{payment.id}:{invoice.version}",
        account=held if held != account else None,
        invoice=adjusted,
        also=_released(freed, now),
        facts=(*_facts(payment, after, known), *_invoice_facts(invoice, adjusted)),
        postings=_postings(payment, after),
    )


def _noted(known: Dispute | None, state: DisputeState, now: datetime) -> Dispute:
    noted = replace(known, state=state) if known else Dispute(state=state, opened_at=now)
    if noted.is_pending:
        return replace(noted, closed_at=None)
    return noted if noted.closed_at else replace(noted, closed_at=now)


def _require_currency(invoice: Invoice, disputes: Sequence[Dispute]) -> None:
    for each in disputes:
        if each.state.currency != invoice.currency:
            raise CurrencyMismatchError(
                f"a dispute in {each.state.currency} of a payment in {invoice.currency}", invoice=invoice.id
            )


def _adjusted(invoice: Invoice, before: Payment, after: Payment, now: datetime) -> Invoice:
    """The invoice with the payment as it is now: what is lost of it is not paid any more."""
    lost = _lost(after) - _lost(before)
    payments = tuple(after if each.id == after.id else each for each in invoice.payments)
    adjusted = replace(invoice, payments=payments, amount_paid=invoice.amount_paid - lost)
    if lost > 0 and invoice.status is InvoiceStatus.PAID:
        return replace(adjusted, status=InvoiceStatus.UNCOLLECTIBLE, closed_at=now)
    if lost < 0 and invoice.status is InvoiceStatus.UNCOLLECTIBLE and not adjusted.amount_remaining:
        return replace(adjusted, status=InvoiceStatus.PAID, closed_at=None)
    return adjusted


def _lost(payment: Payment) -> int:
    """A bank may take more than was paid, where it counts in another currency: the invoice loses what paid it."""
    paid = sum(allocation.amount for allocation in payment.allocations)
    return min(paid, sum(each.lost for each in payment.disputes))


def _held(account: Account, payment: Payment, suspends: tuple[str, ...]) -> Account:
    """The policy counts that is in force when the first dispute opens; the last one's end gives everything back."""
    of_this = {each.state.reference for each in payment.disputes}
    others = [reference for reference in account.disputes if reference not in of_this]
    still = [each.state.reference for each in payment.disputes if each.is_open]
    disputes = (*others, *still)
    suspended = account.suspended if account.disputes else suspends
    return replace(account, disputes=disputes, suspended=suspended if disputes else ())


def _released(waiting: Waiting, now: datetime) -> tuple[Invoice | Subscription, ...]:
    freed: list[Invoice | Subscription] = []
    freed += [replace(each, collect_at=now) for each in waiting.invoices if holding.waits_until(each)]
    runs = [(each, holding.released(each, now)) for each in waiting.subscriptions]
    freed += [after for before, after in runs if after != before]
    return tuple(freed[:MOST_RELEASED])


def _postings(before: Payment, after: Payment) -> tuple[Posting, ...]:
    known = {each.state.reference: each for each in before.disputes}
    postings: list[Posting] = []
    for each in after.disputes:
        was, currency = known.get(each.state.reference), each.state.currency
        taken = each.state.withdrawn - (was.state.withdrawn if was else 0)
        lost = each.lost - (was.lost if was else 0)
        postings += [
            Posting(LedgerAccount.CASH, -taken, currency),
            Posting(LedgerAccount.RECEIVABLE, taken - lost, currency),
            Posting(LedgerAccount.BAD_DEBT, lost, currency),
        ]
        postings += _fee_postings(was.state if was else None, each.state)
    beyond = _beyond(after) - _beyond(before)
    currency = after.currency
    return (
        *postings,
        Posting(LedgerAccount.BAD_DEBT, -beyond, currency),
        Posting(LedgerAccount.ROUNDING, beyond, currency),
    )


def _beyond(payment: Payment) -> int:
    """What is lost beyond what the payment paid: the processor took it in coarser units, and it was booked so."""
    return sum(each.lost for each in payment.disputes) - _lost(payment)


def _fee_postings(was: DisputeState | None, now: DisputeState) -> list[Posting]:
    fee = now.fee - (was.fee if was else 0)
    currency = now.fee_currency or (was.fee_currency if was else "")
    return [
        Posting(LedgerAccount.CASH, -fee, currency),
        Posting(LedgerAccount.PROCESSOR_FEES, fee, currency),
    ]


def _facts(before: Payment, after: Payment, known: dict[str, Dispute]) -> list[Fact]:
    facts = []
    for each in after.disputes:
        was = known.get(each.state.reference)
        if was == each:
            continue
        if was is None:
            facts.append(_fact("dispute.opened", each, after))
        if not each.is_pending and (was is None or was.state.status is not each.state.status):
            facts.append(_fact("dispute.closed", each, after))
        elif was is not None:
            facts.append(_fact("dispute.updated", each, after))
    return facts


def _fact(type_: str, dispute: Dispute, payment: Payment) -> Fact:
    state = dispute.state
    data = {
        "dispute": state.reference,
        "payment": payment.id,
        "invoice": payment.allocations[0].invoice_id,
        "status": str(state.status),
        "outcome": None if dispute.is_pending else str(state.status),
        "reason": state.reason,
        "amount": state.amount,
        "currency": state.currency,
        "withdrawn": state.withdrawn,
        "fee": state.fee,
        "fee_currency": state.fee_currency,
        "evidence_due_at": state.evidence_due_at.isoformat() if state.evidence_due_at else None,
    }
    return Fact(type_, payment.id, data)


def _invoice_facts(before: Invoice, after: Invoice) -> list[Fact]:
    if after.status is before.status:
        return []
    data = {**invoice_data(after), "amount_remaining": after.amount_remaining, "reason": "dispute"}
    if after.status is InvoiceStatus.UNCOLLECTIBLE:
        return [Fact("invoice.uncollectible", after.id, {**data, "bad_debt": after.amount_remaining})]
    return [Fact("invoice.paid", after.id, data)]
