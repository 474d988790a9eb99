"""How arrears are collected: data of the catalog, one for all plans and others for some.

A policy is frozen into a dunning run when it starts, so that publishing another one moves no run under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from chalicelib.domain.calendar import add_days, at_hour, local_day, local_hour

DEFAULT_NAME: Final = "default"
"""How reports call the catalog's own policy."""


class HardDecline(StrEnum):
    """What a definite refusal of the card does: wait for the last day (a new card is tried at once), or end now."""

    LAST_DAY = "last_day"
    END = "end"


class EndState(StrEnum):
    """What becomes of the subscription when the last attempt fails."""

    CANCEL = "cancel"
    UNPAID = "unpaid"
    FREE_PLAN = "free_plan"


class StageMail(StrEnum):
    """The letter after a failed attempt that is not the last: how it sounds, or none at all."""

    NONE = "none"
    REMINDER = "reminder"
    URGENT = "urgent"
    FINAL = "final"


@dataclass(frozen=True, kw_only=True, slots=True)
class DunningPolicy:
    """`days`: attempts counted from the first failure, the first of them 0. `quiet_from`, `quiet_until`: hours of the
    customer's day (0–23) in which nothing is tried or mailed; equal means none. `grace_days`: access is kept so
    long after the first failure, None for the whole run. `free_plan` names the plan of END FREE_PLAN.

    `mails`: the letter after each failed attempt but the last, in the order of `days`; empty for a reminder after
    each. `end_mail`: whether the end is written about; `grace_mail`: whether the end of the grace is.
    `attempts_per_card`: how often one card is tried without success in 30 days (see `card_limit`).
    `access_while_disputed`: whether a customer who disputes a payment keeps what they have until that is decided.
    """

    days: tuple[int, ...] = (0, 2, 7, 14, 21)
    hard_decline: HardDecline = HardDecline.LAST_DAY
    quiet_from: int = 0
    quiet_until: int = 0
    grace_days: int | None = None
    end: EndState = EndState.CANCEL
    free_plan: str | None = None
    mails: tuple[StageMail, ...] = ()
    end_mail: bool = True
    grace_mail: bool = False
    attempts_per_card: int = 15
    access_while_disputed: bool = True

    @property
    def last_step(self) -> int:
        return len(self.days) - 1

    def attempt_at(self, started_at: datetime, step: int, zone: str) -> datetime:
        """When this step is tried: so many days after the first failure, outside of quiet hours."""
        return self.awake(add_days(started_at, self.days[step], zone), zone)

    def awake(self, instant: datetime, zone: str) -> datetime:
        """The instant, or the end of the quiet hours that it falls into."""
        if not self._is_quiet(local_hour(instant, zone)):
            return instant
        day = local_day(instant, zone)
        if local_hour(instant, zone) >= self.quiet_until:
            day += timedelta(days=1)
        return at_hour(day, self.quiet_until, zone)

    def next_step(self, started_at: datetime, now: datetime, zone: str) -> int:
        """The first step whose time has not come, or the last."""
        coming = (s for s in range(len(self.days)) if self.attempt_at(started_at, s, zone) > now)
        return next(coming, self.last_step)

    def mail_after(self, started_at: datetime, now: datetime, zone: str, *, skips: bool) -> StageMail:
        """The letter of the last day that has come, whether it was tried then or between the days. A decline that
        `skips` to the last day takes the last letter before the end: no other will follow.
        """
        come = [s for s in range(len(self.days)) if self.attempt_at(started_at, s, zone) <= now]
        stage = len(self.mails) - 1 if skips else min(len(come), len(self.mails)) - 1
        return self.mails[max(stage, 0)] if self.mails else StageMail.REMINDER

    def grace_until(self, started_at: datetime, zone: str) -> datetime | None:
        return None if self.grace_days is None else add_days(started_at, self.grace_days, zone)

    def _is_quiet(self, hour: int) -> bool:
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= hour < self.quiet_until
        return hour >= self.quiet_from or hour < self.quiet_until
