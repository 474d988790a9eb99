"""Subscriptions by request: create, cancel, undo, reactivate."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import (
    card_limits,
    collection,
    coupons,
    credit_refunds,
    decisions,
    final_invoices,
    payment_methods,
    trials,
    unused_time,
    waiting_changes,
)
from chalicelib.application.calling_off import call_off_change
from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context, deciding
from chalicelib.application.invoices import refuse_unpaid
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import (
    Buyer,
    first_invoice_id,
    get_subscription,
    load_buyer,
    occasion,
    require_method,
)
from chalicelib.application.unused_time import Unused
from chalicelib.domain import ids, lifecycle, ordering, starting
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.decision import Decision
from chalicelib.domain.erasure import refuse_erased
from chalicelib.domain.errors import (
    IdempotencyMismatchError,
    InvalidStateError,
)
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact
from chalicelib.domain.metrics import moved
from chalicelib.domain.ordering import Order
from chalicelib.domain.subscription import Subscription


def create_subscription(
    ctx: Context, customer_id: str, order: Order, *, payment_method: str | None = None
) -> Subscription:
    """Start a subscription for an existing customer with the means of payment on file (or given).

    Free: active. With a trial: trialing, or ValidationError where somebody else has had it (see `trials`). Sent by
    invoice: active with its first invoice open. Charged automatically: active once the first charge succeeds;
    PaymentDeclinedError leaves it incomplete, payable until it is released; PaymentPendingError means the outcome
    is unknown, and the same request again learns it. Incomplete while its customer is to confirm the first payment:
    the invoice says where.
    Safe to run twice: the id derives from the request, and a second run continues where the first stopped.
    """
    subscription_id = ids.child_id("sub", customer_id, ctx.request_key)
    existing = _find_own(ctx, subscription_id)
    if existing is None:
        if payment_method is not None:
            payment_methods.attach(ctx, customer_id, payment_method)
        existing = deciding(lambda: _start(ctx, customer_id, order, subscription_id))
    return _first_payment(ctx, existing)


def cancel_subscription(
    ctx: Context, subscription_id: str, *, at_period_end: bool, reason: str, unused: Unused = Unused.NONE
) -> Subscription:
    """Cancel now, or at the end of what is paid for. Twice is once: a second call finds it cancelled.

    What becomes of time that was paid for and is `unused` when it is cancelled now: nothing, or a credit note in the
    same transaction, before the final invoice, which uses that credit; its refunds are made after it, or by their due
    rows. ConflictError while that time is being charged for.

    Cancelled now while in arrears, its open invoices stay due for the time that was served; what was not served
    is credited on them, in the same transaction. A payment that waits for its customer is cancelled before. What
    is billed in arrears has its final invoice in that transaction too, and is collected after it. A change that
    waits for its payment is given up, and money that still comes for it goes back.
    """
    call_off_change(ctx, get_subscription(ctx, subscription_id))
    if not at_period_end:
        _stop_waiting(ctx, get_subscription(ctx, subscription_id))

    def decide() -> Decision | Subscription:
        subscription = get_subscription(ctx, subscription_id)
        if at_period_end and subscription.cancellation is not None and subscription.is_running:
            return subscription
        change = lifecycle.scheduled_to_cancel if at_period_end else lifecycle.canceled
        changed, facts = change(subscription, ctx.now, reason)
        decision = _decision(subscription, changed, facts, verb="cancel")
        if not changed.is_running:
            decision = unused_time.credited(ctx, decision, subscription, unused, reason=reason)
            decision = unused_time.with_unserved_arrears(ctx, decision, subscription)
        decision = waiting_changes.dropped(ctx, subscription, decision, closes=not changed.is_running)
        if not changed.is_running:
            decision = final_invoices.closing(ctx, decision, subscription, occasion, at=ctx.now)
        return decisions.commit(ctx, subscription.customer_id, decision)

    done = deciding(decide)
    if isinstance(done, Subscription):
        return done
    final_invoices.collect_final(ctx, done)
    credit_refunds.make(ctx, unused_time.notes_of(done))
    assert done.subscription is not None
    return done.subscription


def undo_cancellation(ctx: Context, subscription_id: str) -> Subscription:
    """Take back a cancellation that has not taken effect."""

    def decide() -> Subscription:
        subscription = get_subscription(ctx, subscription_id)
        undone, facts = lifecycle.cancellation_undone(subscription)
        return _stored(ctx, _decision(subscription, undone, facts, verb="undo"))

    return deciding(decide)


def reactivate_subscription(ctx: Context, subscription_id: str) -> Subscription:
    """Bring a cancelled subscription back with the prices it had; it is active once paid.

    Safe to run twice: its new period's invoice derives from the new start, and an unfinished first payment is
    continued. A period that was billed before and never began is not billed again. What is still owed for it
    must be paid or written off first: InvalidStateError names the invoice.
    """

    def decide() -> Subscription:
        subscription = get_subscription(ctx, subscription_id)
        if subscription.started_at is not None and subscription.release_at is not None:
            return subscription
        buyer = load_buyer(ctx, subscription.customer_id)
        refuse_erased(buyer.customer)
        back = lifecycle.reactivated(subscription, ctx.now)
        _require_settled(ctx, subscription)
        if back.plan.price is not None:
            require_method(back, buyer.account)
        if _is_billed(ctx, back):
            resumed = starting.resume(back, collection.instants(ctx))
            return _stored(ctx, replace(resumed, account=buyer.account))
        return _stored(ctx, _begun(ctx, back, buyer, _catalog_of(ctx, subscription)))

    return _first_payment(ctx, deciding(decide))


def _start(ctx: Context, customer_id: str, order: Order, subscription_id: str) -> Subscription:
    buyer = load_buyer(ctx, customer_id)
    refuse_erased(buyer.customer)
    catalog = current_catalog(ctx)
    draft = ordering.draft(order, catalog, buyer.customer, subscription_id, ctx.now)
    draft = replace(draft, request=ctx.request_print)
    redeemed = coupons.redeemed(ctx, draft, order.coupon)
    draft = redeemed.subscription
    trial = trials.trial_to_start(ctx, order, catalog, buyer.account, buyer.customer)
    if trial is None:
        if draft.plan.price is not None:
            require_method(draft, buyer.account)
        return _stored(ctx, redeemed.onto(_begun(ctx, draft, buyer, catalog, current=catalog)))
    if trial.card_required:
        require_method(draft, buyer.account)
    return _stored(ctx, redeemed.onto(trials.trial_begun(ctx, draft, buyer, trial)))


def _begun(
    ctx: Context, draft: Subscription, buyer: Buyer, catalog: Catalog, *, current: Catalog | None = None
) -> Decision:
    first = occasion(ctx, draft, buyer.customer, catalog, current=current)
    decision = starting.begin(
        draft,
        card_limits.with_room(ctx, buyer.account, first.attempts_per_card),
        occasion=first,
        granularity=catalog.proration,
        at=collection.instants(ctx),
    )
    # Also where nothing is due: whoever erases the customer meanwhile writes the account too, and one loses.
    return replace(decision, account=decision.account or buyer.account)


def _is_billed(ctx: Context, back: Subscription) -> bool:
    """Whether the first period of a reactivated subscription has its invoice already, paid or sent."""
    first = first_invoice_id(lifecycle.with_first_period(back)) if back.interval is not None else None
    invoice = ctx.store.get(child_key(Invoice, ctx.env, first)) if first is not None else None
    return invoice is not None and invoice.status in (InvoiceStatus.PAID, InvoiceStatus.OPEN)


def _stored(ctx: Context, decision: Decision) -> Subscription:
    assert decision.subscription is not None
    stored = decisions.commit(ctx, decision.subscription.customer_id, decision)
    assert stored.subscription is not None
    return stored.subscription


def _first_payment(ctx: Context, subscription: Subscription) -> Subscription:
    """Collect the invoice that gates the subscription, if one does, and say what came of it."""
    invoice_id = first_invoice_id(subscription)
    if subscription.release_at is None or invoice_id is None:
        return subscription
    invoice = collection.collect(ctx, *collection.load(ctx, invoice_id))
    if invoice.status is InvoiceStatus.PAID:
        return get_subscription(ctx, subscription.id)
    if invoice.attempt is None or not invoice.attempt.awaits_customer:
        refuse_unpaid(ctx, invoice)
    return subscription


def _require_settled(ctx: Context, subscription: Subscription) -> None:
    """Debts are not forgotten by leaving and coming back. An invoice that was sent may wait for its due date."""
    for invoice in ctx.store.children(Invoice, ctx.env, subscription.customer_id):
        owed = invoice.status is InvoiceStatus.OPEN and invoice.due_at <= ctx.now
        if owed and invoice.subscription_id == subscription.id:
            raise InvalidStateError(
                f"invoice {invoice.number} is still open",
                fix=f"POST /v1/invoices/{invoice.id}/pay, or …/mark_uncollectible",
                subscription=subscription.id,
                invoice=invoice.id,
            )


def _decision(
    subscription: Subscription, changed: Subscription, facts: tuple[Fact, ...], *, verb: str
) -> Decision:
    """A change of the subscription, with the movement of MRR that it is."""
    cause = f"{verb}:{subscription.id}:{subscription.version}"
    changed, movements = moved(changed, cause)
    return Decision(cause=cause, subscription=changed, facts=facts, movements=movements)


def _stop_waiting(ctx: Context, subscription: Subscription) -> None:
    run = subscription.dunning
    for owed in run.invoices if run else ():
        collection.stop_waiting(ctx, *collection.load(ctx, owed))


def _find_own(ctx: Context, subscription_id: str) -> Subscription | None:
    """What the same request had created before; another content under its key is refused."""
    existing = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    if existing is not None and existing.request != ctx.request_print:
        raise IdempotencyMismatchError(
            "this Idempotency-Key was used with another request", field="Idempotency-Key", fix="use a new key"
        )
    return existing


def _catalog_of(ctx: Context, subscription: Subscription) -> Catalog:
    return ctx.catalogs.version(ctx.env, subscription.catalog_version)
