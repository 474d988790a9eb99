"""What a quantity costs for one full period: exact, unrounded, with the steps that explain it.

The caller multiplies by the share of the period and rounds once per line. Amounts are decimal strings of
minor units, possibly finer than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from chalicelib.domain.errors import ValidationError
from chalicelib.domain.money import parse_unit_amount, round_half_away

_PERCENT: Final = 100


class PricingModel(StrEnum):
    FLAT = "flat"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"


_TIERED: Final = frozenset({PricingModel.GRADUATED, PricingModel.VOLUME})


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to and including `up_to` (None: no end), each at `unit_amount`, plus `flat_amount` once."""

    up_to: int | None
    unit_amount: str
    flat_amount: str = "0"


@dataclass(frozen=True, slots=True)
class Rate:
    """How a quantity becomes an amount. Checked when made: ValidationError names the path of what is wrong.

    `unit_amount`: flat — the amount, whatever the quantity; per_unit — of each unit; package — of each
    package of `package_size` units, begun ones count whole; percentage — the per cent of a quantity that is
    itself in minor units. Graduated and volume have `tiers` instead: ascending, the last one without end.
    `included` units are free and come off first; the rest is rounded up to whole `billing_unit`s.
    """

    model: PricingModel
    unit_amount: str | None = None
    tiers: tuple[Tier, ...] = ()
    package_size: int = 1
    billing_unit: int = 1
    included: int = 0

    def __post_init__(self) -> None:
        _check_whole(self.package_size, "package_size", least=1)
        _check_whole(self.billing_unit, "billing_unit", least=1)
        _check_whole(self.included, "included", least=0)
        if self.model in _TIERED:
            _check_tiers(self)
        else:
            _check_unit_amount(self)


@dataclass(frozen=True, slots=True)
class RatedStep:
    """`quantity` × `unit_amount` ÷ `per` + `flat_amount`: one tier's part, or the whole of a simple rate.

    `per` is 100 where `unit_amount` is a percentage, else 1. `up_to` is the tier's, None without tiers.
    """

    quantity: int
    unit_amount: str
    flat_amount: str = "0"
    per: int = 1
    up_to: int | None = None
    taken_off: bool = False
    """It was billed before: late usage costs what all of it costs, less this."""

    @property
    def amount(self) -> Fraction:
        """Exact minor units, recomputed from the inputs."""
        variable = self.quantity * parse_unit_amount(self.unit_amount) / self.per
        amount = variable + parse_unit_amount(self.flat_amount)
        return -amount if self.taken_off else amount

    @property
    def units(self) -> int:
        """What it counts of a line's quantity."""
        return -self.quantity if self.taken_off else self.quantity


@dataclass(frozen=True, slots=True)
class Rated:
    """The exact amount in minor units of one full period, always the sum of its steps."""

    amount: Fraction
    steps: tuple[RatedStep, ...]


def rate(rate: Rate, quantity: int) -> Rated:
    """What `quantity` costs for a full period, unrounded; a negative quantity raises ValidationError.

    At quantity zero the flat amount of the first tier is still due, as is a flat rate.
    """
    _check_whole(quantity, "quantity", least=0)
    steps = tuple(_STEPS[rate.model](rate, billable(quantity, rate.included, rate.billing_unit)))
    return Rated(sum((step.amount for step in steps), Fraction(0)), steps)


def true_up(minimum: Fraction | int, billed: Fraction | int) -> int:
    """What lifts `billed` to a committed `minimum`, in minor units: each side rounded, then subtracted.

    Both sides carry the same share of the period; zero when the minimum is reached.
    """
    return max(0, round_half_away(minimum) - round_half_away(billed))


def billable(quantity: int, included: int, billing_unit: int) -> int:
    """The units that cost something. The allowance comes off before rounding up: within it, nothing is charged."""
    beyond = max(0, quantity - included)
    return _ceil_div(beyond, billing_unit) * billing_unit


def stepped(model: str, units: int, package_size: int) -> int:
    """What the quantities of all steps add up to for so many billable units."""
    match model:
        case PricingModel.FLAT:
            return 1
        case PricingModel.PACKAGE:
            return _ceil_div(units, package_size)
    return units


def _flat(rate: Rate, _quantity: int) -> Iterator[RatedStep]:
    yield RatedStep(1, _unit_amount(rate))


def _per_unit(rate: Rate, quantity: int) -> Iterator[RatedStep]:
    yield RatedStep(quantity, _unit_amount(rate))


def _package(rate: Rate, quantity: int) -> Iterator[RatedStep]:
    yield RatedStep(_ceil_div(quantity, rate.package_size), _unit_amount(rate))


def _percentage(rate: Rate, quantity: int) -> Iterator[RatedStep]:
    yield RatedStep(quantity, _unit_amount(rate), per=_PERCENT)


def _graduated(rate: Rate, quantity: int) -> Iterator[RatedStep]:
    below = 0
    for tier in rate.tiers:
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        yield RatedStep(top - below, tier.unit_amount, tier.flat_amount, up_to=tier.up_to)
        below = top
        if below >= quantity:
            return


def _volume(rate: Rate, quantity: int) -> Iterator[RatedStep]:
    tier = next(tier for tier in rate.tiers if tier.up_to is None or quantity <= tier.up_to)
    yield RatedStep(quantity, tier.unit_amount, tier.flat_amount, up_to=tier.up_to)


_STEPS: Final[dict[PricingModel, Callable[[Rate, int], Iterator[RatedStep]]]] = {
    PricingModel.FLAT: _flat,
    PricingModel.PER_UNIT: _per_unit,
    PricingModel.PACKAGE: _package,
    PricingModel.PERCENTAGE: _percentage,
    PricingModel.GRADUATED: _graduated,
    PricingModel.VOLUME: _volume,
}


def _unit_amount(rate: Rate) -> str:
    assert rate.unit_amount is not None
    return rate.unit_amount


def _ceil_div(quantity: int, size: int) -> int:
    return -(-quantity // size)


def _check_whole(value: int, field: str, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValidationError(f"{field} is a whole number of at least {least}, not {value!r}", field=field)


def _check_unit_amount(rate: Rate) -> None:
    if rate.unit_amount is None:
        raise ValidationError(f"a {rate.model} rate needs a unit_amount", field="unit_amount")
    if rate.tiers:
        raise ValidationError(f"a {rate.model} rate has no tiers", field="tiers")
    parse_unit_amount(rate.unit_amount)


def _check_tiers(rate: Rate) -> None:
    if rate.unit_amount is not None:
        raise ValidationError(f"a {rate.model} rate has its amounts in tiers", field="unit_amount")
    if not rate.tiers:
        raise ValidationError(f"a {rate.model} rate needs tiers", field="tiers")
    below = 0
    for index, tier in enumerate(rate.tiers):
        path = f"tiers[{index}]"
        _check_amount(tier.unit_amount, f"{path}.unit_amount")
        _check_amount(tier.flat_amount, f"{path}.flat_amount")
        is_last = index == len(rate.tiers) - 1
        if is_last != (tier.up_to is None):
            raise ValidationError("the last tier, and only it, has no up_to", field=f"{path}.up_to")
        if tier.up_to is not None:
            _check_whole(tier.up_to, f"{path}.up_to", least=below + 1)
            below = tier.up_to


def _check_amount(text: str, path: str) -> None:
    try:
        parse_unit_amount(text)
    except ValidationError as error:
        raise ValidationError(error.message, field=path, fix=error.fix) from None
