"""Coupons: data, when one may be redeemed, and what it takes from the lines of an invoice.

Several apply in the order in which they were redeemed, each to what the one before has left. Each is rounded once
per invoice and spread over the lines by largest remainder, so its shares add up to what it took. Lines that give
back are never touched: a credit is made from what was billed after discounts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from chalicelib.domain.calendar import Interval
from chalicelib.domain.currencies import exponent
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.invoice import DiscountShare, Line
from chalicelib.domain.money import allocate, parse_percent, round_half_away


class Duration(StrEnum):
    ONCE = "once"
    REPEATING = "repeating"
    FOREVER = "forever"


@dataclass(frozen=True, kw_only=True, slots=True)
class Coupon:
    """`percent` (a decimal string, above 0 to 100) or `amount` in minor units of `currency`, per invoice.

    `periods` with `repeating`, counted from the first paid one. Redeemed from `valid_from` until before
    `valid_until`, by at most `max_redemptions`, where `plans` is not empty for these only (and then it counts for
    their lines alone), where `first_time` only by customers who never paid. ValidationError names what is wrong.
    """

    id: str
    name: str = ""
    percent: str | None = None
    amount: int | None = None
    currency: str | None = None
    duration: Duration = Duration.ONCE
    periods: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    max_redemptions: int | None = None
    plans: tuple[str, ...] = ()
    first_time: bool = False

    def __post_init__(self) -> None:
        _check_value(self)
        _check_limits(self)

    def covers(self, product: str) -> bool:
        """Whether it counts for the lines of this plan or add-on."""
        return not self.plans or product in self.plans


@dataclass(frozen=True, kw_only=True, slots=True)
class Redemption:
    """A coupon on a subscription, with its terms as they were when it was redeemed.

    `uses` counts the periods that it was spent on, `spent_on` is the start of the last one.
    """

    coupon: Coupon
    at: datetime
    uses: int = 0
    spent_on: datetime | None = None

    @property
    def is_used_up(self) -> bool:
        match self.coupon.duration:
            case Duration.ONCE:
                return self.uses >= 1
            case Duration.REPEATING:
                return self.uses >= (self.coupon.periods or 0)
            case Duration.FOREVER:
                return False

    @property
    def periods_left(self) -> int | None:
        """How many more periods it will be spent on; None: as long as the subscription runs."""
        match self.coupon.duration:
            case Duration.ONCE:
                return max(0, 1 - self.uses)
            case Duration.REPEATING:
                return max(0, (self.coupon.periods or 0) - self.uses)
            case Duration.FOREVER:
                return None

    def lowers(self, period_start: datetime | None) -> bool:
        """Whether it is a recurring discount of the period that began then, or of a later one."""
        if self.coupon.duration is Duration.ONCE:
            return False
        return not self.is_used_up or (period_start is not None and self.spent_on == period_start)


@dataclass(frozen=True, kw_only=True, slots=True)
class Discounted:
    """The lines with their discounts, and the redemptions as they stand after it."""

    lines: tuple[Line, ...]
    redemptions: tuple[Redemption, ...]


def require_redeemable(
    coupon: Coupon, *, plan: str, currency: str, now: datetime, redeemed: int, has_paid: bool
) -> None:
    """InvalidStateError unless somebody may redeem the coupon now; `redeemed` counts its redemptions so far.

    Those who redeem at once are counted again where the redemption is stored.
    """
    refusals = (
        (coupon.valid_from is not None and now < coupon.valid_from, "is not valid yet"),
        (coupon.valid_until is not None and now >= coupon.valid_until, "is not valid any more"),
        (coupon.max_redemptions is not None and redeemed >= coupon.max_redemptions, "is used up"),
        (bool(coupon.plans) and plan not in coupon.plans, f"is not for the plan {plan}"),
        (coupon.currency not in (None, currency), f"is in {coupon.currency}, not in {currency}"),
        (coupon.first_time and has_paid, "is for new customers"),
    )
    for refused, why in refusals:
        if refused:
            raise InvalidStateError(f"the coupon {coupon.id} {why}", field="coupon", coupon=coupon.id)


def discounted(
    lines: Sequence[Line], redemptions: Iterable[Redemption], *, currency: str, period_start: datetime
) -> Discounted:
    """The lines of an invoice in `currency` for the period from `period_start`, less the coupons.

    A coupon for which nothing is left is not spent. On a second invoice of a period it was spent on, a fixed
    amount does not apply again, beyond what lines that give back had of it; a percentage does. Neither uses another
    period up.
    """
    found, after = tuple(lines), []
    back = Counter[str]()
    for line in lines:
        if line.reversal is not None:
            back.update(dict(line.reversal.discounts))
    applied = 0
    for redemption in redemptions:
        again = redemption.spent_on == period_start
        coupon = redemption.coupon
        counts = again or not redemption.is_used_up
        fixed = back[coupon.id] if again else coupon.amount or 0
        taken = _applied(found, coupon, applied + 1, currency, fixed=fixed) if counts else None
        if taken is not None:
            found, applied = taken, applied + 1
            if not again:
                redemption = replace(redemption, uses=redemption.uses + 1, spent_on=period_start)
        after.append(redemption)
    return Discounted(lines=found, redemptions=tuple(after))


def kept_on_change(redemptions: Iterable[Redemption], old: Interval, new: Interval) -> tuple[Redemption, ...]:
    """What stays of the redemptions when the interval changes, which begins a period: those with periods left, but
    repeating ones end when it becomes longer.
    """
    longer = new.is_longer_than(old)
    return tuple(
        each
        for each in redemptions
        if not each.is_used_up and not (longer and each.coupon.duration is Duration.REPEATING)
    )


def recurring_left(
    parts: Sequence[tuple[str, Fraction]],
    redemptions: Iterable[Redemption],
    *,
    currency: str,
    per_year: Fraction,
) -> Fraction:
    """What recurring amounts, as (product, amount per year), come to after recurring discounts; unrounded.

    `per_year` is how many invoices there are, each of which a fixed amount is taken from.
    """
    left = list(parts)
    for coupon in (redemption.coupon for redemption in redemptions):
        if coupon.currency not in (None, currency):
            continue
        base = sum((amount for product, amount in left if coupon.covers(product)), Fraction(0))
        if not base:
            continue
        off = base * parse_percent(coupon.percent) if coupon.percent else (coupon.amount or 0) * per_year
        kept = 1 - min(off, base) / base
        left = [(name, amount * kept if coupon.covers(name) else amount) for name, amount in left]
    return sum((amount for _, amount in left), Fraction(0))


def taken_by(share: DiscountShare, base: int) -> int:
    """What the coupon of this share takes from `base` minor units, never more than that."""
    if share.percent is None:
        return min(share.fixed, base)
    return round_half_away(base * parse_percent(share.percent))


def _applied(
    lines: tuple[Line, ...], coupon: Coupon, order: int, currency: str, *, fixed: int
) -> tuple[Line, ...] | None:
    """The lines after the coupon, or (without a percentage) after the `fixed` amount; None where it takes nothing."""
    if coupon.currency not in (None, currency):
        return None
    bases = [_base(line, coupon) for line in lines]
    fixed = fixed if coupon.percent is None else 0
    share = DiscountShare(coupon=coupon.id, order=order, percent=coupon.percent, fixed=fixed)
    taken = taken_by(share, sum(bases))
    if not taken:
        return None
    shares = allocate(taken, bases)
    return tuple(
        _less(line, replace(share, amount=amount)) if base else line
        for line, base, amount in zip(lines, bases, shares, strict=True)
    )


def _base(line: Line, coupon: Coupon) -> int:
    if line.is_credit or not coupon.covers(line.product):
        return 0
    return line.left


def _less(line: Line, share: DiscountShare) -> Line:
    return replace(line, discount=line.discount + share.amount, discounts=(*line.discounts, share))


def _check_value(coupon: Coupon) -> None:
    if (coupon.percent is None) == (coupon.amount is None):
        raise ValidationError("a coupon has a percent or an amount", field="percent", fix="send one of them")
    if coupon.percent is not None:
        if not parse_percent(coupon.percent):
            raise ValidationError("a coupon takes more than nothing", field="percent")
        if coupon.currency is not None:
            raise ValidationError("a percentage has no currency", field="currency", fix="leave it out")
        return
    if coupon.amount is None or coupon.amount < 1:
        raise ValidationError("a coupon takes more than nothing", field="amount", fix="send 1 or more")
    exponent(coupon.currency or "")  # raises the explanation


def _check_limits(coupon: Coupon) -> None:
    if (coupon.duration is Duration.REPEATING) != (coupon.periods is not None):
        raise ValidationError("periods go with the duration repeating, and it needs them", field="periods")
    for name, value in (("periods", coupon.periods), ("max_redemptions", coupon.max_redemptions)):
        if value is not None and value < 1:
            raise ValidationError(f"{name} is at least 1", field=name, fix="send 1 or more, or leave it out")
    if coupon.valid_from and coupon.valid_until and coupon.valid_until <= coupon.valid_from:
        raise ValidationError("a coupon ends after it begins", field="valid_until")
