"""Prepaid credits: shapes. How they are drawn down is in `prepaid.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditGrant:
    """Minor units of `currency` that usage is taken from, given or bought; `balance` is what is left of `amount`.

    The lowest `priority` is drawn first, then what expires first. `deferred`: what was paid for what is left, without
    tax. One that was bought with the invoice `invoice_id` `waits` until that is paid, looked at again at `look_at`.
    """

    id: str
    currency: str
    amount: int
    balance: int
    at: datetime
    name: str = ""
    priority: int = 0
    expires_at: datetime | None = None
    deferred: int = 0
    invoice_id: str | None = None
    waits: bool = False
    look_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether anything may be drawn from it."""
        return not self.waits and self.balance > 0 and not self.has_expired(now)

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, kw_only=True, slots=True)
class TopUp:
    """When the balance in `currency` falls below `below`, `amount` is bought for `price` (minor units both) with the
    terms of a subscription: once per crossing, and at most `most_per_month` times a calendar month (UTC).

    `due_at`: it has fallen and nothing is bought yet. `count` numbers all of them, `bought` those of `month`.
    """

    currency: str
    below: int
    amount: int
    price: int
    subscription_id: str
    most_per_month: int
    due_at: datetime | None = None
    count: int = 0
    month: str = ""
    bought: int = 0


@dataclass(frozen=True, slots=True)
class GrantUse:
    """What an invoice drew from a grant, and what of it had been paid for."""

    grant_id: str
    amount: int
    released: int = 0
