"""The domain's formulas again, by other means."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def step_amount(step: Any) -> Fraction:
    return step.quantity * Fraction(step.unit_amount) / step.per + Fraction(step.flat_amount)


def rounded(exact: Fraction) -> int:
    """Half away from zero."""
    whole, rest = divmod(abs(exact.numerator), exact.denominator)
    size = whole + (2 * rest >= exact.denominator)
    return size if exact >= 0 else -size
