"""What the metrics have counted of a subscription so far, kept with it: a step is written when this changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TrialOutcome(StrEnum):
    """What became of a trial that is over. `undecided`: it goes on, and its first payment has not come."""

    UNDECIDED = "undecided"
    PAID = "paid"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """`trial_mrr`: what a running trial would bring per month, None while there is none. `trial`: how one that is
    over was last counted; `is_paid` once the first invoice after it was paid. `is_free`: on a free plan.
    """

    trial_mrr: int | None = None
    trial: TrialOutcome | None = None
    is_paid: bool = False
    is_free: bool = False
