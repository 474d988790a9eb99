"""What is asked for about money: as in `requests.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.application import (
    confirmation,
    dunning,
    invoices,
    payments,
    refunds,
)
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.subscription import Subscription

if TYPE_CHECKING:
    from tests.simulation.world import World
from tests.simulation.people import is_open, named, number_of, pick


def pay(world: World, *, which: int, card: str | None) -> Any:
    invoice = pick(world, Invoice, which, is_open)
    if invoice is None:
        return None
    method = card and named(card, number_of(world, invoice.customer_id))
    return lambda ctx: invoices.pay_invoice(ctx, invoice.id, payment_method=method)


def confirm(world: World, *, which: int) -> Any:
    """The customer follows the link in their letter and wants to confirm."""
    link = _link(world, which)
    return link and (lambda ctx: confirmation.confirm(ctx, link))


def confirm_return(world: World, *, which: int) -> Any:
    """They are back from their bank, whatever they did there."""
    link = _link(world, which)
    return link and (lambda ctx: confirmation.look_up(ctx, link))


def retry(world: World, *, which: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.dunning is not None)
    return sub and (lambda ctx: dunning.retry_now(ctx, sub.id))


def write_off(world: World, *, which: int) -> Any:
    invoice = pick(world, Invoice, which, is_open)
    return invoice and (lambda ctx: dunning.mark_uncollectible(ctx, invoice.id))


def grace(world: World, *, which: int, days: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.dunning is not None)
    return sub and (lambda ctx: dunning.extend_grace(ctx, sub.id, days))


def record(world: World, *, which: int, percent: int) -> Any:
    invoice = pick(world, Invoice, which, is_open)
    if invoice is None:
        return None
    amount = max(1, invoice.amount_remaining * percent // 100)
    share = (Allocation(invoice.id, min(amount, invoice.amount_remaining)),)
    return lambda ctx: payments.record_payment(
        ctx, invoice.customer_id, amount=amount, currency=invoice.currency, kind="bank_transfer",
        reference=None, allocations=share,
    )  # fmt: skip


def refund(world: World, *, which: int, percent: int | None, from_credit: bool) -> Any:
    """Of a payment that an invoice took, or one of its own: a transfer, or money that came late."""
    shares = [share for invoice in world.records(Invoice) for share in invoice.payments]
    paid = {each.id: each for each in (*shares, *world.records(Payment))}
    if not paid:
        return None
    payment = sorted(paid.values(), key=lambda each: (each.at, each.id))[which % len(paid)]
    amount = None if percent is None else max(1, payment.amount * percent // 100)
    return lambda ctx: refunds.refund_payment(ctx, payment.id, amount=amount, from_credit=from_credit)


def _link(world: World, which: int) -> Any:
    """The newest attempt's link of an invoice that has ever waited for its customer."""
    invoice = pick(world, Invoice, which, lambda each: any(a.decline and a.reference for a in each.attempts))
    if invoice is None:
        return None
    query = parse_qs(urlsplit(confirmation.link_to(world.ctx(), invoice.id, len(invoice.attempts))).query)
    return confirmation.Link(invoice_id=invoice.id, attempt=len(invoice.attempts), token=query["token"][0])
