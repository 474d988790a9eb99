"""Refunds: money that goes back to whoever paid it. Written down, made once, settled once.

How far a refund has come only ever moves forward (in flight, pending, succeeded, failed), so reports of it may
come in any order. What refunds do to the books is in `refund_books.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain.customer import Account, Credit
from chalicelib.domain.invoice import Invoice, is_collected
from chalicelib.domain.payment import KEY_LIFETIME, Allocation, Payment

FIRST_LOOK = timedelta(minutes=5)
LONGEST_LOOK = timedelta(hours=12)
PENDING_LOOK = timedelta(days=1)


class RefundStatus(StrEnum):
    """IN_FLIGHT: written down, and nobody knows yet. PENDING: the processor has it, the bank does not yet.
    FAILED: the money stayed here, or came back.
    """

    IN_FLIGHT = "in_flight"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_RANK = {status: rank for rank, status in enumerate(RefundStatus)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundResult:
    """What the processor says of one refund; IN_FLIGHT: no answer. `reference` is its own id of it, `failure` its
    code for why it failed.
    """

    status: RefundStatus
    reference: str | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refund:
    """Part of a payment that is given back, in minor units of the payment's currency.

    `allocations` say from which of the invoices it paid; without any it comes out of what was paid over (account
    credit). `key` is the processor's idempotency key, a function of the payment and the refund's number: empty
    where the refund was made in the processor's own dashboard, or by hand. `at` is business time; `written_at`
    (machine time) is when the key was first used, which decides between replay and look-up. `look_at` is when it
    wants attention, `not_before` (machine time) holds back the next look at an unknown outcome.
    """

    id: str
    customer_id: str
    payment_id: str
    amount: int
    currency: str
    at: datetime
    written_at: datetime
    status: RefundStatus = RefundStatus.IN_FLIGHT
    allocations: tuple[Allocation, ...] = ()
    key: str = ""
    payment_reference: str | None = None
    """The processor's payment; None for one that was recorded by hand."""
    reason: str = ""
    reference: str | None = None
    failure: str = ""
    settled_at: datetime | None = None
    look_at: datetime | None = None
    not_before: datetime | None = None
    tries: int = 0
    request: str = ""
    """Fingerprint of the request that asked for it (idempotency stored with the effect)."""
    credit_note: str = ""
    """The note that owes it: it took revenue and tax back already. Failed, it is account credit."""
    version: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in (RefundStatus.IN_FLIGHT, RefundStatus.PENDING)

    def key_expired(self, machine_now: datetime) -> bool:
        return machine_now - self.written_at > KEY_LIFETIME

    def is_news(self, result: RefundResult) -> bool:
        """Whether the result is further than what is known."""
        return _RANK[result.status] > _RANK[self.status]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A payment and everything that says something of it: the invoices that it paid and the customer's account.

    A payment born from an attempt is inside its one invoice; one that is a record of its own has a share in each
    invoice.
    """

    payment: Payment
    invoices: tuple[Invoice, ...]
    account: Account

    def invoice(self, invoice_id: str) -> Invoice:
        return next(invoice for invoice in self.invoices if invoice.id == invoice_id)

    @property
    def by_hand(self) -> bool:
        """Whether no processor has this money: it goes back as it came, by somebody's hand."""
        return not is_collected(self.payment.id) and self.payment.charge is None


def share_of(invoice: Invoice, payment_id: str) -> Payment:
    """What the payment paid of this invoice."""
    return next(share for share in invoice.payments if share.id == payment_id)


def left_of(share: Payment) -> int:
    """What may still be given back: neither refunded, on its way, nor claimed by the bank in a dispute."""
    return share.amount - share.refunded - share.refunding - share.contested


def refund_key(payment_id: str, number: int) -> str:
    """The processor's idempotency key for a payment's n-th refund: nothing ephemeral in it."""
    return f"refund:{payment_id}:{number}"


def reserved(source: Source, refund: Refund) -> Source:
    """The source with the refund's amount kept for it: nobody else can give it back, or spend it as credit."""
    held = _shifted(source, refund, refunding=1, number=1)
    return held if refund.allocations else replace(held, account=_without_credit(held.account, refund))


def released(source: Source, refund: Refund) -> Source:
    """The source after a refund failed: what was reserved or given back is the payment's again.

    Money that was paid over, or that a credit note owes, and could not be given back, is account credit (again).
    """
    was_booked = refund.status is RefundStatus.SUCCEEDED
    held = _shifted(source, refund, refunding=0 if was_booked else -1, refunded=-1 if was_booked else 0)
    if refund.allocations and not refund.credit_note:
        return held
    return replace(held, account=_with_credit(held.account, refund))


def given_back(source: Source, refund: Refund) -> Source:
    """The source after what was reserved has gone."""
    return _shifted(source, refund, refunding=-1, refunded=1)


def numbered(source: Source, refund: Refund) -> Source:
    """The source with one more number taken, for a new key."""
    return _shifted(source, refund, number=1)


def records(before: Source, after: Source) -> tuple[Payment | Invoice | Account, ...]:
    """What has to be written."""
    changed: list[Payment | Invoice | Account] = [
        new for old, new in zip(before.invoices, after.invoices, strict=True) if new != old
    ]
    if after.account != before.account:
        changed.append(after.account)
    if after.payment != before.payment and not is_collected(after.payment.id):
        changed.append(after.payment)
    return tuple(changed)


def _shifted(
    source: Source, refund: Refund, *, refunding: int = 0, refunded: int = 0, number: int = 0
) -> Source:
    """`refunding` and `refunded` up or down by the refund's amounts (times 1, 0 or −1)."""
    parts = {allocation.invoice_id: allocation.amount for allocation in refund.allocations}
    by_note = 1 if refund.credit_note else 0

    def shift(share: Payment, amount: int) -> Payment:
        return replace(
            share,
            refunding=share.refunding + refunding * amount,
            refunded=share.refunded + refunded * amount,
            refunds=share.refunds + number,
            noting=share.noting + by_note * refunding * amount,
            noted=share.noted + by_note * refunded * amount,
        )

    def shift_in(invoice: Invoice) -> Invoice:
        payments = tuple(
            shift(share, parts[invoice.id]) if share.id == refund.payment_id else share
            for share in invoice.payments
        )
        return replace(invoice, payments=payments)

    return replace(
        source,
        payment=shift(source.payment, refund.amount),
        invoices=tuple(shift_in(each) if each.id in parts else each for each in source.invoices),
    )


def _without_credit(account: Account, refund: Refund) -> Account:
    """What the payment left as credit is taken out first; what was spent of it already is the customer's debit."""
    left, credits = refund.amount, []
    for credit in account.credits:
        used = min(left, credit.amount) if credit.source == refund.payment_id and credit.amount > 0 else 0
        left -= used
        if credit.amount != used:
            credits.append(replace(credit, amount=credit.amount - used))
    if left:
        credits.append(Credit(-left, refund.currency, refund.at, refund.id))
    return replace(account, credits=tuple(credits))


def _with_credit(account: Account, refund: Refund) -> Account:
    source = refund.credit_note or refund.payment_id
    credit = Credit(refund.amount, refund.currency, refund.at, source)
    return replace(account, credits=(*account.credits, credit))
