"""What a month's movements of MRR say: where it ended, and how much of it was kept and grown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from chalicelib.domain.journal import MovementKind
from chalicelib.domain.money import round_half_away

WHOLE = 10_000
"""In basis points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """One month of one currency: `opening` plus `movements` (signed) is `closing`; minor units per month."""

    opening: int = 0
    movements: Mapping[MovementKind, int] = field(default_factory=dict)

    @property
    def net_new(self) -> int:
        return sum(self.movements.values())

    @property
    def closing(self) -> int:
        return self.opening + self.net_new

    @property
    def net_revenue_retention(self) -> int | None:
        """(opening + expansion − contraction − churn) ÷ opening in basis points; None where there was nothing.

        New customers and those who come back are in neither retention.
        """
        return basis_points(self._kept + self._moved(MovementKind.EXPANSION), self.opening)

    @property
    def gross_revenue_retention(self) -> int | None:
        """The same without expansion."""
        return basis_points(self._kept, self.opening)

    @property
    def _kept(self) -> int:
        return self.opening + self._moved(MovementKind.CONTRACTION) + self._moved(MovementKind.CHURN)

    def _moved(self, kind: MovementKind) -> int:
        return self.movements.get(kind, 0)


def basis_points(part: int, whole: int) -> int | None:
    """`part` of `whole`, rounded half away from zero; None where there is no whole."""
    return round_half_away(Fraction(part * WHOLE, whole)) if whole else None
