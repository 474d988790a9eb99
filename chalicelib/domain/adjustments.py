"""From priced lines to the lines of an invoice: coupons, then tax. And the lines that give back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from chalicelib.domain.calendar import Period
from chalicelib.domain.credit_grant import CreditGrant, GrantUse
from chalicelib.domain.discount import Redemption, discounted
from chalicelib.domain.invoice import Line, Reversal
from chalicelib.domain.money import round_half_away
from chalicelib.domain.prepaid import draw
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import NO_TAX, TaxTerms, taxed


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjusted:
    """Final lines, the redemptions as they stand after them, and the prepaid credits used."""

    lines: tuple[Line, ...]
    redemptions: tuple[Redemption, ...] = ()
    uses: tuple[GrantUse, ...] = ()


def adjusted(
    lines: tuple[Line, ...],
    redemptions: tuple[Redemption, ...] = (),
    *,
    currency: str,
    period_start: datetime,
    tax: TaxTerms = NO_TAX,
    grants: tuple[CreditGrant, ...] = (),
) -> Adjusted:
    """The lines less the coupons in their order, each on what the one before left, then less prepaid credits, then
    with tax per rate.

    `period_start` is that of the billing period the invoice is for, also where it charges a part of it. Pure:
    run again with the same redemptions it spends the same.
    """
    if redemptions:
        less = discounted(lines, redemptions, currency=currency, period_start=period_start)
        lines, redemptions = less.lines, less.redemptions
    drawn = draw(lines, grants)
    return Adjusted(lines=taxed(drawn.lines, tax), redemptions=redemptions, uses=drawn.uses)


def credit_line(
    billed: Line,
    part: Parts,
    *,
    id_: str,
    invoice_id: str,
    description: str,
    period: Period | None = None,
    credited: int = 0,
    credited_tax: int = 0,
) -> Line:
    """The line that gives `part` of a billed line back, from its amount after discount, with its share of the tax.

    `invoice_id` is where it was billed; `credited` and `credited_tax` what was given back of it before (positive
    minor units). Never more than is left, and what takes the rest takes the rest of the tax: giving everything
    back, in however many parts, comes to exactly zero.
    """
    reversal = Reversal(
        invoice_id=invoice_id,
        line_id=billed.id,
        net=billed.left,
        tax=billed.tax,
        credited=credited,
        credited_tax=credited_tax,
        discounts=tuple(
            (share.coupon, round_half_away(share.amount * part.share))
            for share in billed.discounts
            if share.percent is None
        ),
    )
    amount, tax = given_back(reversal, part)
    return replace(
        billed,
        id=id_,
        kind="credit",
        description=description,
        steps=(),
        minimum=None,
        numerator=part.numerator,
        denominator=part.denominator,
        period=period,
        amount=amount,
        discount=0,
        discounts=(),
        tax=tax,
        reversal=reversal,
    )


def unused_part(billed: Line, left: Parts) -> Parts:
    """The part of a billed line that is unused when `left` of the full period is: 20 of 31 days left of a line
    for 27 of 31 are 20 of 27.
    """
    if left.denominator == billed.denominator:
        return Parts(left.numerator, billed.numerator)
    share = left.share / Parts(billed.numerator, billed.denominator).share
    return Parts(share.numerator, share.denominator)


def given_back(reversal: Reversal, part: Parts) -> tuple[int, int]:
    """(amount, tax), both zero or negative: what a reversal gives back for this part of what was billed."""
    rest, rest_tax = reversal.net - reversal.credited, reversal.tax - reversal.credited_tax
    amount = max(0, min(round_half_away(reversal.net * part.share), rest))
    if amount == rest:
        return -amount, -rest_tax
    tax = round_half_away(Fraction(reversal.tax * amount, reversal.net))
    return -amount, -min(tax, rest_tax)
