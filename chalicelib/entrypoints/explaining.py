"""One sentence per invoice line, made of its own inputs: what, how much of it, when, and the sum to do again.

"Pro × 4, 11 of 31 days, 21–31 Aug: 11 ÷ 31 × 4 × €29.00". Words are English; amounts, numbers and dates are
written as the language has them, dates in the invoice's zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from chalicelib.domain.calendar import Period
from chalicelib.domain.invoice import Invoice, Line
from chalicelib.domain.pricing import PricingModel, RatedStep
from chalicelib.entrypoints.formatting import format_amount, format_days, format_number

_MOMENT: Final = timedelta(microseconds=1)
_NOTHING: Final = "0"


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the lines of invoices in one currency and zone, for one language."""

    currency: str
    zone: str
    language: str

    @classmethod
    def of(cls, invoice: Invoice, language: str) -> Writer:
        return cls(invoice.currency, invoice.zone, language)

    def sentence(self, line: Line) -> str:
        when = f", {self.days(line.period)}" if line.period is not None else ""
        return f"{line.description}{when}: {self._sum(line)}"

    def money(self, amount: int | str) -> str:
        return format_amount(str(amount), self.currency, self.language)

    def days(self, period: Period, *, with_year: bool = False) -> str:
        """First and last day; the instant at which a period ends is not in it."""
        zone = ZoneInfo(self.zone)
        first, last = (at.astimezone(zone).date() for at in (period.start, period.end - _MOMENT))
        return format_days(first, max(first, last), self.language, with_year=with_year)

    def _sum(self, line: Line) -> str:
        share = self._share(line)
        if line.reversal is not None:
            return self._credit(line, share)
        billed = self._billed(line)
        if share and len(line.steps) > 1:
            billed = f"({billed})"
        if line.minimum is None:
            return share + billed
        return f"{share}{self.money(line.minimum)} − {share}{billed}"

    def _credit(self, line: Line, share: str) -> str:
        assert line.reversal is not None
        given = f"−{share}{self.money(line.reversal.net)}"
        if not line.reversal.credited:
            return given
        left = line.reversal.net - line.reversal.credited
        return f"{given}, of which {self.money(left)} were left"

    def _share(self, line: Line) -> str:
        if line.numerator == line.denominator:
            return ""
        return f"{self._number(line.numerator)} ÷ {self._number(line.denominator)} × "

    def _billed(self, line: Line) -> str:
        first, *others = line.steps
        signed = (f" {'−' if step.taken_off else '+'} {self._step(step, line)}" for step in others)
        return self._step(first, line) + "".join(signed)

    def _step(self, step: RatedStep, line: Line) -> str:
        if step.per != 1:
            return f"{step.unit_amount} % × {self.money(step.quantity)}"
        if not step.quantity and step.unit_amount == _NOTHING and line.model != PricingModel.FLAT:
            return self.money(step.flat_amount)
        price = self.money(step.unit_amount)
        if line.model == PricingModel.PACKAGE:
            packages = "package" if step.quantity == 1 else "packages"
            price = f"{self._number(step.quantity)} {packages} of {self._number(line.package_size)} × {price}"
        elif step.quantity != 1 or step.up_to is not None:
            price = f"{self._number(step.quantity)} × {price}"
        return price if step.flat_amount == _NOTHING else f"{price} + {self.money(step.flat_amount)}"

    def _number(self, number: int) -> str:
        return format_number(number, self.language)
