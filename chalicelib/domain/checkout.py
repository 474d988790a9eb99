"""Checkout sessions (one hosted payment page) and sign-up sessions (the cart before it)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.calendar import Interval


class CheckoutStatus(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class CheckoutMode(StrEnum):
    """PAYMENT when something is due now, SETUP when only a card is to be saved."""

    PAYMENT = "payment"
    SETUP = "setup"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckoutSession:
    """One hosted page for one incomplete subscription.

    `reference` and `url` are the processor's, None until it has been told; `expires_at` is machine time at the
    processor (pages run on the real clock); `release_at` business time, when it is given up. `trial_days` is the
    trial that saving a card starts (reserved for it); `refund` the payment that came too late and was returned.
    """

    id: str
    customer_id: str
    subscription_id: str
    mode: CheckoutMode
    success_url: str
    cancel_url: str
    created_at: datetime
    expires_at: datetime
    release_at: datetime
    invoice_id: str | None = None
    status: CheckoutStatus = CheckoutStatus.OPEN
    reference: str | None = None
    url: str | None = None
    language: str = "en"
    trial_days: int | None = None
    refund: str | None = None
    completed_at: datetime | None = None
    request: str = ""
    version: int = 0


class SignupStatus(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    ROUTED_TO_SALES = "routed_to_sales"
    ABANDONED = "abandoned"


@dataclass(frozen=True, kw_only=True, slots=True)
class SignupSession:
    """A cart over several steps; nothing is created from it before `complete`.

    `customer_id` is the id the new customer will have. `add_ons` are (id, quantity) pairs; `trial` None takes the
    plan's trial, False declines it. `outcome` names what completing led to.
    """

    id: str
    customer_id: str
    created_at: datetime
    updated_at: datetime
    abandon_at: datetime
    status: SignupStatus = SignupStatus.OPEN
    email: str = ""
    name: str = ""
    company: str = ""
    company_size: int | None = None
    country: str = ""
    language: str = "en"
    zone: str = "UTC"
    currency: str | None = None
    plan: str | None = None
    interval: Interval | None = None
    quantity: int = 1
    add_ons: tuple[tuple[str, int], ...] = ()
    trial: bool | None = None
    success_url: str = ""
    cancel_url: str = ""
    coupon: str = ""
    wants_demo: bool = False
    note: str = ""
    outcome: str = ""
    subscription_id: str | None = None
    checkout_id: str | None = None
    lead_id: str | None = None
    completed_at: datetime | None = None
    state: str = ""
    tax_id: str = ""
    request: str = ""
    version: int = 0
