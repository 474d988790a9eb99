"""What a decision comes to for whoever pays: the invoices and the subscription as they would be, to compare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The records that a decision would write, as far as they say who pays what for which time."""

    invoices: tuple[Invoice, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()
    subscription: Subscription | None = None

    def sums(self) -> dict[str, Any]:
        """The figures that somebody was shown, by name (minor units, ISO instants)."""
        figures: dict[str, Any] = {}
        for invoice in self.invoices:
            figures |= {
                "invoice.total": invoice.total,
                "invoice.tax": invoice.tax,
                "invoice.credit_applied": invoice.credit_applied,
                "invoice.amount_due": invoice.amount_due,
            }
        for note in self.credit_notes:
            figures |= {
                "credit_note.total": note.total,
                "credit_note.applied": note.applied,
                "credit_note.credited": note.credited,
                "credit_note.refunded": note.refunded,
            }
        if self.subscription is not None:
            period = self.subscription.period
            figures |= {
                "subscription.status": str(self.subscription.status),
                "subscription.plan": self.subscription.plan.product,
                "subscription.quantity": self.subscription.plan.quantity,
                "subscription.period_end": period.end.isoformat() if period else None,
            }
        return figures

    def print(self) -> str:
        """A fingerprint of every line and term; ids, numbers and what only we see (attempts, versions) aside."""
        parts = [repr(_invoice(invoice)) for invoice in self.invoices]
        parts += [repr(_credit_note(note)) for note in self.credit_notes]
        if self.subscription is not None:
            parts.append(repr(_subscription(self.subscription)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def outcome_of(records: Iterable[Any]) -> Outcome:
    """Of the records of one commit."""
    found = list(records)
    return Outcome(
        invoices=tuple(record for record in found if isinstance(record, Invoice)),
        credit_notes=tuple(record for record in found if isinstance(record, CreditNote)),
        subscription=next((record for record in found if isinstance(record, Subscription)), None),
    )


def difference(shown: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Name → what was shown and what it would be now, of the figures that differ."""
    names = dict.fromkeys((*shown, *now))
    return {
        name: f"{shown.get(name)} → {now.get(name)}" for name in names if shown.get(name) != now.get(name)
    }


def _invoice(invoice: Invoice) -> tuple[object, ...]:
    return (
        invoice.lines,
        invoice.period,
        invoice.currency,
        invoice.total,
        invoice.tax,
        invoice.credit_applied,
        invoice.credit_granted,
        invoice.carried_in,
        invoice.carried_out,
        invoice.amount_due,
        invoice.credited,
        invoice.returned,
        invoice.due_at,
        str(invoice.status),
    )


def _credit_note(note: CreditNote) -> tuple[object, ...]:
    return (
        note.invoice_id,
        note.lines,
        note.total,
        note.tax,
        note.applied,
        note.credited,
        note.refunded,
        note.reason,
    )


def _subscription(subscription: Subscription) -> tuple[object, ...]:
    change = subscription.pending
    return (
        subscription.items,
        subscription.interval,
        subscription.period,
        str(subscription.status),
        subscription.cancellation,
        subscription.redemptions,
        replace(change, change_id="", invoice_id=None) if change is not None else None,
    )
