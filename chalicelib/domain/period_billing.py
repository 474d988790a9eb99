"""The invoice of a period that begins, as part of the decision that begins it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain import dunning, funnel, holding, in_arrears, one_off
from chalicelib.domain.billing import Occasion, Opened, open_invoice, recurring_lines
from chalicelib.domain.calendar import Period
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.fall_behind import queued_behind
from chalicelib.domain.invoice import InvoiceStatus, Line, cycle_cause
from chalicelib.domain.journal import Fact
from chalicelib.domain.lifecycle import (
    activated,
    full_period,
)
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Instants
from chalicelib.domain.proration import Granularity
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import Usage


def bill_period(
    subscription: Subscription,
    account: Account,
    *,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
    facts: tuple[Fact, ...] = (),
    served: tuple[Line, ...] = (),
    usages: tuple[Usage, ...] = (),
    first: bool = False,
    hosted: bool = False,
) -> Decision:
    """Open the cycle invoice of the subscription's current period and write down its first attempt.

    `served` are the lines of the period before, of what is billed in arrears, and `usages` what these bill. Nothing
    to bill is no invoice.
    A later period of a customer who disputes a payment waits for the end of that; a first one was asked for.
    """
    served += one_off.lines_of(subscription.charges)
    if not served and not in_arrears.is_billed_in_advance(subscription):
        return _unbilled(subscription, facts, at, first=first)
    opened = _cycle_invoice(subscription, account, occasion, granularity, served, activates=first)
    subscription = replace(subscription, charges=())
    invoice, account, extra = opened.invoice, opened.account, opened.facts
    subscription = replace(subscription, redemptions=opened.redemptions)
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if invoice.status is InvoiceStatus.OPEN and automatic:
        if subscription.dunning is not None:
            invoice, extra = queued_behind(invoice, subscription.dunning, extra, at.business)
            subscription = dunning.queued(subscription, invoice.id)
        elif not hosted:
            begin = begin_attempt if first else holding.begin_automatic
            invoice = begin(invoice, account, at)
            invoice, account = admitted(invoice, account, occasion.attempts_per_card, at.business)
    if invoice.status is InvoiceStatus.PAID:
        subscription = funnel.paid(subscription, invoice)
    if first and (invoice.status is InvoiceStatus.PAID or not automatic):
        invoice = replace(invoice, activates=False)
        subscription, more = activated(subscription, at.business)
        extra += more
    cause = f"cycle:{subscription.id}:{invoice.cause.reference}"
    subscription, movements = moved(subscription, cause)
    return Decision(
        cause=cause,
        account=account,
        subscription=subscription,
        invoice=invoice,
        facts=facts + extra,
        also=usages,
        postings=opened.postings,
        movements=movements,
    )


def _unbilled(subscription: Subscription, facts: tuple[Fact, ...], at: Instants, *, first: bool) -> Decision:
    """A period that is billed once it is over has begun."""
    assert subscription.period is not None
    cause = f"cycle:{subscription.id}:{cycle_cause(subscription.period.start).reference}"
    if first:
        subscription, more = activated(subscription, at.business)
        facts += more
    subscription, movements = moved(subscription, cause)
    return Decision(cause=cause, subscription=subscription, facts=facts, movements=movements)


def _cycle_invoice(
    subscription: Subscription,
    account: Account,
    occasion: Occasion,
    granularity: Granularity,
    served: tuple[Line, ...],
    *,
    activates: bool,
) -> Opened:
    assert subscription.period is not None
    ahead = recurring_lines(
        subscription.items,
        subscription.period,
        full=full_period(subscription, subscription.cycle),
        zone=subscription.zone,
        granularity=granularity,
    )
    return open_invoice(
        subscription,
        account,
        served + ahead,
        cause=cycle_cause(subscription.period.start),
        period=subscription.period if ahead else _first_period(served) or subscription.period,
        occasion=occasion,
        activates=activates,
    )


def _first_period(lines: Sequence[Line]) -> Period | None:
    return next((line.period for line in lines if line.period is not None), None)
