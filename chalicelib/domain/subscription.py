"""Subscriptions: shapes, and the status machine in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from chalicelib.domain.calendar import Interval, Period
from chalicelib.domain.catalog import Price, TrialEnd
from chalicelib.domain.counted import Counted
from chalicelib.domain.customer import Terms
from chalicelib.domain.discount import Redemption
from chalicelib.domain.dunning_policy import DEFAULT_NAME, DunningPolicy
from chalicelib.domain.errors import InvalidStateError


class Status(StrEnum):
    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


# The whole life of a subscription: from each status, the ones that may follow and what leads there.
TRANSITIONS: dict[Status, dict[Status, str]] = {
    Status.INCOMPLETE: {
        Status.ACTIVE: "first payment received",
        Status.TRIALING: "card saved for the trial",
        Status.INCOMPLETE_EXPIRED: "not paid in time, or abandoned",
        Status.CANCELED: "reactivation not paid in time",
    },
    Status.INCOMPLETE_EXPIRED: {},
    Status.TRIALING: {
        Status.ACTIVE: "trial ended with a payment method, or fell back to a free plan",
        Status.PAST_DUE: "first payment after the trial declined",
        Status.CANCELED: "trial lapsed, or cancelled",
    },
    Status.ACTIVE: {
        Status.PAST_DUE: "payment declined",
        Status.PAUSED: "paused",
        Status.CANCELED: "cancelled",
    },
    Status.PAST_DUE: {
        Status.ACTIVE: "paid, or fell back to a free plan",
        Status.UNPAID: "dunning ended, kept",
        Status.CANCELED: "dunning ended, or cancelled",
    },
    Status.UNPAID: {Status.ACTIVE: "paid", Status.CANCELED: "cancelled"},
    Status.PAUSED: {Status.ACTIVE: "resumed", Status.CANCELED: "cancelled"},
    Status.CANCELED: {Status.ACTIVE: "reactivated", Status.INCOMPLETE: "reactivated, first payment awaited"},
}

ENTITLED = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE})
RUNNING = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE, Status.UNPAID, Status.PAUSED})


def require_transition(subscription_id: str, old: Status, new: Status) -> None:
    """InvalidStateError unless the table above allows `old` → `new` (staying is always allowed)."""
    if old is not new and new not in TRANSITIONS[old]:
        raise InvalidStateError(
            f"a subscription that is {old} cannot become {new}", subscription=subscription_id
        )


class ItemKind(StrEnum):
    PLAN = "plan"
    ADD_ON = "add_on"
    METERED = "metered"
    """The usage of a plan or add-on on one meter: nobody chooses a quantity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A frozen price times a quantity, from `starts_at` until `ends_at` (None: as long as it runs).

    `source` is `catalog` or a negotiation's id; `name` is how lines call it. Free plans have no price.
    """

    id: str
    kind: ItemKind
    product: str
    name: str
    quantity: int = 1
    price: Price | None = None
    source: str = "catalog"
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A stretch of a ramp: from this cycle on, counted from the first that is paid, these items are in force."""

    from_cycle: int
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """Evergreen when `ends_at` is None; otherwise a contract that ends or renews for `months`."""

    ends_at: datetime | None = None
    auto_renew: bool = True
    months: int = 0


class Billing(StrEnum):
    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """`reminded` holds the days-before (3, 1, 0) whose reminder was sent, `extensions` the requests that moved
    the end.
    """

    started_at: datetime
    ends_at: datetime
    on_end: TrialEnd
    fall_back_plan: str | None = None
    reminded: tuple[int, ...] = ()
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancellation:
    """Asked for at `requested_at`, takes effect at `at`; `reason` is the customer's or `payment_failed`, …"""

    requested_at: datetime
    at: datetime
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingChange:
    """A change that waits for `at`: what will be in force then, None as the interval of a free plan.

    `invoice_id`: it waits for this invoice to be paid, and is given up at `at`. `prorate` False: at an instant within
    a period nothing is charged or credited for the rest of it. `adds` are the coupons redeemed with it, given back
    where it does not come about; `redemptions` all there will be, as they stand after the invoice that it waits for.
    """

    at: datetime
    items: tuple[Item, ...]
    change_id: str
    interval: Interval | None = None
    catalog_version: int = 0
    direction: str = ""
    prorate: bool = True
    invoice_id: str | None = None
    adds: tuple[Redemption, ...] = ()
    redemptions: tuple[Redemption, ...] = ()
    resumes_at: datetime | None = None
    """Of a pause to come: when it ends by itself, None where somebody has to end it."""
    anchor: datetime | None = None
    """Periods count from here when it has come about; the first one is the time until the next boundary."""
    is_large: bool = False
    """It raises the recurring revenue by so much that sales are told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """A one-off charge: `quantity` times `unit_amount`, a decimal string of minor units."""

    id: str
    description: str
    unit_amount: str
    at: datetime
    quantity: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DunningRun:
    """Collecting after a decline: the step days count from `started_at`; oldest invoice first.

    `step` is the next scheduled try of the policy that was in force at the start. `next_at` None: the run waits for
    an outcome or for the customer, not for the clock. `grace_until`: how long access is kept, None to the end;
    `grace_ended` once its end was noted.
    """

    started_at: datetime
    invoices: tuple[str, ...]
    step: int = 0
    next_at: datetime | None = None
    policy: DunningPolicy = DunningPolicy()
    policy_name: str = DEFAULT_NAME
    grace_until: datetime | None = None
    grace_ended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldLetter:
    """A letter about arrears that waits until `at`, the end of quiet hours: the fact that it is about."""

    at: datetime
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """One record for both ways of selling. Zone and anchor are frozen at the start.

    `cycle` is the number k of the current period: [boundary k, boundary k+1) from `anchor`; `period` is None
    on a free plan and before a trial has ended. `mrr` is the amount last posted by a movement. `release_at` is
    when an unpaid `incomplete` one is given up. What it next wants, and when, is derived in `schedule.py`.
    """

    id: str
    customer_id: str
    payer_id: str
    status: Status
    currency: str
    catalog_version: int
    items: tuple[Item, ...]
    zone: str
    anchor: datetime
    created_at: datetime
    interval: Interval | None = None
    billing: Billing = Billing.ANNIVERSARY
    cycle: int = 0
    period: Period | None = None
    phases: tuple[Phase, ...] = ()
    term: Term = Term()
    terms: Terms = Terms()
    channel: str = "self_serve"
    trial: Trial | None = None
    cancellation: Cancellation | None = None
    pending: PendingChange | None = None
    charges: tuple[Charge, ...] = ()
    """What waits for the next invoice."""
    changes: tuple[str, ...] = ()
    """Ids of the changes within the present period, in their order."""
    dunning: DunningRun | None = None
    release_at: datetime | None = None
    win_back_at: datetime | None = None
    """When one that has ended is asked back, once; None after that, and where nobody is asked."""
    letter: HeldLetter | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    redemptions: tuple[Redemption, ...] = ()
    """Coupons, in the order in which they apply."""
    mrr: int = 0
    had_revenue: bool = False
    """It was paid for before: what comes after an end is a reactivation."""
    counted: Counted = Counted()
    request: str = ""
    """Fingerprint of the request that created it (idempotency stored with the effect)."""
    version: int = 0

    @property
    def plan(self) -> Item:
        """The base plan's item: the first."""
        return self.items[0]

    @property
    def usage_grace(self) -> timedelta:
        """How long after a period its renewal waits for usage that is reported late."""
        minutes = (item.price.grace_minutes for item in self.items if item.price is not None)
        return timedelta(minutes=max(minutes, default=0))

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING
