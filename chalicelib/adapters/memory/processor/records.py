"""What the processor in memory holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalicelib.application.ports import (
    ChargeRequest,
    CheckoutPage,
    CheckoutRequest,
    CheckoutState,
    RefundRequest,
)
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.dispute import DisputeState
from chalicelib.domain.payment import ChargeResult
from chalicelib.domain.refund import RefundResult


@dataclass(slots=True)
class Charged:
    """A payment as the processor holds it; `amount` is what it really moves, in our minor units."""

    reference: str
    request: ChargeRequest | CheckoutRequest
    customer: str
    currency: str
    amount: int
    result: ChargeResult
    refunded: int = 0
    asked: str | None = None
    """Where the bank asks its customer, and they come back to: after `confirm_charge`, until `settle`."""
    disputes: dict[str, DisputeState] = field(default_factory=dict)


@dataclass(slots=True)
class Refunded:
    """A refund as the processor holds it; `request` None: made in its dashboard."""

    reference: str
    payment: Charged
    amount: int
    result: RefundResult
    request: RefundRequest | None = None


@dataclass(slots=True)
class HostedPage:
    request: CheckoutRequest
    page: CheckoutPage
    state: CheckoutState
    payment: Charged | None = None


@dataclass(slots=True)
class SavedMethod:
    owner: str
    method: PaymentMethod
    behaviour: str


@dataclass(slots=True)
class Answered:
    params: Any
    answer: Any
