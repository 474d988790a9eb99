"""The invoices of a dunning run: which belong to it, in what order, and what becomes of them at its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.write_off import written_off


def is_collected_by_run(invoice: Invoice) -> bool:
    """Whether a decline of it begins a dunning run: it is charged automatically, no change waits for it, and it is
    for what the subscription is, not for a charge beside that.
    """
    automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    return automatic and invoice.cause.kind not in (CauseKind.CHANGE, CauseKind.ONE_OFF, CauseKind.USAGE)


def by_age(invoice: Invoice, others: tuple[Invoice, ...]) -> tuple[str, ...]:
    """Their ids, oldest first."""
    return tuple(each.id for each in sorted((invoice, *others), key=lambda each: each.sequence))


def given_up(decision: Decision, invoice: Invoice, waiting: tuple[Invoice, ...], now: datetime) -> Decision:
    """The end of a dunning run: everything that it was to collect is uncollectible, except what is being paid.

    What still waits for its customer is cancelled first: its own row does that at once.
    """
    left = [each for each in waiting if each.attempt is None or not each.attempt.is_open]
    held = [each for each in waiting if each.attempt is not None and each.attempt.awaits_customer]
    closed = [written_off(each, now) for each in (invoice, *left) if each.status is InvoiceStatus.OPEN]
    return replace(
        decision,
        invoice=closed[0][0],
        also=(
            *(each for each, _, _ in closed[1:]),
            *(replace(each, collect_at=now) for each in held if each.status is InvoiceStatus.OPEN),
        ),
        facts=decision.facts + tuple(fact for _, facts, _ in closed for fact in facts),
        postings=tuple(posting for _, _, postings in closed for posting in postings),
    )
