"""The metrics of each month of a span, from the months' sums: what stood at first, what moved, what stands at last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.application.metrics_report import NOTHING, MetricsMonth, Sum
from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.journal import FunnelKind, MovementKind
from chalicelib.domain.retention import Flow, basis_points

Reasons = dict[tuple[str, str], Sum]
"""Kind and reason → sum."""
_IN = (MovementKind.NEW, MovementKind.REACTIVATION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """At an instant: paying subscriptions and their MRR, trials that run and what they would bring, free plans."""

    mrr: int = 0
    subscriptions: int = 0
    trial_mrr: int = 0
    trials: int = 0
    free: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """One month, of one currency and one motion or all."""

    month: str
    opening: Standing
    reasons: Mapping[tuple[str, str], Sum]

    @property
    def flow(self) -> Flow:
        return Flow(opening=self.opening.mrr, movements={kind: self.of(kind)[0] for kind in MovementKind})

    @property
    def closing(self) -> Standing:
        running, free = self.of(FunnelKind.TRIAL), self.of(FunnelKind.FREE)
        came, left = sum(self.of(kind)[1] for kind in _IN), self.of(MovementKind.CHURN)[1]
        return Standing(
            mrr=self.flow.closing,
            subscriptions=self.opening.subscriptions + came - left,
            trial_mrr=self.opening.trial_mrr + running[0],
            trials=self.opening.trials + running[1],
            free=self.opening.free + free[1],
        )

    @property
    def trial_to_paid(self) -> int | None:
        """Of the trials that ended in the month and are decided, those that were paid, in basis points."""
        paid, lost = self.ended(TrialOutcome.PAID), self.ended(TrialOutcome.LOST)
        return basis_points(paid, paid + lost)

    @property
    def free_to_paid(self) -> int | None:
        """Of those who were on a free plan in the month, those who went on to a paid one, in basis points."""
        return basis_points(self.free("paid"), self.opening.free + self.free("started"))

    def of(self, kind: str) -> Sum:
        found = [sums for (each, _), sums in self.reasons.items() if each == kind]
        return sum(amount for amount, _ in found), sum(count for _, count in found)

    def ended(self, outcome: TrialOutcome) -> int:
        """Trials that ended in the month with this outcome so far."""
        return self.reasons.get((FunnelKind.TRIAL_ENDED, outcome), NOTHING)[1]

    def free(self, step: str) -> int:
        """Subscriptions that took this step on to or off a free plan."""
        return abs(self.reasons.get((FunnelKind.FREE, step), NOTHING)[1])


def months_between(first: str, last: str) -> Iterator[str]:
    """Their names from first to last, both included."""
    for number in range(_number(first), _number(last) + 1):
        yield _named(number)


def month_before(month: str, months: int) -> str:
    return _named(max(0, _number(month) - months))


def how_many(first: str, last: str) -> int:
    return _number(last) - _number(first) + 1


def currencies(months: Iterable[MetricsMonth]) -> list[str]:
    return sorted({currency for month in months for currency, *_ in month.cells})


def motions(months: Iterable[MetricsMonth], currency: str) -> list[str]:
    return sorted({cell[1] for month in months for cell in month.cells if cell[0] == currency})


def figures(
    months: Sequence[MetricsMonth], first: str, last: str, *, currency: str, motion: str | None = None
) -> list[Figures]:
    """Each month from first to last. `months` are all that counted anything up to the last one, oldest first."""
    found, standing = {month.name: month for month in months}, Standing()
    answer: list[Figures] = []
    names = [name for name in found if name < first]
    for name in (*names, *months_between(first, last)):
        month = found.get(name, MetricsMonth(name))
        figure = Figures(name, standing, _reasons(month, currency, motion))
        standing = figure.closing
        if name >= first:
            answer.append(figure)
    return answer


def _reasons(month: MetricsMonth, currency: str, motion: str | None) -> Reasons:
    found: Reasons = {}
    for (each, of, kind, reason), (amount, count) in month.cells.items():
        if each == currency and motion in (None, of):
            before = found.get((kind, reason), NOTHING)
            found[kind, reason] = (before[0] + amount, before[1] + count)
    return found


def _named(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def _number(month: str) -> int:
    year, _, number = month.partition("-")
    return int(year) * 12 + int(number) - 1
