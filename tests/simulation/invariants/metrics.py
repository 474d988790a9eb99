"""The MRR report: opening plus movements is closing, what stands is what is sold, and each movement is listed once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from chalicelib.application import metrics_report
from chalicelib.application.metrics_figures import Figures, currencies, figures
from chalicelib.application.metrics_report import MetricsMonth
from chalicelib.application.metrics_rows import read_movements, read_trials
from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import MovementKind
from chalicelib.domain.subscription import Status, Subscription
from tests.simulation.world import World

PAGE = 1000


def metrics(world: World) -> Iterator[str]:
    months = metrics_report.read_months(world.ops, LIVE, until="9999-12")
    if months != metrics_report.recount(world.store, LIVE):
        yield "the metrics are not the journal's sums"
        return
    sold = defaultdict(list)
    for subscription in world.records(Subscription):
        sold[subscription.currency].append(subscription)
    for currency in sorted({*currencies(months), *sold}):
        first, last = (months[0].name, months[-1].name) if months else ("2026-01", "2026-01")
        found = figures(months, first, last, currency=currency)
        for before, after in pairwise(found):
            if before.closing != after.opening:
                yield f"{currency} does not open {after.month} as it closed {before.month}"
        yield from (f"{currency} {figure.month}: {text}" for figure in found for text in _adds_up(figure))
        yield from _stands(found[-1], sold[currency], currency)
    yield from _rows(world, months)
    yield from _trials(world)
    yield from _undecided(world)


def _adds_up(figure: Figures) -> Iterator[str]:
    moved = sum(sums[0] for (kind, _), sums in figure.reasons.items() if kind in list(MovementKind))
    if figure.opening.mrr + moved != figure.closing.mrr:
        yield f"{figure.opening.mrr} and {moved} are not {figure.closing.mrr}"
    if min(figure.closing.trials, figure.closing.free, figure.closing.subscriptions) < 0:
        yield f"fewer than none: {figure.closing}"


def _stands(last: Figures, sold: list[Subscription], currency: str) -> Iterator[str]:
    """The last month's closing, against the subscriptions as they are."""
    running = [each for each in sold if each.status is Status.TRIALING]
    free = [each for each in sold if each.status is Status.ACTIVE and each.plan.price is None]
    closing = last.closing
    for what, said, is_ in (
        ("MRR", closing.mrr, sum(each.mrr for each in sold)),
        ("paying", closing.subscriptions, sum(1 for each in sold if each.mrr)),
        ("in a trial", closing.trials, len(running)),
        ("on a free plan", closing.free, len(free)),
    ):
        if said != is_:
            yield f"{currency}, {what}: the report says {said}, the subscriptions {is_}"


def _rows(world: World, months: list[MetricsMonth]) -> Iterator[str]:
    wanted = Counter((entry.id, each.amount) for entry in world.journal() for each in entry.movements)
    found: Counter[tuple[str, int]] = Counter()
    for month in months:
        rows, _ = read_movements(world.ops, LIVE, month.name, wanted=lambda row: True, limit=PAGE)
        found.update((row.entry_id, row.amount) for row in rows)
    if found != wanted:
        yield f"movements listed wrongly: {(wanted - found) + (found - wanted)}"


def _trials(world: World) -> Iterator[str]:
    """Each trial that is over is listed once, and counted for what its subscription says became of it."""
    over = Counter(
        f"{each.id} {each.counted.trial}"
        for each in world.records(Subscription)
        if each.counted.trial is not None
    )
    known = {each.id: each.counted.trial for each in world.records(Subscription)}
    months = metrics_report.read_months(world.ops, LIVE, until="9999-12")
    listed: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for month in months:
        rows, _ = read_trials(world.ops, LIVE, month.name, wanted=lambda row: True, limit=PAGE)
        listed.update(f"{row.subscription_id} {known[row.subscription_id]}" for row in rows)
        for (_, _, kind, outcome), (_, count) in month.cells.items():
            if kind == "trial_ended":
                counted[outcome] += count
    if listed != over:
        yield f"trials listed wrongly: {(over - listed) + (listed - over)}"
    if +counted != Counter(text.partition(" ")[2] for text in over.elements()):
        yield f"trials counted wrongly: {dict(counted)}"


def _undecided(world: World) -> Iterator[str]:
    """A trial that waits for its first payment has none."""
    waiting = {
        each.id for each in world.records(Subscription) if each.counted.trial is TrialOutcome.UNDECIDED
    }
    for invoice in world.records(Invoice):
        paid = invoice.status is InvoiceStatus.PAID and invoice.total
        if paid and invoice.subscription_id in waiting:
            yield f"{invoice.id} is paid, and the trial of {invoice.subscription_id} is undecided"
