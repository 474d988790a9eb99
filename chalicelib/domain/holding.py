"""Waiting while a customer disputes a payment: nothing is charged automatically until that closes.

It holds for the whole customer: one card stands behind all of their subscriptions, and whoever disputes one charge
will dispute the next. What people do by hand (a retry, paying an invoice or a hosted page, subscribing) goes through.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.payment import AttemptStatus, Instants
from chalicelib.domain.subscription import Subscription

LOOK_AGAIN = timedelta(days=1)
"""What waits is looked at so often, should the closing dispute not have found it."""


def begin_automatic(invoice: Invoice, account: Account, at: Instants) -> Invoice:
    """The invoice with its next attempt written down, or waiting while the customer has an open dispute.

    An attempt that is under way stays: it was begun before, and its outcome must be known.
    """
    if account.disputes and not _is_under_way(invoice):
        return replace(invoice, collect_at=at.business + LOOK_AGAIN)
    return begin_attempt(invoice, account, at)


def begin_anew(invoice: Invoice, account: Account, at: Instants) -> Invoice:
    """The open attempt given up because the processor has no trace of it; the next one begun, or waiting.

    Only for an attempt whose key is too old to repeat and of which a look-up found nothing. On an invoice that was
    sent every attempt was asked for by hand.
    """
    gone = replace(invoice.attempts[-1], status=AttemptStatus.CANCELED, settled_at=at.business)
    automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    begin = begin_automatic if automatic else begin_attempt
    return begin(replace(invoice, attempts=(*invoice.attempts[:-1], gone)), account, at)


def waits_until(invoice: Invoice) -> datetime | None:
    """When an invoice that is to be collected automatically, and has no attempt under way, is looked at again."""
    automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if invoice.status is not InvoiceStatus.OPEN or not automatic or _is_under_way(invoice):
        return None
    return invoice.collect_at


def put_off(subscription: Subscription, now: datetime) -> Subscription:
    """The dunning run looked at again later; its days pass meanwhile."""
    run = subscription.dunning
    return replace(subscription, dunning=replace(run, next_at=now + LOOK_AGAIN)) if run else subscription


def released(subscription: Subscription, now: datetime) -> Subscription:
    """The dunning run goes on. What it missed is made up for by one try, now; then it is back on its schedule."""
    run = subscription.dunning
    if run is None or run.next_at is None:
        return subscription
    if run.policy.attempt_at(run.started_at, run.step, subscription.zone) > now:
        return subscription
    step = run.policy.next_step(run.started_at, now, subscription.zone)
    return replace(subscription, dunning=replace(run, step=step, next_at=now))


def _is_under_way(invoice: Invoice) -> bool:
    return invoice.attempt is not None and invoice.attempt.is_open
