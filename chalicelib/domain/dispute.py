"""Disputed payments: shapes. What a dispute does to the books is in `disputing.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DisputeStatus(StrEnum):
    """Where a dispute stands. An inquiry is a bank's question: no money has moved, and mostly none will."""

    INQUIRY = "inquiry"
    INQUIRY_CLOSED = "inquiry_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


_OPEN = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW)
_PENDING = (*_OPEN, DisputeStatus.INQUIRY)


@dataclass(frozen=True, kw_only=True, slots=True)
class DisputeState:
    """What the processor says of a dispute now.

    `amount` is what the customer's bank claims and `withdrawn` what it holds of ours at this moment, in minor units
    of `currency`; `fee` is what the processor has kept for it so far, in minor units of the currency that it
    settles in. `evidence_due_at` is the processor's time, whatever clock a sandbox has.
    """

    reference: str
    status: DisputeStatus
    amount: int
    currency: str
    reason: str = ""
    withdrawn: int = 0
    fee: int = 0
    fee_currency: str = ""
    evidence_due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispute:
    """A dispute as it was last looked up and booked. It lives in the payment that it is about."""

    state: DisputeState
    opened_at: datetime
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it stops automatic charging: an inquiry does not."""
        return self.state.status in _OPEN

    @property
    def is_pending(self) -> bool:
        """Whether its outcome is still to come, an inquiry's too."""
        return self.state.status in _PENDING

    @property
    def lost(self) -> int:
        """What is gone for good."""
        return self.state.withdrawn if self.state.status is DisputeStatus.LOST else 0

    @property
    def contested(self) -> int:
        """What cannot be refunded, because the bank gives it back or may."""
        return self.state.amount if self.is_open or self.state.status is DisputeStatus.LOST else 0
