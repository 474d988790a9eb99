"""The invoice that the end of a period will bring, drawn up now by the rules that will draw it up then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.application import renewals
from chalicelib.application.context import Context
from chalicelib.application.dry_run import as_if, dry_run
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain import change_steps, changing
from chalicelib.domain.calendar import Period
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.schedule import REMINDER_DAYS
from chalicelib.domain.subscription import PendingChange, Status, Subscription


def upcoming_invoice(ctx: Context, subscription_id: str) -> Invoice:
    """What the next renewal (or the end of the trial) will bill as things stand, as a draft.

    InvalidStateError where nothing will be billed: it ends, is free, or is not running.
    """
    subscription = get_subscription(ctx, subscription_id)
    following = _following(ctx, subscription)
    if following is None:
        raise InvalidStateError("no invoice is to come", subscription=subscription_id)
    return following


def once_paid(records: Sequence[Any], now: datetime) -> list[Any]:
    """These records as they will be once a change that waits for its payment is paid."""
    settled = list(records)
    invoices = [record for record in records if isinstance(record, Invoice)]
    for index, record in enumerate(records):
        if isinstance(record, Subscription):
            paying = next((each for each in invoices if change_steps.is_paid_by(record, each)), None)
            if paying is not None:
                settled[index] = change_steps.paid_for(record, paying, now)[0]
    return settled


def invoice_after(ctx: Context, records: Sequence[Any]) -> Invoice | None:
    """The next invoice after these records will have been written."""
    after = next((record for record in records if isinstance(record, Subscription)), None)
    return None if after is None else _following(as_if(ctx, records), after)


def _following(ctx: Context, subscription: Subscription) -> Invoice | None:
    subscription = _with_nothing_before(subscription)
    trial, period, leaving = subscription.trial, subscription.period, subscription.cancellation
    if subscription.status is Status.TRIALING and trial is not None:
        at, use_case = trial.ends_at, renewals.end_trial
    elif period is not None and subscription.is_running:
        at, use_case = period.end + subscription.usage_grace, renewals.renew_subscription
    else:
        return None
    if leaving is not None and leaving.at <= at:
        return None
    records = dry_run(
        replace(as_if(ctx, [subscription]), now=at), lambda then: use_case(then, subscription.id)
    )
    drawn = next((record for record in records if isinstance(record, Invoice)), None)
    if drawn is None:
        return None
    return replace(drawn, status=InvoiceStatus.DRAFT, attempts=(), number="", collect_at=None)


def _with_nothing_before(subscription: Subscription) -> Subscription:
    """The subscription as it will be at its period's end: letters sent, planned changes come about.

    A change that waits for its payment is left out: nobody knows whether it comes.
    """
    trial, run, change = subscription.trial, subscription.dunning, subscription.pending
    if change is not None and (change.invoice_id is not None or _is_before(change, subscription.period)):
        if change.invoice_id is None and subscription.cancellation is None:
            subscription = changing.in_force(subscription, change, change.at)
        subscription = replace(subscription, pending=None)
    return replace(
        subscription,
        letter=None,
        trial=replace(trial, reminded=REMINDER_DAYS) if trial is not None else None,
        dunning=replace(run, next_at=None, grace_ended=True) if run is not None else None,
    )


def _is_before(change: PendingChange, period: Period | None) -> bool:
    return period is not None and change.at < period.end
