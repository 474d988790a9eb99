"""Invoices: shapes. How one is drawn up is in `billing.py`, how it is paid in `collection.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chalicelib.domain import ids
from chalicelib.domain.arrears import Arrears
from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import Party
from chalicelib.domain.credit_grant import GrantUse
from chalicelib.domain.customer import Terms
from chalicelib.domain.payment import Attempt, Payment
from chalicelib.domain.pricing import RatedStep
from chalicelib.domain.proration import Granularity

_COLLECTED = re.compile(r"pay_[0-9a-z]{42}_[1-9][0-9]{0,3}")
"""An invoice's token and the attempt's number."""


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class CauseKind(StrEnum):
    CYCLE = "cycle"
    CHANGE = "change"
    USAGE = "usage"
    ONE_OFF = "one_off"
    INSTALMENT = "instalment"
    FINAL = "final"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why an invoice exists; with its subscription it is the invoice's identity.

    `reference`: the cycle's start as an ISO instant, a change's id, a threshold's number, …
    """

    kind: CauseKind
    reference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscountShare:
    """What one coupon took from one line, with enough of its terms to apply it again: `percent` (a decimal string)
    or `fixed` (minor units, on the whole invoice). `order` is its place among the invoice's coupons, from 1; a line
    that it counted in has a share even where that is 0.
    """

    coupon: str
    amount: int = 0
    order: int = 1
    percent: str | None = None
    fixed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reversal:
    """What a credit line gives back: a line as it was billed, and what was given back of it before (minor units).

    `net` is its amount after discounts (with tax that is included), `tax` its tax. `discounts`: what coupons of a fixed
    amount took from the part that is given back, by coupon.
    """

    invoice_id: str
    line_id: str
    net: int
    tax: int = 0
    credited: int = 0
    credited_tax: int = 0
    discounts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One explained line. Everything needed to recompute `amount`, `discount` and `tax` is on it.

    `amount` = round(Σ steps × numerator ÷ denominator) in minor units before discount; `net` = amount −
    discount (less included tax where `tax_inclusive`); `tax_rate` is a decimal string in percent. `minimum`: the
    line lifts what `steps` cost to this commitment, each side by its share of the period and rounded. `reversal`:
    the line gives back numerator ÷ denominator of what that says was billed.
    """

    id: str
    kind: str
    description: str
    product: str
    price_id: str
    model: str
    quantity: int
    steps: tuple[RatedStep, ...]
    numerator: int = 1
    denominator: int = 1
    period: Period | None = None
    amount: int = 0
    discount: int = 0
    tax_rate: str = "0"
    tax_inclusive: bool = False
    tax: int = 0
    unit: Granularity = Granularity.DAY
    """What numerator and denominator count."""
    discounts: tuple[DiscountShare, ...] = ()
    tax_note: str = ""
    """Why no tax is due: `reverse_charge` or `exempt`."""
    reversal: Reversal | None = None
    minimum: str | None = None
    included: int = 0
    """Units of `quantity` that cost nothing; the others are rounded up to whole `billing_unit`s and packages."""
    billing_unit: int = 1
    package_size: int = 1

    @property
    def is_credit(self) -> bool:
        """It gives back: coupons do not touch it, and its tax is that of what it reverses."""
        return self.reversal is not None or self.amount < 0

    @property
    def left(self) -> int:
        """The amount after discounts; tax that is included is in it."""
        return self.amount - self.discount

    @property
    def net(self) -> int:
        return self.amount - self.discount - (self.tax if self.tax_inclusive else 0)

    @property
    def total(self) -> int:
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class LineCredit:
    """What credit notes gave back of a line: with tax, and the tax in it (positive minor units)."""

    line_id: str
    total: int
    tax: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoice:
    """From `open` on, lines and totals never change. Amounts are minor units of `currency`.

    total = Σ line totals + credit_granted, so never negative: lines that give back more than the others charge turn
    the rest into account credit. amount_due = total − credit_applied + carried_in − carried_out, where the carried
    amounts move what is too small to charge to the next invoice. `collect_at` is when the next attempt (or look-up)
    falls due, None when nothing is to be collected automatically.
    """

    id: str
    customer_id: str
    subscription_id: str
    number: str
    sequence: int
    cause: Cause
    status: InvoiceStatus
    currency: str
    zone: str
    issued_at: datetime
    due_at: datetime
    terms: Terms
    seller: Party
    buyer: Party
    lines: tuple[Line, ...]
    period: Period | None = None
    total: int = 0
    tax: int = 0
    credit_applied: int = 0
    carried_in: int = 0
    carried_out: int = 0
    amount_paid: int = 0
    attempts: tuple[Attempt, ...] = ()
    payments: tuple[Payment, ...] = ()
    collect_at: datetime | None = None
    overdue_at: datetime | None = None
    """When it turns overdue; None once that was noted, or where it is charged automatically."""
    activates: bool = False
    """Its first payment starts the subscription; until then that is `incomplete`."""
    checkout_id: str | None = None
    credited: int = 0
    """What lowered the amount due: time that was not served and is given up, and credit notes."""
    credit_granted: int = 0
    """What its lines give back beyond what they charge: account credit."""
    line_credits: tuple[LineCredit, ...] = ()
    """What credit notes gave back, by line."""
    returned: int = 0
    """What credit notes gave back beyond lowering the amount due: as credit or as refunds."""
    lent: int = 0
    """What notes of later invoices gave back of its value: their lines had taken over what its lines had billed."""
    credits_used: tuple[GrantUse, ...] = ()
    """Prepaid credits that its lines of usage were taken from; their shares are among the lines' discounts."""
    arrears: Arrears | None = None
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    version: int = 0

    @property
    def amount_due(self) -> int:
        return self.total - self.credit_applied + self.carried_in - self.carried_out

    @property
    def amount_remaining(self) -> int:
        return self.amount_due - self.amount_paid - self.credited

    @property
    def amount_refunded(self) -> int:
        """What has gone back of its payments. It stays paid: a refund moves money, not what was owed."""
        return sum(payment.refunded for payment in self.payments)

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None


def invoice_id(subscription_id: str, cause: Cause) -> str:
    """The same subscription and cause always name the same invoice."""
    return ids.child_id("inv", ids.customer_of(subscription_id), subscription_id, cause.kind, cause.reference)


def cycle_cause(start: datetime) -> Cause:
    return Cause(kind=CauseKind.CYCLE, reference=start.isoformat())


def attempt_key(invoice: str, number: int) -> str:
    """The processor's idempotency key for this attempt: nothing ephemeral in it."""
    return f"charge:{invoice}:{number}"


def payment_id(invoice: str, number: int) -> str:
    """A payment born from an attempt: its invoice's id with the attempt's number, so no index is needed."""
    return f"pay_{invoice.partition('_')[2]}_{number}"


def is_collected(payment: str) -> bool:
    """Whether the payment was born from an attempt, by its id."""
    return _COLLECTED.fullmatch(payment) is not None


def invoice_of_payment(payment: str) -> str:
    """The invoice in whose item the payment lives."""
    return f"inv_{payment.partition('_')[2].partition('_')[0]}"
