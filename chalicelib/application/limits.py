"""How often somebody may try what can test stolen cards: fixed windows of machine time, one write per attempt.

The counters of one name and hour are one document, which expires. A refused attempt adds nothing, so that
whoever waits gets through; a declined one of a visitor adds more than others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.application.ops import Ops
from chalicelib.domain.errors import RateLimitedError

_UNLIMITED = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a minute and in an hour; 0: as many as one likes."""

    per_minute: int
    per_hour: int

    @classmethod
    def of(cls, text: str) -> Rate:
        """From `6/20`."""
        minute, _, hour = text.partition("/")
        return cls(int(minute), int(hour))


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Attempts: `address`, of each network address without a secret key; `signup`, of each sign-up, whoever asks;
    `visitors`, of all without a secret key together. A declined one counts `declined_weight` times.

    `failures`: payments on request that fail, of each customer and with each card. `returns`: how often one
    payment page is asked about. `writes` and `key_writes`: anything written with a publishable key, by each
    address and with each key.
    """

    address: Rate = Rate(6, 20)
    signup: Rate = Rate(6, 20)
    visitors: Rate = Rate(60, 600)
    failures: Rate = Rate(6, 20)
    returns: Rate = Rate(20, 120)
    writes: Rate = Rate(60, 600)
    key_writes: Rate = Rate(1200, 24000)
    declined_weight: int = 3


def spend(ops: Ops, name: str, rate: Rate, *, at: datetime) -> None:
    """One attempt of `name` at machine time `at`. RateLimitedError, with the seconds to wait, beyond the rate."""
    minute, hour = f"m{at:%M}", "hour"
    allowed = {minute: rate.per_minute, hour: rate.per_hour}
    at_most = {window: most for window, most in allowed.items() if most != _UNLIMITED}
    if not at_most:
        return
    full = ops.take(
        _key(name), _hour(at), {minute: 1, hour: 1}, at_most=at_most, expires_at=at + timedelta(hours=2)
    )
    if full:
        start = at.replace(second=0, microsecond=0)
        end = start.replace(minute=0) + timedelta(hours=1) if hour in full else start + timedelta(minutes=1)
        raise RateLimitedError(
            "too many attempts",
            fix="wait as long as Retry-After says",
            retry_after=str(int((end - at).total_seconds()) + 1),
        )


def give_back(ops: Ops, name: str, rate: Rate, *, at: datetime) -> None:
    """What `spend` took at the same instant: it turned out not to count."""
    if rate.per_minute != _UNLIMITED or rate.per_hour != _UNLIMITED:
        _add(ops, name, -1, at)


def count_declined(ops: Ops, name: str, limits: Limits, *, at: datetime) -> None:
    """What a declined attempt counts beyond the one that was spent before it."""
    more = limits.declined_weight - 1
    if more:
        _add(ops, name, more, at)


def _add(ops: Ops, name: str, amount: int, at: datetime) -> None:
    amounts = {f"m{at:%M}": amount, "hour": amount}
    ops.take(_key(name), _hour(at), amounts, at_most={}, expires_at=at + timedelta(hours=2))


def _key(name: str) -> str:
    return f"limit#{name}"


def _hour(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H}"
