"""Refunds: written down before the processor is asked, made once under a frozen key, settled once.

Whoever learns how a refund ended (the request itself, its due row, a webhook, the hourly reconciler) goes through
`settle`; versions let one of them write, the others read what it wrote.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import RefundRequest
from chalicelib.application.records import account_key, child_key, payment_key
from chalicelib.domain import ids, refund_rules
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import (
    IdempotencyMismatchError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice, is_collected
from chalicelib.domain.payment import Payment
from chalicelib.domain.refund import Refund, RefundResult, RefundStatus, Source, share_of
from chalicelib.domain.refund_rules import Wanted

BY_HAND = RefundResult(status=RefundStatus.SUCCEEDED)


def refund_payment(
    ctx: Context,
    payment_id: str,
    *,
    amount: int | None = None,
    reason: str = "",
    invoice_id: str | None = None,
    from_credit: bool = False,
) -> Refund:
    """Give a payment back, wholly (what is left of it) or `amount` minor units; answers the refund as it stands.

    Money that the processor has goes back through it; a payment recorded by hand is only recorded as returned.
    Out of `invoice_id` where the payment paid several, or out of what was paid over and is still account credit.
    The invoices stay paid, and no subscription changes.

    Safe to run twice: the refund's id derives from the request, and it is written down, its amount reserved and its
    key frozen, before the processor is asked. However many run at once, no more goes back than was paid.
    NotFoundError; ValidationError for more than is left; InvalidStateError when nothing is; ConflictError;
    IdempotencyMismatchError; GatewayUnavailableError, with the refund on record: its due row makes it.
    """
    wanted = Wanted(amount=amount, invoice_id=invoice_id, from_credit=from_credit)
    customer = ids.customer_of(payment_id)
    refund_id = ids.child_id("ref", customer, payment_id, ctx.request_key)

    def decide() -> Refund:
        existing = ctx.store.get(child_key(Refund, ctx.env, refund_id))
        if existing is not None:
            return _same(existing, ctx)
        source = load_source(ctx, payment_id)
        refund = _asked(ctx, refund_id, source, wanted, reason)
        if source.by_hand:
            return stored(ctx, refund_rules.found(source, refund, BY_HAND, ctx.now))
        return stored(ctx, refund_rules.begun(source, refund))

    return finish(ctx, deciding(decide))


def finish_refund(ctx: Context, refund_id: str) -> None:
    """The due row of a refund under way: finish what a crash or a lost answer left open, or ask how it stands."""
    finish(ctx, get_refund(ctx, refund_id))


def finish(ctx: Context, refund: Refund) -> Refund:
    """Ask the processor about a refund that is written down, and settle it.

    Safe to run twice: while the key is young the same call is repeated, which the processor answers with the same
    refund; after that it is only looked up, and only one without a trace is begun anew, under the next key. One
    whose outcome was unknown is left alone until its time.
    """
    if not refund.is_open or (refund.not_before is not None and ctx.machine_now < refund.not_before):
        return refund
    result = _ask(ctx, refund)
    if result is None:
        return finish(ctx, _begin_anew(ctx, refund))
    return settle(ctx, refund.id, result)


def settle(ctx: Context, refund_id: str, result: RefundResult) -> Refund:
    """Write an outcome down, exactly once however many report it and in whatever order."""

    def decide() -> Refund:
        refund = get_refund(ctx, refund_id)
        source = load_source(ctx, refund.payment_id)
        decision = refund_rules.settled(source, refund, result, now=ctx.now, machine_now=ctx.machine_now)
        return refund if decision is None else stored(ctx, decision)

    return deciding(decide)


def get_refund(ctx: Context, refund_id: str) -> Refund:
    """NotFoundError for a malformed, missing or foreign id alike."""
    refund = ctx.store.get(child_key(Refund, ctx.env, ids.require("ref", refund_id)))
    if refund is None:
        raise NotFoundError("no such refund", id=refund_id)
    return refund


def list_refunds(ctx: Context, customer_id: str, payment_id: str | None = None) -> list[Refund]:
    """A customer's refunds (of one payment), oldest first: one Query."""
    found = ctx.store.children(Refund, ctx.env, customer_id)
    return sorted(
        (each for each in found if payment_id in (None, each.payment_id)), key=lambda each: (each.at, each.id)
    )


def load_source(ctx: Context, payment_id: str) -> Source:
    """The payment, the invoices that it paid, and the account. NotFoundError."""
    missing = NotFoundError("no such payment", id=payment_id)
    if is_collected(payment_id):
        invoice = ctx.store.get(payment_key(ctx.env, payment_id))
        if invoice is None or all(share.id != payment_id for share in invoice.payments):
            raise missing
        payment, invoices = share_of(invoice, payment_id), [invoice]
    else:
        recorded = ctx.store.get(child_key(Payment, ctx.env, ids.require("pay", payment_id)))
        if recorded is None:
            raise missing
        payment, invoices = recorded, _paid_by(ctx, recorded)
    account = ctx.store.get(account_key(ctx.env, payment_id))
    assert account is not None
    return Source(payment=payment, invoices=tuple(invoices), account=account)


def _paid_by(ctx: Context, payment: Payment) -> list[Invoice]:
    keys = [child_key(Invoice, ctx.env, part.invoice_id) for part in payment.allocations]
    found = ctx.store.get_many(keys) if keys else []
    return [invoice for invoice in found if invoice is not None]


def _asked(ctx: Context, refund_id: str, source: Source, wanted: Wanted, reason: str) -> Refund:
    amount, parts = refund_rules.parts(source, wanted)
    if not source.by_hand:
        _require_movable(ctx, amount, source.payment.currency)
    refund = drawn_up(ctx, refund_id, source, amount, reason=reason, request=ctx.request_print)
    return replace(refund, allocations=parts)


def drawn_up(
    ctx: Context, refund_id: str, source: Source, amount: int, *, reason: str = "", request: str = ""
) -> Refund:
    payment = source.payment
    return Refund(
        id=refund_id,
        customer_id=payment.customer_id,
        payment_id=payment.id,
        amount=amount,
        currency=payment.currency,
        at=ctx.now,
        written_at=ctx.machine_now,
        payment_reference=None if source.by_hand else payment.reference,
        reason=reason,
        request=request,
    )


def _require_movable(ctx: Context, amount: int, currency: str) -> None:
    moved = ctx.gateway.movable(amount, currency)
    if moved != amount:
        raise ValidationError(
            f"the payment provider cannot move this amount of {currency} exactly",
            field="amount",
            fix=f"refund {moved}" if moved else "refund more",
        )


def _same(existing: Refund, ctx: Context) -> Refund:
    if existing.request != ctx.request_print:
        raise IdempotencyMismatchError(
            "this Idempotency-Key was used with another request", field="Idempotency-Key", fix="use a new key"
        )
    return existing


def stored(ctx: Context, decision: Decision) -> Refund:
    """Commit, and the refund as it is stored now."""
    customer = next(each.customer_id for each in decision.also if isinstance(each, Refund))
    stored = decisions.commit(ctx, customer, decision)
    return next(each for each in stored.also if isinstance(each, Refund))


def _ask(ctx: Context, refund: Refund) -> RefundResult | None:
    """How the refund stands; None when its key is too old to repeat and the processor has no trace of it."""
    if refund.status is RefundStatus.PENDING:
        return _look_up(ctx, refund) or RefundResult(status=RefundStatus.PENDING)
    if refund.key_expired(ctx.machine_now):
        return _look_up(ctx, refund)
    result = ctx.gateway.refund(_request(ctx, refund))
    if result.status is RefundStatus.IN_FLIGHT:
        return _look_up(ctx, refund) or result
    return result


def _look_up(ctx: Context, refund: Refund) -> RefundResult | None:
    assert refund.payment_reference is not None
    made = [each for each in ctx.gateway.refunds_of(refund.payment_reference) if each.refund_id == refund.id]
    return made[0].result if made else None


def _request(ctx: Context, refund: Refund) -> RefundRequest:
    """The same for every repetition: all of it is frozen in the refund."""
    assert refund.payment_reference is not None
    return RefundRequest(
        env=ctx.env,
        customer_id=refund.customer_id,
        refund_id=refund.id,
        payment_id=refund.payment_id,
        key=refund.key,
        reference=refund.payment_reference,
        amount=refund.amount,
        currency=refund.currency,
    )


def _begin_anew(ctx: Context, refund: Refund) -> Refund:
    """Who loses the race for it goes on with what the winner began."""

    def decide() -> Refund:
        current = get_refund(ctx, refund.id)
        if current.key != refund.key or not current.is_open:
            return current
        source = load_source(ctx, refund.payment_id)
        return stored(ctx, refund_rules.begun_anew(source, current, ctx.machine_now))

    return deciding(decide)
