"""A change of a subscription on its way: planned, waiting for its payment, given up, or noted as in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.change import Direction, Target
from chalicelib.domain.changing import in_force
from chalicelib.domain.discount import Redemption
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import subscription_data
from chalicelib.domain.metrics import recurring
from chalicelib.domain.redeeming import differences
from chalicelib.domain.subscription import PendingChange, Subscription

PAYABLE_FOR = timedelta(hours=23)
"""How long a change waits for its payment; never beyond the end of the period."""
LOOK_AGAIN = timedelta(days=1)
"""When a payment that could not be called off is asked about again, and a change that was held up is tried again."""


def pending_change(
    target: Target,
    at: datetime,
    change_id: str,
    *,
    prorate: bool = True,
    is_large: bool = False,
    anchor: datetime | None = None,
) -> PendingChange:
    return PendingChange(
        at=at,
        items=target.items,
        change_id=change_id,
        interval=target.interval,
        catalog_version=target.catalog_version,
        direction=str(target.direction),
        prorate=prorate,
        is_large=is_large,
        anchor=anchor,
    )


def scheduled(subscription: Subscription, change: PendingChange) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription with a change to come, in place of one that was to come before."""
    waiting = replace(subscription, pending=change)
    data = {**_data(waiting, change), "at": change.at.isoformat()}
    return waiting, (Fact("subscription.change_scheduled", subscription.id, data),)


def revoked(subscription: Subscription) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription without the change that was to come. InvalidStateError where there is none."""
    if subscription.pending is None:
        raise InvalidStateError("there is no pending change", subscription=subscription.id)
    data = _data(subscription, subscription.pending)
    kept = replace(subscription, pending=None)
    return kept, (Fact("subscription.change_revoked", subscription.id, data),)


def awaiting_payment(
    subscription: Subscription,
    change: PendingChange,
    invoice: Invoice,
    now: datetime,
    redemptions: tuple[Redemption, ...] = (),
) -> Subscription:
    """The subscription as it was, with the change that comes into force once the invoice is paid, and the coupons
    as they stand then.
    """
    until = now + PAYABLE_FOR
    if subscription.period is not None:
        until = min(until, subscription.period.end)
    waiting = replace(change, at=until, invoice_id=invoice.id, redemptions=redemptions)
    return replace(subscription, pending=waiting)


def is_paid_by(subscription: Subscription, invoice: Invoice) -> bool:
    """Whether the subscription's pending change waits for this invoice."""
    return subscription.pending is not None and subscription.pending.invoice_id == invoice.id


def paid_for(
    subscription: Subscription, invoice: Invoice, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The change in force: its invoice was paid. Its time is the one that was billed, from when it was asked for."""
    change = subscription.pending
    assert change is not None
    after = in_force(subscription, change, invoice.issued_at)
    return noted(subscription, after, change)


def refused(subscription: Subscription, now: datetime) -> Subscription:
    """The change is given up at once: its payment was declined."""
    assert subscription.pending is not None
    return replace(subscription, pending=replace(subscription.pending, at=now))


def given_up(subscription: Subscription, change: PendingChange) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription without the change that waited for its payment."""
    data = {"change": change.change_id, "invoice": change.invoice_id}
    refused = Fact("subscription.change_refused", subscription.id, data)
    return replace(subscription, pending=None), (refused,)


def held_until(subscription: Subscription, now: datetime) -> Subscription:
    """The planned change looked at again the next day; at the end of the period it comes with the renewal."""
    change = subscription.pending
    assert change is not None
    at = now + LOOK_AGAIN
    if subscription.period is not None:
        at = min(at, max(subscription.period.end, change.at))
    return replace(subscription, pending=replace(change, at=at))


def noted(
    before: Subscription, after: Subscription, change: PendingChange
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The changed subscription, with the change remembered as long as its period lasts, and the fact."""
    after = replace(after, changes=(*after.changes, change.change_id))
    data = _data(before, change)
    name = "subscription.resumed" if change.direction == Direction.RESUME else "subscription.changed"
    large = (Fact("subscription.large_upgrade", after.id, data),) if change.is_large else ()
    return after, (Fact(name, after.id, data), *large, *differences(before, after))


def _data(before: Subscription, change: PendingChange) -> dict[str, object]:
    after = replace(before, items=change.items, interval=change.interval)
    return {
        **subscription_data(after),
        "change": change.change_id,
        "direction": change.direction,
        "interval": str(change.interval) if change.interval else None,
        "previous_plan": before.plan.product,
        "previous_quantity": before.plan.quantity,
        "previous_interval": str(before.interval) if before.interval else None,
        "mrr_change": recurring(after) - recurring(before),
    }
