"""What was paid for and is not used when a subscription is cancelled at once: a credit note on the invoices of its
period, part of the decision that ends it. Invoices of it that are still open keep what was served.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from chalicelib.application.context import Context
from chalicelib.application.credit_notes import desk_of, issue_on
from chalicelib.application.credit_refunds import Desk
from chalicelib.application.records import child_key
from chalicelib.domain import credit_choice, write_off
from chalicelib.domain.change_lines import billed_lines, invoice_ids_of_period
from chalicelib.domain.credit_note import CreditNote, NoteLine, left_by_line, note_id, spread, unused_of
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.decision import Decision
from chalicelib.domain.in_arrears import is_in_arrears
from chalicelib.domain.invoice import Invoice, InvoiceStatus, Line
from chalicelib.domain.lifecycle import full_period
from chalicelib.domain.proration import Parts, parts_left_on_cancel
from chalicelib.domain.subscription import Status, Subscription


class Unused(StrEnum):
    """What becomes of paid time that is not used: nothing, account credit, or money back as far as it was paid."""

    NONE = "none"
    CREDIT = "credit"
    REFUND = "refund"


def credited(
    ctx: Context, decision: Decision, subscription: Subscription, how: Unused, *, reason: str
) -> Decision:
    """The decision that ends `subscription` (as it was before) with a note for each invoice that billed its unused
    time. The day of the end is consumed.

    Pure but for its reads; ConflictError while one of the invoices is being charged.
    """
    if how is Unused.NONE or subscription.period is None or subscription.status is Status.TRIALING:
        return decision
    desk = desk_of(ctx, subscription.customer_id)
    if (
        subscription.pending is not None
    ):  # a change that waits for its payment is dropped with the subscription
        desk.invoices.pop(subscription.pending.invoice_id or "", None)
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    wanted = Wanted(as_refund=how is Unused.REFUND)
    full = full_period(subscription, subscription.cycle)
    unused = parts_left_on_cancel(full, ctx.now, subscription.zone, catalog.proration)
    for invoice, billed in _billed(desk, subscription):
        lines = _unused(desk, invoice, billed, unused)
        if lines:
            credit_choice.require_creditable(invoice)
            id_ = note_id(invoice.id, f"cancel:{subscription.id}:{subscription.version}")
            issue_on(ctx, desk, invoice, lines, wanted, id_=id_, reason=reason)
    return _told(desk.onto(decision)) if desk.made else decision


def _told(decision: Decision) -> Decision:
    """With what is given back on the fact that the subscription is cancelled."""
    notes = notes_of(decision)
    sums = {
        "unused_applied": sum(note.applied for note in notes),
        "unused_credited": sum(note.credited for note in notes),
        "unused_refunded": sum(note.refunded for note in notes),
    }
    facts = (
        replace(fact, data={**fact.data, **sums}) if fact.type == "subscription.canceled" else fact
        for fact in decision.facts
    )
    return replace(decision, facts=tuple(facts))


def notes_of(decision: Decision) -> tuple[CreditNote, ...]:
    return tuple(each for each in decision.also if isinstance(each, CreditNote))


def _billed(desk: Desk, subscription: Subscription) -> list[tuple[Invoice, list[Line]]]:
    """The invoices of the period, oldest first, with their lines that pay for what is held now."""
    found = [desk.invoices[id_] for id_ in invoice_ids_of_period(subscription) if id_ in desk.invoices]
    held = [item for item in subscription.items if item.price is not None and not is_in_arrears(item)]
    billed = [each for item in held for each in billed_lines(item, found)]
    return [
        (invoice, [each.line for each in billed if each.invoice_id == invoice.id])
        for invoice in sorted(found, key=lambda invoice: invoice.sequence)
    ]


def _unused(desk: Desk, invoice: Invoice, billed: list[Line], unused: Parts) -> tuple[NoteLine, ...]:
    """What is given back of these lines: no more than is left of them, nor than was paid or is due."""
    left = left_by_line(invoice, desk.invoices.values())
    found = [(line, unused_of(line, left[line.id], unused)) for line in billed if line.id in left]
    found = [(line, part) for line, part in found if part.total > 0]
    most = credit_choice.available(invoice, desk.invoices)
    if sum(part.total for _, part in found) <= most:
        return tuple(part for _, part in found)
    return spread([line for line, _ in found], left, most, [part.total for _, part in found])


def with_unserved_arrears(ctx: Context, decision: Decision, subscription: Subscription) -> Decision:
    """The decision with the open invoices of the dunning run as they are when the service ends now. One whose payment
    is under way stays as it is, and so does one that the decision credits already.
    """
    run = subscription.dunning
    keys = [child_key(Invoice, ctx.env, invoice_id) for invoice_id in run.invoices] if run else []
    found = [invoice for invoice in (ctx.store.get_many(keys) if keys else []) if invoice is not None]
    outcomes = (
        write_off.unserved_credited(invoice, ctx.now)
        for invoice in found
        if invoice.status is InvoiceStatus.OPEN
        and not (invoice.attempt and invoice.attempt.is_open)
        and all(each.id != invoice.id for each in decision.also)
    )
    changed = [outcome for outcome in outcomes if outcome[1]]
    return replace(
        decision,
        also=decision.also + tuple(invoice for invoice, _, _ in changed),
        facts=decision.facts + tuple(fact for _, noted, _ in changed for fact in noted),
        postings=decision.postings + tuple(posting for _, _, booked in changed for posting in booked),
    )
