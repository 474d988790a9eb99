"""Usage on invoices of its own: as it comes to an amount within a period, and as it arrives after the end. What is
declined of it is tried again on the policy's days and given up by itself; the subscription goes on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.decision import Decision
from chalicelib.domain.dunning_invoices import given_up
from chalicelib.domain.dunning_policy import DunningPolicy, HardDecline
from chalicelib.domain.invoice import Cause, CauseKind, Invoice
from chalicelib.domain.metered import Metered, item_of, metered, so_far
from chalicelib.domain.payment import AttemptStatus, Decline, DeclineKind
from chalicelib.domain.subscription import Status, Subscription
from chalicelib.domain.usage import Usage

GATHERED = timedelta(days=1)
"""How long usage that arrives after the end is waited for before an invoice bills it."""


def with_settlement(usage: Usage, subscription: Subscription, now: datetime) -> Usage:
    """The usage with the instant at which an invoice of its own bills it, where something calls for one."""
    if usage.settle_at is not None:
        return usage
    if not own_lines(subscription, usage, now).lines:
        return usage
    return replace(usage, settle_at=now if subscription.ended_at is None else now + GATHERED)


def own_lines(subscription: Subscription, usage: Usage, now: datetime) -> Metered:
    """What an invoice of its own bills now: what came after the final one, or what was used so far where that has
    come to the amount that the price names.
    """
    item = item_of(subscription, usage.meter)
    if item is None or item.price is None or subscription.period is None:
        return Metered()
    if subscription.ended_at is not None:
        return metered(replace(subscription, items=(item,)), (usage,), subscription.ended_at)
    if item.price.bill_at is None or subscription.status is not Status.ACTIVE:
        return Metered()
    used = so_far(subscription, usage, now)
    return used if sum(line.amount for line in used.lines) >= item.price.bill_at else Metered()


def cause_of(usage: Usage) -> Cause:
    """Of its next invoice: numbered, so that drawing it up again is the same one."""
    return Cause(kind=CauseKind.USAGE, reference=f"{usage.meter}:{usage.settled + 1}")


def declined(
    decision: Decision, invoice: Invoice, decline: Decline, policy: DunningPolicy, now: datetime
) -> Decision:
    """Tried again on the policy's next day, a hard decline on the last; after that it is uncollectible."""
    refusals = [each for each in invoice.attempts if each.status is AttemptStatus.DECLINED]
    since = refusals[0].settled_at or refusals[0].at
    last = policy.attempt_at(since, policy.last_step, invoice.zone)
    is_hard = decline.kind is DeclineKind.HARD
    if last <= now or (is_hard and policy.hard_decline is HardDecline.END):
        return given_up(decision, invoice, (), now)
    soft = policy.attempt_at(since, policy.next_step(since, now, invoice.zone), invoice.zone)
    again = soft if decline.kind is DeclineKind.SOFT else last
    return replace(decision, invoice=replace(invoice, collect_at=again))
