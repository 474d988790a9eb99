"""The refunds that credit notes owe: written down in the note's own transaction, made after it.

The money comes out of what paid the note's invoice; where that charged the rest of a period after a change, also out
of what paid the invoices whose lines it gave back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.application import refunds
from chalicelib.application.context import Context
from chalicelib.application.records import child_key
from chalicelib.domain import ids, refund_rules
from chalicelib.domain.credit_note import CreditNote, reversed_total
from chalicelib.domain.credit_value import sources
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import GatewayUnavailableError, NotFoundError
from chalicelib.domain.invoice import Invoice, InvoiceStatus, is_collected
from chalicelib.domain.journal import Fact, Posting
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.refund import Refund, Source, left_of, share_of


@dataclass(kw_only=True, slots=True)
class Desk:
    """The records that a decision works on, as they would be; several notes of one decision see each other's."""

    account: Account
    invoices: dict[str, Invoice]
    payments: dict[str, Payment] = field(default_factory=dict)
    made: list[Refund | CreditNote] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    touched: dict[str, Invoice] = field(default_factory=dict)

    def put(self, invoice: Invoice) -> None:
        self.invoices[invoice.id] = self.touched[invoice.id] = invoice

    def onto(self, decision: Decision) -> Decision:
        """The decision with all of this in it."""
        return replace(
            decision,
            account=self.account,
            also=(*decision.also, *self.touched.values(), *self.payments.values(), *self.made),
            facts=(*decision.facts, *self.facts),
            postings=(*decision.postings, *self.postings),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """So much out of what one payment paid of one invoice."""

    payment_id: str
    invoice_id: str
    amount: int


def money_of(ctx: Context, desk: Desk, invoice: Invoice, most: int) -> list[Part]:
    """Where at most `most` can be refunded from for a note of this invoice: its own payments first.

    An invoice that is still open keeps its money, except the note's own, which the note is about to settle.
    """
    parts: list[Part] = []
    chain = _chain(desk, invoice)
    for source in chain:
        cap = most
        if source.id != invoice.id:
            cap = 0 if source.status is InvoiceStatus.OPEN else min(most, reversed_total(source, chain))
        for share in source.payments:
            amount = _movable(ctx, share, min(left_of(share), cap))
            if amount > 0:
                parts.append(Part(share.id, source.id, amount))
                cap -= amount
                most -= amount
    return parts


def write_down(ctx: Context, desk: Desk, note: CreditNote, parts: Iterable[Part]) -> CreditNote:
    """Put the note's refunds on the desk, their amounts reserved and their keys frozen. What was paid by hand is
    recorded as returned. Answers the note with them.
    """
    left, made = note.refunded, []
    for part in parts:
        amount = min(left, part.amount)
        if amount <= 0:
            break
        left -= amount
        refund = _drawn_up(ctx, desk, note, replace(part, amount=amount))
        made.append(refund.id)
    assert not left, "a note refunds no more than there is money"
    return replace(note, refunds=tuple(made))


def note_lent(desk: Desk, note: CreditNote, drawn: int) -> None:
    """Note on the earlier invoices what a note gives back of their value: what it refunds out of their payments, and
    of the `drawn` that its own invoice had taken over from them.
    """
    refunded: Counter[str] = Counter()
    for refund in desk.made:
        if isinstance(refund, Refund) and refund.credit_note == note.id:
            refunded[refund.allocations[0].invoice_id] += refund.amount
    chain = _chain(desk, desk.invoices[note.invoice_id])
    drawn -= sum(refunded[source.id] for source in chain[1:])
    for source in chain[1:]:
        room = reversed_total(source, chain) - refunded[source.id]
        more = max(0, min(drawn, room))
        drawn -= more
        if refunded[source.id] + more:
            desk.put(replace(source, lent=source.lent + refunded[source.id] + more))


def make(ctx: Context, notes: Sequence[CreditNote]) -> None:
    """Ask the processor for the refunds of committed notes. Safe to run twice; what it cannot be asked now is made
    by the refunds' own due rows.
    """
    for refund_id in (each for note in notes for each in note.refunds):
        with suppress(GatewayUnavailableError):
            refunds.finish(ctx, refunds.get_refund(ctx, refund_id))


def _chain(desk: Desk, invoice: Invoice) -> list[Invoice]:
    """The invoice, those whose lines it gave back, and theirs."""
    found = [invoice]
    for each in found:
        known = {one.id for one in found}
        found += [source for source in sources(each, desk.invoices) if source.id not in known]
    return found


def _movable(ctx: Context, share: Payment, amount: int) -> int:
    """The most of it that can go back: a processor may count coarser."""
    if amount <= 0 or (not is_collected(share.id) and share.charge is None):
        return max(0, amount)
    moved = ctx.gateway.movable(amount, share.currency)
    return moved if moved <= amount else ctx.gateway.movable(amount - (moved - amount) - 1, share.currency)


def _drawn_up(ctx: Context, desk: Desk, note: CreditNote, part: Part) -> Refund:
    source = _source(ctx, desk, part)
    refund_id = ids.child_id("ref", note.customer_id, note.id, part.payment_id, part.invoice_id)
    refund = replace(
        refunds.drawn_up(ctx, refund_id, source, part.amount, reason=note.reason, request=note.request),
        allocations=(Allocation(part.invoice_id, part.amount),),
        credit_note=note.id,
    )
    if source.by_hand:
        decision = refund_rules.found(source, refund, refunds.BY_HAND, ctx.now)
    else:
        decision = refund_rules.begun(source, refund)
    for record in decision.also:
        _put(desk, record)
    desk.facts += decision.facts
    desk.postings += decision.postings
    return refund


def _source(ctx: Context, desk: Desk, part: Part) -> Source:
    invoice = desk.invoices[part.invoice_id]
    if is_collected(part.payment_id):
        payment = share_of(invoice, part.payment_id)
    else:
        stored = desk.payments.get(part.payment_id) or ctx.store.get(
            child_key(Payment, ctx.env, part.payment_id)
        )
        if stored is None:
            raise NotFoundError("no such payment", id=part.payment_id)
        payment = stored
    return Source(payment=payment, invoices=(invoice,), account=desk.account)


def _put(desk: Desk, record: Any) -> None:
    match record:
        case Invoice():
            desk.put(record)
        case Payment():
            desk.payments[record.id] = record
        case Refund():
            desk.made.append(record)
        case Account():
            desk.account = record
