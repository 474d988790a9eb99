"""Tax on the lines of an invoice, per rate on the rounded net of the charges, spread over their lines.

Which rate applies follows from where the buyer is. A line that gives back keeps its own tax: the share of the tax
that the reversed line had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Final

from chalicelib.domain.invoice import Line
from chalicelib.domain.money import allocate, parse_percent, round_half_away
from chalicelib.domain.tax_ids import is_tax_id_of
from chalicelib.domain.tax_rates import TaxRule

NO_RATE: Final = "0"


class TaxNote(StrEnum):
    """Why no tax is due where a rate would apply."""

    NONE = ""
    REVERSE_CHARGE = "reverse_charge"
    EXEMPT = "exempt"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaxTerms:
    """How one buyer's lines are taxed: by the first rule for their product, not at all without one."""

    rules: tuple[TaxRule, ...] = ()
    note: TaxNote = TaxNote.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class TaxSum:
    """One rate on the whole invoice, lines that give back included; `base` is before tax, `note` why none is due."""

    rate: str
    inclusive: bool
    note: str
    base: int
    tax: int


NO_TAX: Final = TaxTerms()


def tax_terms(
    rules: Iterable[TaxRule],
    *,
    country: str,
    region: str = "",
    tax_ids: Sequence[str] = (),
    seller_country: str = "",
    exempt: bool = False,
    reverse: bool = False,
) -> TaxTerms:
    """What applies to a buyer: the rules of the region before those of its country, for products before for all.

    A reverse charge needs a rule that has it and a tax id that is written as the buyer's country writes its own;
    with `reverse` the seller says that it applies, whatever is sold.
    """
    region = region_code(region, country)
    own = sorted(
        (rule for rule in rules if rule.country == country and rule.region in ("", region)),
        key=lambda rule: (rule.region == "", not rule.products),
    )
    if not own:
        return NO_TAX
    if exempt:
        return TaxTerms(rules=tuple(own), note=TaxNote.EXEMPT)
    if reverse:
        own = [replace(rule, reverse_charge=True) for rule in own]
        return TaxTerms(rules=tuple(own), note=TaxNote.REVERSE_CHARGE)
    abroad = country != seller_country and any(is_tax_id_of(country, tax_id) for tax_id in tax_ids)
    reversed_ = abroad and any(rule.reverse_charge for rule in own)
    return TaxTerms(rules=tuple(own), note=TaxNote.REVERSE_CHARGE if reversed_ else TaxNote.NONE)


def region_code(text: str, country: str) -> str:
    """A state as ISO 3166-2 writes it after the country: `ca` and `US-CA` are CA."""
    return text.strip().upper().removeprefix(f"{country}-")


def taxed(lines: Sequence[Line], terms: TaxTerms) -> tuple[Line, ...]:
    """The lines, discounts already taken, with their rates and their tax."""
    if not terms.rules:
        return tuple(lines)
    rated = [line if line.is_credit else _rated(line, terms) for line in lines]
    due = tax_of(rated)
    return tuple(
        line if line.is_credit else replace(line, tax=tax) for line, tax in zip(rated, due, strict=True)
    )


def tax_of(lines: Sequence[Line]) -> tuple[int, ...]:
    """The tax of each line in minor units, from the rates that the lines carry; 0 for lines that give back."""
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        if not line.is_credit:
            groups[line.tax_rate, line.tax_inclusive].append(index)
    due = [0] * len(lines)
    for (rate, inclusive), members in groups.items():
        bases = [lines[index].left for index in members]
        tax = tax_on(sum(bases), rate, inclusive=inclusive)
        for index, share in zip(members, allocate(tax, bases), strict=True):
            due[index] = share
    return tuple(due)


def tax_on(base: int, rate: str, *, inclusive: bool) -> int:
    """The tax on `base` minor units: added to it, or contained in it; rounded once."""
    share = parse_percent(rate, field="rate")
    return round_half_away(base * (share / (1 + share) if inclusive else Fraction(share)))


def tax_sums(lines: Sequence[Line]) -> tuple[TaxSum, ...]:
    """One for each rate and reason that the lines have."""
    sums: dict[tuple[str, bool, str], TaxSum] = {}
    for line in lines:
        key = (line.tax_rate, line.tax_inclusive, line.tax_note)
        so_far = sums.get(key) or TaxSum(rate=key[0], inclusive=key[1], note=key[2], base=0, tax=0)
        sums[key] = replace(so_far, base=so_far.base + line.net, tax=so_far.tax + line.tax)
    return tuple(each for each in sums.values() if each.tax or each.note or each.rate != "0")


def _rated(line: Line, terms: TaxTerms) -> Line:
    rule = next((rule for rule in terms.rules if not rule.products or line.product in rule.products), None)
    if rule is None:
        return line
    if terms.note is TaxNote.EXEMPT or (terms.note and rule.reverse_charge):
        return replace(line, tax_rate=NO_RATE, tax_note=str(terms.note))
    return replace(line, tax_rate=rule.rate, tax_inclusive=rule.inclusive)
