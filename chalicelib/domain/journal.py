"""The journal: one entry per committed decision, in the same transaction as its effect.

An entry is at once the audit log, the source of events and mail, the ledger (its postings) and the
metrics' rows (its MRR movements). It is never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib.domain import ids


class LedgerAccount(StrEnum):
    RECEIVABLE = "receivable"
    CASH = "cash"
    CUSTOMER_CREDIT = "customer_credit"
    REVENUE = "revenue"
    TAX = "tax"
    BAD_DEBT = "bad_debt"
    PROCESSOR_FEES = "processor_fees"
    ROUNDING = "rounding"


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of a booking: debit positive, credit negative, in minor units."""

    account: LedgerAccount
    amount: int
    currency: str


class MovementKind(StrEnum):
    NEW = "new"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    CHURN = "churn"
    REACTIVATION = "reactivation"


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of a subscription's monthly recurring revenue, signed, in minor units per month.

    `motion` is the channel that the subscription was sold through; `reason` a code: why it left, or where new revenue
    came from (`trial`, `free`).
    """

    kind: MovementKind
    subscription_id: str
    amount: int
    currency: str
    cause: str
    motion: str = "self_serve"
    reason: str = ""


class FunnelKind(StrEnum):
    TRIAL = "trial"
    TRIAL_ENDED = "trial_ended"
    TRIAL_DECIDED = "trial_decided"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """A step of a subscription that brings no revenue yet.

    `trial`: `count` more trials run, and what they would bring per month changes by `amount`. `trial_ended`: one was
    over at `trial_ended_at`, with this `outcome`; `trial_decided`: one that was over, and undecided, has its outcome.
    `free`: on to a free plan (`started`), or off it (`paid`, `ended`).
    """

    kind: FunnelKind
    subscription_id: str
    currency: str
    outcome: str = ""
    amount: int = 0
    count: int = 0
    motion: str = "self_serve"
    trial_ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened, past tense, named as the public event is (`invoice.paid`).

    `subject` is the id of the thing it happened to; `data` holds what a reader of the event needs
    (JSON values only: ids, minor units, ISO instants).
    """

    type: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)


class ActorKind(StrEnum):
    API = "api"
    CUSTOMER = "customer"
    PROCESSOR = "processor"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who decided: the API key, the customer on a hosted page, the payment processor, or the clock."""

    kind: ActorKind
    id: str = ""


CLOCK = Actor(ActorKind.CLOCK)
PROCESSOR = Actor(ActorKind.PROCESSOR)


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalEntry:
    """`at` is business time; `cause` names the decision (`cycle:…`, `settle:inv_…:1`) and with it the id.

    Postings must balance per currency: an entry that does not cannot be made.
    """

    id: str
    customer_id: str
    at: datetime
    actor: Actor
    cause: str
    facts: tuple[Fact, ...]
    channel: str = "self_serve"
    postings: tuple[Posting, ...] = ()
    movements: tuple[Movement, ...] = ()
    funnel: tuple[FunnelStep, ...] = ()
    schema: int = 1
    version: int = 0

    def __post_init__(self) -> None:
        totals: Counter[str] = Counter()
        for posting in self.postings:
            totals[posting.currency] += posting.amount
        if any(totals.values()):
            raise AssertionError(f"unbalanced postings in {self.cause}: {dict(totals)}")


def entry(
    customer_id: str,
    *,
    at: datetime,
    actor: Actor,
    cause: str,
    facts: tuple[Fact, ...],
    channel: str = "self_serve",
    postings: tuple[Posting, ...] = (),
    movements: tuple[Movement, ...] = (),
    funnel: tuple[FunnelStep, ...] = (),
) -> JournalEntry:
    """A journal entry whose id follows from its cause, so that one decision has one entry."""
    return JournalEntry(
        id=ids.child_id("evt", customer_id, cause),
        customer_id=customer_id,
        at=at,
        actor=actor,
        cause=cause,
        facts=facts,
        channel=channel,
        postings=tuple(posting for posting in postings if posting.amount),
        movements=movements,
        funnel=funnel,
    )
