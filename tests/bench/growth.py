"""What a renewal costs when there are a hundred times as many subscriptions."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.adapters.dynamo.meter import metered
from chalicelib.application import renewals
from tests.bench.cpu import worked
from tests.bench.crowd import fill
from tests.bench.world import Bench

SMALL, LARGE = 1_000, 100_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one renewal: units, and milliseconds of CPU in the worker."""

    write_units: float
    read_units: float
    cpu: float


def growth(bench: Bench, small: int = SMALL, large: int = LARGE) -> tuple[Cost, Cost]:
    """The same renewals among `small` and among `large` subscriptions, all in one table."""
    original = bench.subscribe(bench.customer())
    fill(bench, original, small)
    before = _cost(bench)
    fill(bench, original, large)
    return before, _cost(bench)


def _cost(bench: Bench, number: int = 20, rounds: int = 10) -> Cost:
    counted = bench.subscribers(number)
    batches = [bench.subscribers(number) for _ in range(rounds)]
    bench.a_month_on()
    with metered(bench.services.store) as usage:
        for subscription in counted:
            renewals.renew_subscription(bench.ctx(), subscription.id)
    cpu = min(worked(bench, [bench.due_row(each) for each in batch]) for batch in batches)
    return Cost(usage.write_units / number, float(usage.read_units) / number, cpu)
