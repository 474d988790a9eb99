"""Pausing: nothing is served or billed until it is resumed, which begins a period of its own.

Paused at the end of a period nothing is given back; paused now, what is unused is credited where that is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.change import Direction
from chalicelib.domain.errors import InvalidStateError, ValidationError
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import subscription_data
from chalicelib.domain.subscription import PendingChange, Status, Subscription, require_transition


def require_pausable(subscription: Subscription) -> None:
    """InvalidStateError unless it is active in a paid period, and nothing else is to come for it."""
    if subscription.status is not Status.ACTIVE or subscription.dunning is not None:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} is not paused",
            fix="pay what is open first" if subscription.dunning is not None else None,
            subscription=subscription.id,
        )
    if subscription.period is None:
        raise InvalidStateError("nothing is billed that could be paused", subscription=subscription.id)
    if subscription.cancellation is not None or subscription.pending is not None:
        what = "a cancellation" if subscription.cancellation is not None else "a change"
        raise InvalidStateError(f"{what} is to come", fix="take it back first", subscription=subscription.id)


def pause(
    subscription: Subscription, at: datetime, change_id: str, *, now: datetime, resumes_at: datetime | None
) -> PendingChange:
    """The pause from `at`. ValidationError where it would end before it begins."""
    if resumes_at is not None and resumes_at <= max(at, now):
        raise ValidationError(
            f"it is paused until {at.isoformat()} at the earliest",
            field="resumes_at",
            fix="send a later instant",
        )
    return PendingChange(
        at=at,
        items=subscription.items,
        change_id=change_id,
        interval=subscription.interval,
        catalog_version=subscription.catalog_version,
        direction=str(Direction.PAUSE),
        resumes_at=resumes_at,
    )


def resumption(subscription: Subscription, at: datetime, change_id: str) -> PendingChange:
    """What it was before it was paused, from `at`. InvalidStateError for one that is not paused."""
    if subscription.status is not Status.PAUSED:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} is not resumed", subscription=subscription.id
        )
    return PendingChange(
        at=at,
        items=subscription.items,
        change_id=change_id,
        interval=subscription.interval,
        catalog_version=subscription.catalog_version,
        direction=str(Direction.RESUME),
    )


def paused(subscription: Subscription, change: PendingChange) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription without a period; where it is to end by itself, with that to come."""
    require_transition(subscription.id, subscription.status, Status.PAUSED)
    resting = replace(
        subscription, status=Status.PAUSED, period=None, pending=None, changes=(change.change_id,)
    )
    if change.resumes_at is not None:
        coming = resumption(resting, change.resumes_at, f"{change.change_id}r")
        resting = replace(resting, pending=coming)
    resumes_at = change.resumes_at.isoformat() if change.resumes_at else None
    data = {**subscription_data(resting), "change": change.change_id, "resumes_at": resumes_at}
    return resting, (Fact("subscription.paused", resting.id, data),)


def is_pause(change: PendingChange) -> bool:
    return change.direction == Direction.PAUSE
