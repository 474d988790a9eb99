"""What must be true of an installation once it is quiet, whatever it went through.

Every check counts for itself, from records, journal, processor and mail; what a formula of the domain says is
recomputed here by other means where that is possible. A check yields sentences; none means that it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.invariants.coupons import coupons
from tests.simulation.invariants.invoices import invoices
from tests.simulation.invariants.metrics import metrics
from tests.simulation.invariants.money import charges, disputes, expected, money, one_cycle_invoice
from tests.simulation.invariants.once import erased, index, trials
from tests.simulation.invariants.periods import periods
from tests.simulation.invariants.published import mails, published, reported
from tests.simulation.invariants.quiet import quiet_hours
from tests.simulation.invariants.recurring import mrr
from tests.simulation.invariants.standing import access, nothing_left
from tests.simulation.world import World

CHECKS: tuple[Callable[[World], Iterator[str]], ...] = (
    one_cycle_invoice, money, disputes, charges, expected, invoices, periods, mrr, metrics, published, mails,
    quiet_hours, nothing_left, reported, access, trials, erased, index, coupons,
)  # fmt: skip


def check(world: World) -> list[str]:
    """Every sentence of every check."""
    return [f"{each.__name__}: {text}" for each in CHECKS for text in each(world)]
