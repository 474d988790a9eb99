"""What the payment processor reports, by webhook or read back hourly: applied once, however often it comes.

A notice says only where to look. Payments are looked up and settled through the same doors as the worker's own
charges; whatever is settled already costs one read and no call to the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from chalicelib.application import checkout, collection, decisions, dunning, payment_methods
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import ProcessorNotice, VersionConflict
from chalicelib.application.records import account_key, child_key
from chalicelib.domain import journal
from chalicelib.domain.customer import Claim
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ForbiddenError, NotFoundError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact
from chalicelib.domain.payment import Attempt, AttemptStatus, Outcome

_REPORTED = {
    "charge.refunded": "refund.reported",
    "refund.failed": "refund.failed",
    "charge.dispute.created": "dispute.opened",
    "charge.dispute.updated": "dispute.updated",
    "charge.dispute.closed": "dispute.closed",
}
"""What is written into the journal as a fact; nothing else follows from it yet."""


def apply_notice(ctx: Context, notice: ProcessorNotice) -> None:
    """Bring our state in line with what the notice leads to. Types that we do not use are ignored.

    Safe to run any number of times, in any order and at once: an attempt is settled once, a checkout completed
    once, a report recorded once. A notice of another environment raises ForbiddenError.
    """
    if notice.env != ctx.env:
        raise ForbiddenError("a notice of another environment", env=notice.env or "")
    handler = _handler(notice)
    if handler is not None and notice.customer_id is not None:
        handler(ctx, notice)


def _handler(notice: ProcessorNotice) -> Callable[[Context, ProcessorNotice], None] | None:
    if notice.kind in _REPORTED:
        return _record
    match notice.kind.partition(".")[0]:
        case "checkout":
            return _checkout
        case "payment_intent":
            return _checkout if notice.checkout_id is not None else _payment
        case "payment_method":
            return _method
    return None


def _checkout(ctx: Context, notice: ProcessorNotice) -> None:
    """Completed, expired or paid: the page's present state decides, not the notice."""
    if notice.checkout_id is not None:
        checkout.complete_checkout(ctx, notice.checkout_id)


def _payment(ctx: Context, notice: ProcessorNotice) -> None:
    """The attempt's charge, looked up and settled unless it is settled. A read at half price may miss a
    settlement, and never invents one.
    """
    if notice.invoice_id is None or notice.attempt is None:
        return
    (hint,) = ctx.store.get_many([child_key(Invoice, ctx.env, notice.invoice_id)], consistent=False)
    attempt = _attempt(hint, notice.attempt) if hint is not None else None
    if attempt is not None and not attempt.is_open:
        claimed = notice.kind == "payment_intent.succeeded"
        if not claimed or attempt.status is AttemptStatus.SUCCEEDED:
            return
    _look_up(ctx, notice, notice.invoice_id, notice.attempt)


def _look_up(ctx: Context, notice: ProcessorNotice, invoice_id: str, number: int) -> None:
    invoice, subscription = collection.load(ctx, invoice_id)
    attempt = _attempt(invoice, number)
    if attempt is None or attempt.status is AttemptStatus.SUCCEEDED:
        return
    result = ctx.gateway.find_charge(collection.charge_request(ctx, invoice, attempt))
    if result is None:
        return
    if attempt.is_open:
        collection.settle(ctx, invoice, subscription, result)
    elif result.outcome is Outcome.SUCCEEDED:
        _record_once(ctx, notice, "payment.unexpected")  # money for an attempt that was given up: look at it


def _attempt(invoice: Invoice, number: int) -> Attempt | None:
    return next((attempt for attempt in invoice.attempts if attempt.number == number), None)


def _method(ctx: Context, notice: ProcessorNotice) -> None:
    """The network replaced the card's details, or the card was taken off: only the default concerns us."""
    assert notice.customer_id is not None
    account = ctx.store.get(account_key(ctx.env, notice.customer_id))
    method = account.payment_method if account else None
    if account is None or method is None or method.id != notice.reference:
        return
    if notice.kind == "payment_method.detached":
        _forget(ctx, notice.customer_id, notice.reference)
    elif account.processor_customer is not None:
        fresh = ctx.gateway.attach_method(account.processor_customer, notice.reference)
        payment_methods.remember(ctx, notice.customer_id, fresh)
        if notice.kind == "payment_method.automatically_updated":
            dunning.try_new_method(ctx, notice.customer_id)


def _forget(ctx: Context, customer_id: str, reference: str) -> None:
    def decide() -> None:
        account = ctx.store.get(account_key(ctx.env, customer_id))
        if account is None or account.payment_method is None or account.payment_method.id != reference:
            return
        decision = Decision(
            cause=f"detached:{reference}:{account.version}",
            account=replace(account, payment_method=None),
            facts=(Fact("payment_method.detached", customer_id, {"payment_method": reference}),),
        )
        decisions.commit(ctx, customer_id, decision)

    deciding(decide)


def _record(ctx: Context, notice: ProcessorNotice) -> None:
    _record_once(ctx, notice, _REPORTED[notice.kind])


def _record_once(ctx: Context, notice: ProcessorNotice, type_: str) -> None:
    """One journal entry per event of the processor: a claim on its id commits with it."""
    assert notice.customer_id is not None
    if ctx.store.get(account_key(ctx.env, notice.customer_id)) is None:
        raise NotFoundError("no such customer", id=notice.customer_id)
    data = {"reference": notice.reference, "invoice": notice.invoice_id, "attempt": notice.attempt}
    entry = journal.entry(
        notice.customer_id,
        at=ctx.now,
        actor=ctx.actor,
        cause=f"notice:{notice.id}",
        facts=(Fact(type_, notice.invoice_id or notice.customer_id, data),),
    )
    claim = Claim(kind="notice", value=notice.id, owner=notice.customer_id, at=ctx.now)
    with suppress(VersionConflict):
        ctx.store.commit(ctx.env, claim, entry)
