"""Credit notes: less is owed than an invoice said. Shapes, and what of an invoice's lines is left to give back.

An invoice never changes its lines or totals; it only remembers what notes gave back of each line, so that parts in
any number come to exactly the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from chalicelib.domain import ids
from chalicelib.domain.adjustments import given_back, unused_part
from chalicelib.domain.calendar import Period
from chalicelib.domain.customer import Account
from chalicelib.domain.invoice import Invoice, InvoiceStatus, Line, LineCredit, Reversal
from chalicelib.domain.money import allocate, round_half_away
from chalicelib.domain.prepaid import PURCHASE
from chalicelib.domain.proration import Granularity, Parts


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteLine:
    """What is given back of one line of the invoice, as positive minor units.

    `total` is with tax, `tax` and `discount` are its shares of the line's own; `before` is what had been given back
    of the line (with tax). Where it is for time that was not used, `numerator` of the `denominator` billed units.
    """

    line_id: str
    description: str
    total: int
    tax: int = 0
    discount: int = 0
    before: int = 0
    tax_rate: str = "0"
    tax_inclusive: bool = False
    numerator: int = 0
    denominator: int = 0
    unit: Granularity = Granularity.DAY
    period: Period | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditNote:
    """total = applied + credited + refunded: it lowered its invoice's amount due, the rest became account credit or
    goes back to whoever paid. A refund of it that fails becomes account credit. `number` is gapless per customer.
    """

    id: str
    customer_id: str
    subscription_id: str
    invoice_id: str
    number: str
    sequence: int
    currency: str
    at: datetime
    lines: tuple[NoteLine, ...]
    total: int
    tax: int = 0
    applied: int = 0
    credited: int = 0
    refunded: int = 0
    refunds: tuple[str, ...] = ()
    reason: str = ""
    request: str = ""
    """Fingerprint of the request that asked for it (idempotency stored with the effect)."""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """What of a line was not given back yet, with tax, and the tax in it."""

    total: int
    tax: int


def note_id(invoice_id: str, request: str) -> str:
    """The same request names the same note."""
    return ids.child_id("crn", ids.customer_of(invoice_id), invoice_id, request)


def note_number(account: Account) -> str:
    """Gapless per customer, counted apart from its invoices."""
    return f"{ids.token_of(account.customer_id)[:8].upper()}-CN-{account.credit_notes:04d}"


def left_by_line(invoice: Invoice, others: Iterable[Invoice]) -> dict[str, Left]:
    """What is left of each line that charges, after its notes and the lines of `others` that give it back (a change
    of plan credits what was billed before on an invoice of its own). Prepaid credits that were sold are money of the
    customer's: a note does not take them back.
    """
    charges = [line for line in invoice.lines if not line.is_credit and line.kind != PURCHASE]
    left = {line.id: Left(line.total, line.tax) for line in charges}
    for line_id, total, tax in (*_noted(invoice), *_reversed(invoice, others)):
        if line_id in left:
            left[line_id] = Left(left[line_id].total - total, left[line_id].tax - tax)
    return left


def reversed_total(invoice: Invoice, others: Iterable[Invoice]) -> int:
    """What lines of other invoices give back of this one, with tax."""
    return sum(total for _, total, _ in _reversed(invoice, others))


def part_of(line: Line, left: Left, total: int) -> NoteLine:
    """`total` minor units (with tax) of a line given back, with their share of its tax and discount.

    Parts take what the whole would: the tax of everything given back so far is rounded once, and what takes the rest
    takes the rest of the tax.
    """
    before, taxed_before = line.total - left.total, line.tax - left.tax
    tax = _share(line.tax, before + total, line.total) - taxed_before
    tax = (
        left.tax if total == left.total else max(left.tax + total - left.total, 0, min(tax, left.tax, total))
    )
    return NoteLine(
        line_id=line.id,
        description=line.description,
        total=total,
        tax=tax,
        discount=_share(line.discount, before + total, line.total)
        - _share(line.discount, before, line.total),
        before=before,
        tax_rate=line.tax_rate,
        tax_inclusive=line.tax_inclusive,
    )


def unused_of(line: Line, left: Left, unused: Parts) -> NoteLine:
    """What a billed line gives back for time that is not used: `unused` of the full period, from its amount after
    discount, with its share of the tax; never more than is left.
    """
    part = unused_part(line, unused)
    before, taxed_before = line.total - left.total, line.tax - left.tax
    reversal = Reversal(
        invoice_id="",
        line_id=line.id,
        net=line.left,
        tax=line.tax,
        credited=before if line.tax_inclusive else before - taxed_before,
        credited_tax=taxed_before,
    )
    amount, tax = given_back(reversal, part)
    total = -amount if line.tax_inclusive else -amount - tax
    return replace(
        part_of(line, left, total),
        tax=-tax,
        numerator=part.numerator,
        denominator=part.denominator,
        unit=line.unit,
        period=line.period,
    )


def spread(
    lines: Sequence[Line], left: Mapping[str, Left], amount: int, weights: Sequence[int] | None = None
) -> tuple[NoteLine, ...]:
    """`amount` (with tax) over the lines by largest remainder, in proportion to what is left of them or to `weights`
    (at most that); never more than those.
    """
    shares = allocate(amount, weights or [left[line.id].total for line in lines])
    return tuple(
        part_of(line, left[line.id], share) for line, share in zip(lines, shares, strict=True) if share
    )


def with_credits(invoice: Invoice, lines: Iterable[NoteLine]) -> tuple[LineCredit, ...]:
    """What notes gave back of each line of the invoice, with these."""
    known = {each.line_id: each for each in invoice.line_credits}
    for line in lines:
        old = known.get(line.line_id, LineCredit(line.line_id, 0))
        known[line.line_id] = LineCredit(line.line_id, old.total + line.total, old.tax + line.tax)
    return tuple(known.values())


def _noted(invoice: Invoice) -> Iterator[tuple[str, int, int]]:
    for each in invoice.line_credits:
        yield each.line_id, each.total, each.tax


def _reversed(invoice: Invoice, others: Iterable[Invoice]) -> Iterator[tuple[str, int, int]]:
    for other in others:
        if other.status is InvoiceStatus.VOID:
            continue
        for line in other.lines:
            if line.reversal is not None and line.reversal.invoice_id == invoice.id:
                yield line.reversal.line_id, -line.total, -line.tax


def _share(amount: int, part: int, whole: int) -> int:
    return round_half_away(Fraction(amount * part, whole)) if whole else 0
