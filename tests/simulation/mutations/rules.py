"""What the rules of billing get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from chalicelib.domain import (
    billing,
    calendar,
    disputing,
    dunning,
    dunning_policy,
    erasure,
    holding,
    lifecycle,
    period_billing,
    renewal,
)
from chalicelib.domain import collection as collection_rules
from chalicelib.domain.calendar import Period
from chalicelib.domain.journal import LedgerAccount
from tests.simulation.mutations.registry import planted


@planted
def boundary_from_the_previous_one() -> Iterator[None]:
    """The next period is one interval after the last, not k intervals after the anchor."""
    real = lifecycle.full_period

    def full_period(subscription: Any, cycle: int) -> Period:
        if cycle == 0 or subscription.period is None:
            return real(subscription, cycle)
        if subscription.cycle == cycle:
            return subscription.period
        start = subscription.period.end
        return Period(start, calendar.boundary(start, subscription.zone, subscription.interval, 1))

    with patch.object(renewal, "full_period", full_period):
        yield


@planted
def dunning_never_ends() -> Iterator[None]:
    """The run stays on its day."""
    real = dunning._stepped

    def stepped(run: Any, decline: Any, zone: str) -> Any:
        return replace(real(run, decline, zone), step=run.step)

    with patch.object(dunning, "_stepped", stepped):
        yield


@planted
def posting_missing() -> Iterator[None]:
    """A payment is not booked."""
    with patch.object(collection_rules, "payment_postings", lambda *args: ()):
        yield


@planted
def tax_booked_as_revenue() -> Iterator[None]:
    """The books balance, and nobody knows what is owed to the tax office."""
    real = billing.opening_postings

    def opening_postings(invoice: Any) -> Any:
        return tuple(
            replace(posting, account=LedgerAccount.REVENUE)
            if posting.account is LedgerAccount.TAX
            else posting
            for posting in real(invoice)
        )

    with patch.object(billing, "opening_postings", opening_postings):
        yield


@planted
def number_not_taken() -> Iterator[None]:
    """The counter of invoice numbers is not written back."""
    real = billing.open_invoice

    def open_invoice(subscription: Any, account: Any, *args: Any, **more: Any) -> Any:
        opened = real(subscription, account, *args, **more)
        return replace(opened, account=replace(opened.account, invoices=account.invoices))

    with patch.object(period_billing, "open_invoice", open_invoice):
        yield


@planted
def renewal_ignores_disputes() -> Iterator[None]:
    """The next period is charged while the customer disputes the last."""
    with patch.object(holding, "begin_automatic", collection_rules.begin_attempt):
        yield


@planted
def lost_dispute_stays_paid() -> Iterator[None]:
    """Nobody takes the money that the bank took off the invoice."""
    with patch.object(disputing, "_lost", lambda payment: 0):
        yield


@planted
def letters_in_quiet_hours() -> Iterator[None]:
    """No letter about arrears waits for the morning."""
    with patch.object(dunning_policy.DunningPolicy, "awake", lambda self, instant, zone: instant):
        yield


@planted
def erased_while_billed() -> Iterator[None]:
    """Somebody is erased although a subscription of theirs runs."""
    with patch.object(erasure, "refuse_while_billed", lambda *args: None):
        yield
