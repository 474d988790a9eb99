"""What a change makes of a subscription, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain import in_arrears
from chalicelib.domain.billing import recurring_lines
from chalicelib.domain.calendar import Period, calendar_anchor, period_at
from chalicelib.domain.change_lines import Stretch, billed_lines, prorated, stays, unused
from chalicelib.domain.discount import Redemption, kept_on_change
from chalicelib.domain.invoice import Invoice, Line
from chalicelib.domain.lifecycle import full_period
from chalicelib.domain.metered import Metered, metered, meters_of
from chalicelib.domain.proration import Granularity, parts_left, parts_left_on_cancel
from chalicelib.domain.subscription import Billing, PendingChange, Phase, Status, Subscription
from chalicelib.domain.usage import Usage, ended


@dataclass(frozen=True, slots=True)
class Changed:
    """A subscription after a change, with the lines that this costs (credits are negative)."""

    subscription: Subscription
    lines: tuple[Line, ...] = ()
    usages: tuple[Usage, ...] = ()
    """With the windows billed that the change ends."""


def changed(
    subscription: Subscription,
    change: PendingChange,
    invoices: Sequence[Invoice],
    granularity: Granularity,
    now: datetime,
    usages: Sequence[Usage] = (),
) -> Changed:
    """What the change makes of the subscription now, and what it costs. `invoices` are those of the present period,
    oldest first.

    Where something that is billed in arrears goes or becomes another, all that was served in arrears is billed now.
    Within the same interval the period and its anchor stay, and every item that differs is prorated. Another
    interval begins a period of its own now, paid in full, and what is unused of the old one is credited. On a
    trial nothing is paid.
    """
    if subscription.status is Status.TRIALING:
        return Changed(in_force(subscription, change, now))
    after = in_force(subscription, change, now)
    billed = [line for item in subscription.items for line in billed_lines(item, invoices)]
    lines: tuple[Line, ...] = ()
    rest = _stretch(subscription, granularity, now)
    used = Metered()
    if _closes_arrears(subscription, change):
        used = metered(subscription, usages, now, late=False)
        lines = in_arrears.served(subscription, granularity, now) + used.lines
    begun = _begun_to_meter(subscription, after, usages, now)
    if _keeps_period(subscription, change):
        if rest is not None and change.prorate:
            lines += prorated(subscription.items, after.items, billed, rest)
        return Changed(after, lines, used.usages + begun)
    if rest is not None:
        lines += unused(subscription.items, billed, rest)
    return Changed(after, lines + first_lines(after, granularity), used.usages + begun)


def in_force(subscription: Subscription, change: PendingChange, now: datetime) -> Subscription:
    """The subscription with the change in force from `now`: the same period, or a first one of another interval."""
    closes = _closes_arrears(subscription, change)
    items = tuple(
        replace(item, starts_at=now)
        if item.starts_at is None or (closes and in_arrears.is_in_arrears(item))
        else item
        for item in change.items
    )
    after = replace(
        subscription,
        status=Status.ACTIVE if subscription.status is Status.PAUSED else subscription.status,
        items=items,
        phases=_phases_after(subscription, change),
        interval=change.interval,
        catalog_version=change.catalog_version or subscription.catalog_version,
        pending=None,
        redemptions=_redemptions(subscription, change),
    )
    if subscription.status is Status.TRIALING:
        return after if change.interval is not None else _tried_enough(after, now)
    if _keeps_period(subscription, change):
        return after
    return began(after, now)


def _tried_enough(subscription: Subscription, now: datetime) -> Subscription:
    """A free plan needs no trial: it is over."""
    assert subscription.trial is not None
    over = replace(subscription.trial, ends_at=min(now, subscription.trial.ends_at))
    return began(replace(subscription, status=Status.ACTIVE, trial=over), now)


def moved_to(subscription: Subscription, anchor: datetime, start: datetime) -> Subscription:
    """The subscription counted from another anchor, in a period from `start` to the next boundary: a stub."""
    assert subscription.interval is not None
    cycle, full = period_at(anchor, subscription.zone, subscription.interval, start)
    moved_by = cycle - (subscription.cycle + 1)
    return replace(
        subscription,
        anchor=anchor,
        billing=Billing.ANNIVERSARY,
        cycle=cycle,
        period=Period(start, full.end),
        phases=tuple(replace(each, from_cycle=each.from_cycle + moved_by) for each in subscription.phases),
        changes=(),
    )


def _phases_after(subscription: Subscription, change: PendingChange) -> tuple[Phase, ...]:
    """A ramp goes on with the new quantities where plan and interval stay; otherwise it is over."""
    stays_ = change.items[0].product == subscription.plan.product and change.interval == subscription.interval
    if not stays_:
        return ()
    added = change.items[1:]
    return tuple(
        replace(phase, items=(replace(phase.items[0], quantity=change.items[0].quantity), *added))
        for phase in subscription.phases
    )


def began(subscription: Subscription, now: datetime) -> Subscription:
    """The subscription in a period that begins now, counted anew from here; none on a free plan."""
    if subscription.interval is None:
        return replace(subscription, period=None, cycle=0, changes=())
    anchor = now
    if subscription.billing is Billing.CALENDAR:
        anchor = calendar_anchor(now, subscription.zone, subscription.interval)
    after = replace(subscription, anchor=anchor, cycle=0, changes=())
    return replace(after, period=Period(now, full_period(after, 0).end))


def first_lines(subscription: Subscription, granularity: Granularity) -> tuple[Line, ...]:
    """The lines of the period that has just begun; none on a free plan."""
    if subscription.period is None:
        return ()
    return recurring_lines(
        subscription.items,
        subscription.period,
        full=full_period(subscription, subscription.cycle),
        zone=subscription.zone,
        granularity=granularity,
    )


def _redemptions(subscription: Subscription, change: PendingChange) -> tuple[Redemption, ...]:
    """The coupons after the change: those that last, then the ones that came with it."""
    if change.invoice_id is not None:
        return change.redemptions
    old, new, kept = subscription.interval, change.interval, subscription.redemptions
    begins = subscription.status is not Status.TRIALING and not _keeps_period(subscription, change)
    if begins and old is not None and new is not None:
        kept = kept_on_change(kept, old, new)
    return kept + change.adds


def _begun_to_meter(
    before: Subscription, after: Subscription, usages: Sequence[Usage], now: datetime
) -> tuple[Usage, ...]:
    """What was used on meters that were not billed for ends here, so that only what comes is."""
    new = set(meters_of(after.items)) - set(meters_of(before.items))
    return tuple(ended(usage, before, now) for usage in usages if usage.meter in new)


def _keeps_period(subscription: Subscription, change: PendingChange) -> bool:
    return subscription.period is not None and change.interval == subscription.interval


def _closes_arrears(subscription: Subscription, change: PendingChange) -> bool:
    """Whether the change ends something that is billed in arrears."""
    if subscription.period is None or subscription.status is Status.TRIALING:
        return False
    arrears = [item for item in subscription.items if in_arrears.is_in_arrears(item)]
    return any(not stays(item, change.items) for item in arrears) or (
        bool(arrears) and not _keeps_period(subscription, change)
    )


def stretch_after(subscription: Subscription, granularity: Granularity, now: datetime) -> Stretch:
    """What is left of the present period when the service stops now: the day is consumed."""
    assert subscription.period is not None
    full = full_period(subscription, subscription.cycle)
    left = parts_left_on_cancel(full, now, subscription.zone, granularity)
    return Stretch(left=left, period=Period(max(now, full.start), subscription.period.end), unit=granularity)


def _stretch(subscription: Subscription, granularity: Granularity, now: datetime) -> Stretch | None:
    """What is left of the present period; None where there is none."""
    period = subscription.period
    if period is None:
        return None
    full = full_period(subscription, subscription.cycle)
    left = parts_left(full, now, subscription.zone, granularity)
    return Stretch(left=left, period=Period(max(now, period.start), period.end), unit=granularity)
