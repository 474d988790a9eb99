"""What an order costs, exactly, before anything is created: the first invoice, and the one after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain import in_arrears, starting
from chalicelib.domain.adjustments import adjusted
from chalicelib.domain.billing import Occasion, recurring_lines
from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog import TrialEnd, TrialTerms
from chalicelib.domain.customer import Account, PaymentMethod
from chalicelib.domain.invoice import Invoice, InvoiceStatus, Line
from chalicelib.domain.lifecycle import full_period, trialing
from chalicelib.domain.payment import Instants
from chalicelib.domain.proration import Granularity
from chalicelib.domain.redeeming import without_used_up
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.tax import TaxSum, tax_sums


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderPrice:
    """Amounts in minor units of `currency`. `lines` and `total` are the first invoice's (after a trial, the one at
    its end); `due_now` what is paid on signing up; `renews_at` the next charge and `renewal_amount` its sum.
    """

    currency: str
    interval: Interval | None = None
    lines: tuple[Line, ...] = ()
    total: int = 0
    due_now: int = 0
    card_required: bool = False
    trial_days: int = 0
    trial_end: datetime | None = None
    on_trial_end: TrialEnd | None = None
    renews_at: datetime | None = None
    renewal_amount: int = 0
    taxes: tuple[TaxSum, ...] = ()


def price_order(
    draft: Subscription,
    account: Account,
    *,
    trial: TrialTerms | None,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
) -> OrderPrice:
    """The price of a draft: by the very decisions that will bill it, so what is shown is what is charged."""
    if draft.plan.price is None:
        return OrderPrice(currency=draft.currency)
    if trial is not None:
        return _after_trial(draft, account, trial, occasion=occasion, granularity=granularity, at=at)
    decision = starting.begin(draft, account, occasion=occasion, granularity=granularity, at=at, hosted=True)
    assert decision.subscription is not None
    ahead, invoice = decision.subscription, decision.invoice
    period = full_period(ahead, ahead.cycle + 1)
    following = recurring_lines(ahead.items, period, full=period, zone=ahead.zone, granularity=granularity)
    following += in_arrears.served(ahead, granularity)
    ahead, _, _ = without_used_up(ahead)
    billed = adjusted(
        following, ahead.redemptions, currency=draft.currency, period_start=period.start, tax=occasion.tax
    )
    return replace(
        _of_invoice(draft, invoice),
        due_now=invoice.amount_due if invoice is not None and invoice.status is InvoiceStatus.OPEN else 0,
        card_required=True,
        renews_at=period.start,
        renewal_amount=sum(line.total for line in billed.lines),
    )


def _after_trial(
    draft: Subscription,
    account: Account,
    trial: TrialTerms,
    *,
    occasion: Occasion,
    granularity: Granularity,
    at: Instants,
) -> OrderPrice:
    running, _ = trialing(draft, trial, at.business)
    assert running.trial is not None
    end = running.trial.ends_at
    with_card = replace(account, payment_method=PaymentMethod(id="shown"))
    decision = starting.end_trial(
        running,
        with_card,
        occasion=replace(occasion, now=end),
        granularity=granularity,
        at=Instants(end, at.machine),
    )
    return replace(
        _of_invoice(draft, decision.invoice),
        card_required=trial.card_required,
        trial_days=trial.days,
        trial_end=end,
        on_trial_end=trial.on_end,
        renews_at=end,
        renewal_amount=decision.invoice.amount_due if decision.invoice is not None else 0,
    )


def _of_invoice(draft: Subscription, invoice: Invoice | None) -> OrderPrice:
    """What is billed in arrears has no invoice yet."""
    if invoice is None:
        return OrderPrice(currency=draft.currency, interval=draft.interval)
    return OrderPrice(
        currency=draft.currency,
        interval=draft.interval,
        lines=invoice.lines,
        total=invoice.total,
        taxes=tax_sums(invoice.lines),
    )
