"""An invoice computed once more, from nothing but the inputs that its lines carry.

Line: its steps times its share of the period, rounded once; what gives back, from what was billed. Then coupons in
their order, tax per rate, credit and what is carried. Where the outcome is not what the invoice says, each
difference is a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from chalicelib.domain.adjustments import given_back
from chalicelib.domain.discount import taken_by
from chalicelib.domain.invoice import DiscountShare, Invoice, Line
from chalicelib.domain.money import allocate, parse_unit_amount, round_half_away
from chalicelib.domain.pricing import billable, stepped, true_up
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import TaxSum, tax_of, tax_sums


@dataclass(frozen=True, kw_only=True, slots=True)
class CouponUse:
    """A coupon on the whole invoice: it took `amount` of `base` minor units, the `order`th to apply."""

    share: DiscountShare
    base: int
    amount: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """The recomputed lines and sums; `differences` is empty where the invoice says the same."""

    lines: tuple[Line, ...]
    coupons: tuple[CouponUse, ...]
    taxes: tuple[TaxSum, ...]
    total: int
    tax: int
    amount_due: int
    differences: tuple[str, ...]


def explain(invoice: Invoice) -> Explanation:
    """Recompute the invoice. Never fails on what it finds: it says it."""
    lines, coupons = _discounted(tuple(replace(line, amount=amount_of(line)) for line in invoice.lines))
    lines = _taxed(lines)
    total = sum(line.total for line in lines) + invoice.credit_granted
    explained = Explanation(
        lines=lines,
        coupons=coupons,
        taxes=tax_sums(lines),
        total=total,
        tax=sum(line.tax for line in lines),
        amount_due=total - invoice.credit_applied + invoice.carried_in - invoice.carried_out,
        differences=(),
    )
    return replace(explained, differences=tuple(_differences(invoice, explained)))


def check(invoice: Invoice) -> list[str]:
    """What of an invoice does not follow from its lines; empty where all of it does."""
    return list(explain(invoice).differences)


def amount_of(line: Line) -> int:
    """The line's amount in minor units before discount, from its inputs."""
    parts = Parts(line.numerator, line.denominator)
    if line.reversal is not None:
        return given_back(line.reversal, parts)[0]
    billed = sum((step.amount for step in line.steps), Fraction(0)) * parts.share
    if line.minimum is not None:
        return true_up(parse_unit_amount(line.minimum) * parts.share, billed)
    return round_half_away(billed)


def _discounted(lines: tuple[Line, ...]) -> tuple[tuple[Line, ...], tuple[CouponUse, ...]]:
    lefts = [line.amount for line in lines]
    taken: list[list[DiscountShare]] = [[] for _ in lines]
    uses = []
    for order in sorted({share.order for line in lines for share in line.discounts}):
        shares = [next((each for each in line.discounts if each.order == order), None) for line in lines]
        bases = [left if share else 0 for left, share in zip(lefts, shares, strict=True)]
        terms = next(share for share in shares if share)
        use = CouponUse(share=terms, base=sum(bases), amount=taken_by(terms, sum(bases)))
        for index, amount in enumerate(allocate(use.amount, bases)):
            share = shares[index]
            lefts[index] -= amount
            if share is not None:
                taken[index].append(replace(share, amount=amount))
        uses.append(use)
    found = (
        replace(line, discount=line.amount - left, discounts=tuple(discounts))
        for line, left, discounts in zip(lines, lefts, taken, strict=True)
    )
    return tuple(found), tuple(uses)


def _taxed(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    charged = zip(lines, tax_of(lines), strict=True)
    return tuple(replace(line, tax=_returned_tax(line) if line.is_credit else tax) for line, tax in charged)


def _returned_tax(line: Line) -> int:
    if line.reversal is None:
        return 0
    return given_back(line.reversal, Parts(line.numerator, line.denominator))[1]


def _differences(invoice: Invoice, found: Explanation) -> Iterator[str]:
    for line, again in zip(invoice.lines, found.lines, strict=True):
        units = stepped(
            line.model, billable(line.quantity, line.included, line.billing_unit), line.package_size
        )
        if any(step.taken_off for step in line.steps):  # what was billed before is off the quantity too
            units = line.quantity
        if line.reversal is None and units != sum(step.units for step in line.steps):
            yield f"line {line.id} has steps for another quantity than {line.quantity}"
        for name in ("amount", "discount", "discounts", "tax"):
            said, follows = getattr(line, name), getattr(again, name)
            if said != follows:
                yield f"line {line.id} says {name} {said}, its inputs give {follows}"
    before_credit = found.total + invoice.carried_in
    sums = (
        ("total", invoice.total, found.total),
        ("tax", invoice.tax, found.tax),
        ("amount_due", invoice.amount_due, found.amount_due),
        (
            "carried_out",
            invoice.carried_out,
            min(invoice.carried_out, before_credit - invoice.credit_applied),
        ),
        ("credit_applied", invoice.credit_applied, max(0, min(invoice.credit_applied, before_credit))),
        ("credit_granted", invoice.credit_granted, max(0, invoice.credit_granted - found.total)),
    )
    for name, stated, given in sums:
        if stated != given:
            yield f"the invoice says {name} {stated}, its lines give {given}"
    if found.total < 0 or invoice.amount_due < 0:
        yield f"the invoice comes to less than nothing: {found.total}, due {invoice.amount_due}"
