"""Payments and the attempts to collect them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.dispute import Dispute

KEY_LIFETIME = timedelta(hours=20)
"""How long a processor's idempotency key is trusted; older attempts are looked up, never replayed."""
CANCELED = "canceled"
"""The code of a payment that was given up at the processor: no money can come from it any more."""


@dataclass(frozen=True, slots=True)
class Instants:
    """Business time for what is seen, machine time for leases and keys."""

    business: datetime
    machine: datetime


class DeclineKind(StrEnum):
    """What a decline asks for: try again later, stop, or the customer's own hand."""

    SOFT = "soft"
    HARD = "hard"
    NEEDS_CUSTOMER = "needs_customer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decline:
    """A definite no. `code` is the processor's decline code, `message` is fit for the customer."""

    kind: DeclineKind
    code: str
    message: str = ""


class Outcome(StrEnum):
    """How a charge ended. UNKNOWN is neither paid nor declined: only a look-up settles it. REQUIRES_ACTION: the
    bank wants the customer's own confirmation of this very payment, which stays open for it.
    """

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    DECLINED = "declined"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChargeResult:
    """What the processor says of one charge.

    `reference` is its payment's id, `charged` the minor units (of the invoice's currency) that it really moved
    (differs from the asked amount only where the processor counts otherwise).
    """

    outcome: Outcome
    reference: str | None = None
    charge: str | None = None
    charged: int = 0
    method: PaymentMethod | None = None
    decline: Decline | None = None

    @property
    def is_canceled(self) -> bool:
        return self.outcome is Outcome.DECLINED and self.decline is not None and self.decline.code == CANCELED


class AttemptStatus(StrEnum):
    IN_FLIGHT = "in_flight"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    CANCELED = "canceled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try to collect an invoice, written down before the processor is called.

    `key` is the processor's idempotency key: a function of invoice and number. `at` is business time;
    `written_at` (machine time) is when the key was first used, which decides between replay and look-up;
    `not_before` (machine time) holds back the next look at an unknown outcome; `tries` counts those looks, and
    how often the customer began to confirm one that waits for them.
    `method` and `amount` are frozen: every repetition sends the same parameters.
    """

    number: int
    key: str
    amount: int
    at: datetime
    written_at: datetime
    processor_customer: str
    method: str
    status: AttemptStatus = AttemptStatus.IN_FLIGHT
    reference: str | None = None
    charge: str | None = None
    decline: Decline | None = None
    settled_at: datetime | None = None
    not_before: datetime | None = None
    tries: int = 0
    over_limit: bool = False
    """Its card had been tried too often: the processor is never asked."""

    @property
    def is_open(self) -> bool:
        """Whether money may still come from it. While it is open no other begins."""
        return self.status in (
            AttemptStatus.IN_FLIGHT,
            AttemptStatus.PROCESSING,
            AttemptStatus.REQUIRES_ACTION,
        )

    @property
    def awaits_customer(self) -> bool:
        """Whether it is neither paid nor declined until its customer confirms it, or it is cancelled."""
        return self.status is AttemptStatus.REQUIRES_ACTION

    def key_expired(self, machine_now: datetime) -> bool:
        return machine_now - self.written_at > KEY_LIFETIME


@dataclass(frozen=True, slots=True)
class Allocation:
    """Part of a payment that pays an invoice, in minor units of the payment's currency."""

    invoice_id: str
    amount: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """Money received: a card charge, a debit, a transfer or a cheque, allocated wholly or partly.

    A payment born from one invoice's attempt is stored inside that invoice's item; its id says so. One that was
    recorded by hand is a record of its own, and every invoice that it pays holds its share under the same id.
    `amount` = allocations + `credited`, what was paid over and became account credit. Of it `refunded` has gone
    back, `refunding` is on its way; `refunds` counts those begun. Of these `noted` and `noting` are what credit notes
    account for.
    """

    id: str
    customer_id: str
    amount: int
    currency: str
    at: datetime
    kind: str
    allocations: tuple[Allocation, ...]
    reference: str | None = None
    charge: str | None = None
    method: PaymentMethod | None = None
    refunded: int = 0
    credited: int = 0
    request: str = ""
    """Fingerprint of the request that recorded it (idempotency stored with the effect)."""
    refunding: int = 0
    refunds: int = 0
    disputes: tuple[Dispute, ...] = ()
    noted: int = 0
    noting: int = 0
    version: int = 0

    @property
    def contested(self) -> int:
        """What the customer's bank has claimed back, or has got: it is not refunded besides."""
        return sum(dispute.contested for dispute in self.disputes)
