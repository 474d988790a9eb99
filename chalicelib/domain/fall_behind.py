"""An invoice falls behind: its first attempt fails, or it opens while older ones are being collected."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.arrears import QUEUED, Arrears, dunning_data
from chalicelib.domain.dunning import has_ended
from chalicelib.domain.dunning_invoices import is_collected_by_run
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact
from chalicelib.domain.payment import ChargeResult
from chalicelib.domain.subscription import DunningRun, Subscription


def fallen_behind(
    invoice: Invoice, subscription: Subscription, result: ChargeResult, *, policy: str, now: datetime
) -> Invoice:
    """The invoice with its arrears noted once, where a dunning run collects it. `policy` is the policy's name."""
    is_running = subscription.is_running or has_ended(subscription)
    is_collected = is_collected_by_run(invoice) and not invoice.activates
    if invoice.arrears is not None or not is_collected or not is_running:
        return invoice
    arrears = Arrears(
        policy=policy,
        code=result.decline.code if result.decline else str(result.outcome),
        since=now,
        amount=invoice.amount_remaining,
        paid=invoice.amount_paid,
        attempt=len(invoice.attempts),
    )
    return replace(invoice, arrears=arrears)


def setback_data(invoice: Invoice, attempt: int) -> dict[str, object]:
    """What the fact of a failed attempt says of the arrears; `opened` where they begin with it."""
    arrears = invoice.arrears
    return dunning_data(arrears, opened=int(arrears is not None and arrears.attempt == attempt))


def queued_behind(
    invoice: Invoice, run: DunningRun, facts: tuple[Fact, ...], now: datetime
) -> tuple[Invoice, tuple[Fact, ...]]:
    """The invoice that opened during a run with its arrears, and its facts with them."""
    amount = invoice.amount_remaining
    arrears = Arrears(policy=run.policy_name, code=QUEUED, since=now, amount=amount)
    about = dunning_data(arrears, opened=1)
    return replace(invoice, arrears=arrears), tuple(
        Fact(fact.type, fact.subject, {**fact.data, **about}) if fact.type == "invoice.opened" else fact
        for fact in facts
    )
