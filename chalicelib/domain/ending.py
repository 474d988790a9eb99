"""The end of a subscription, and its last invoice: what was served in arrears and not billed yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain import in_arrears, one_off
from chalicelib.domain.billing import Occasion, Opened, open_invoice
from chalicelib.domain.calendar import Period
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.holding import begin_automatic
from chalicelib.domain.invoice import Cause, CauseKind, InvoiceStatus, Line
from chalicelib.domain.lifecycle import canceled
from chalicelib.domain.metered import metered
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import Instants
from chalicelib.domain.proration import Granularity
from chalicelib.domain.redeeming import spent_with
from chalicelib.domain.subscription import Subscription


def ended(subscription: Subscription, reason: str, at: Instants) -> Decision:
    """The subscription at its end, which the clock brought."""
    over, facts = canceled(subscription, at.business, reason)
    cause = f"end:{subscription.id}:{at.business.isoformat()}"
    over, movements = moved(over, cause)
    return Decision(cause=cause, subscription=over, facts=facts, movements=movements)


def with_final_invoice(
    decision: Decision,
    subscription: Subscription,
    account: Account,
    *,
    until: datetime,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
) -> Decision:
    """The decision that ends `subscription`, with its final invoice for what was served until `until`, and the first
    attempt on it written down; as it is where nothing was served unbilled.
    """
    used = metered(subscription, occasion.usage, min(until, at.business))
    lines = in_arrears.served(subscription, granularity, until) + used.lines
    lines += one_off.lines_of(subscription.charges)
    if not lines:
        return decision
    opened = _final(subscription, account, lines, occasion)
    invoice, account = opened.invoice, opened.account
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and invoice.status is InvoiceStatus.OPEN:
        invoice = begin_automatic(invoice, account, at)
        invoice, account = admitted(invoice, account, occasion.attempts_per_card, at.business)
    over = decision.subscription
    return replace(
        decision,
        account=account,
        subscription=spent_with(replace(over, charges=()), opened.redemptions) if over is not None else None,
        invoice=invoice,
        also=decision.also + used.usages,
        facts=decision.facts + opened.facts,
        postings=decision.postings + opened.postings,
    )


def _final(
    subscription: Subscription, account: Account, lines: tuple[Line, ...], occasion: Occasion
) -> Opened:
    """One per period: its id follows from the period's start."""
    assert subscription.period is not None
    start = subscription.period.start
    return open_invoice(
        subscription,
        account,
        lines,
        cause=Cause(kind=CauseKind.FINAL, reference=start.isoformat()),
        period=Period(start, max((line.period.end for line in lines if line.period), default=occasion.now)),
        occasion=occasion,
    )
