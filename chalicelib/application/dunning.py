"""Collecting what is in arrears: the scheduled tries, a new card's try, and what people do by hand."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from chalicelib.application import collection, decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import VersionConflict
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain import awaiting_customer, dunning, holding, ids
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError, GatewayUnavailableError, InvalidStateError, NotFoundError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.metrics import moved
from chalicelib.domain.schedule import DueKind, next_due
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.write_off import written_off


def run_dunning(ctx: Context, subscription_id: str) -> None:
    """The next try of a dunning run, on its oldest invoice.

    Safe to run twice: an attempt in the air is finished before another begins, and settling moves the run on.
    An invoice that was settled otherwise meanwhile only leaves the run. One whose attempt waits for its customer is
    left to them until the last day, unless there is another card: then that attempt is cancelled first. While the
    customer disputes a payment the run waits.
    """
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    due = next_due(subscription) if subscription else None
    if subscription is None or subscription.dunning is None or due is None:
        return
    if due.kind is not DueKind.DUNNING or due.at > ctx.now:
        return
    oldest = subscription.dunning.invoices[0]
    invoice = ctx.store.get(child_key(Invoice, ctx.env, oldest))
    if invoice is None or invoice.status is not InvoiceStatus.OPEN:
        _leave_run(ctx, subscription_id, oldest)
    elif collection.account_of(ctx, subscription.customer_id).disputes:
        _put_off(ctx, subscription_id)
    elif not _keeps_waiting(ctx, invoice, subscription):
        collection.begin_and_collect(ctx, oldest, automatic=True)


def try_new_method(ctx: Context, customer_id: str) -> None:
    """Run what a new payment method has made due (see `payment_methods.attached`) without waiting for the tick.

    Safe to run twice, as `run_dunning` is. What cannot be reached now, or is being paid by somebody else, is left to
    the due row.
    """
    for subscription in ctx.store.standing(ctx.env, customer_id).subscriptions:
        with suppress(GatewayUnavailableError, ConflictError, InvalidStateError):
            run_dunning(ctx, subscription.id)


def retry_now(ctx: Context, subscription_id: str) -> Subscription:
    """Try the run's oldest invoice by hand, ahead of the schedule, which stays as it is.

    Safe to run twice, as `run_dunning` is. InvalidStateError when nothing is in arrears.
    """
    subscription = _in_arrears(ctx, subscription_id)
    assert subscription.dunning is not None
    collection.begin_and_collect(ctx, subscription.dunning.invoices[0])
    return get_subscription(ctx, subscription_id)


def extend_grace(ctx: Context, subscription_id: str, days: int) -> Subscription:
    """Keep access for so many days from now, whatever the policy says; an audit fact is written."""

    def decide() -> Subscription:
        subscription = _in_arrears(ctx, subscription_id)
        extended, facts = dunning.with_grace(subscription, ctx.now + timedelta(days=days))
        cause = f"grace:{subscription.id}:{subscription.version}"
        stored = decisions.commit(
            ctx, subscription.customer_id, Decision(cause=cause, subscription=extended, facts=facts)
        )
        assert stored.subscription is not None
        return stored.subscription

    return deciding(decide)


def mark_uncollectible(ctx: Context, invoice_id: str) -> Invoice:
    """Write an open invoice off by hand; a dunning run goes on with the next, or ends recovered.

    Safe to run twice: the second time it is not open any more. An attempt in the air must be settled first; one
    that waits for its customer is cancelled.
    """
    ids.require("inv", invoice_id)

    collection.stop_waiting(ctx, *collection.load(ctx, invoice_id))

    def decide() -> Invoice:
        invoice, subscription = collection.load(ctx, invoice_id)
        if invoice.status is not InvoiceStatus.OPEN:
            raise InvalidStateError(
                f"an invoice that is {invoice.status} is not written off", invoice=invoice_id
            )
        if invoice.activates or (invoice.attempt is not None and invoice.attempt.is_open):
            raise InvalidStateError(
                "a payment of this invoice may still come",
                fix="wait for it to be settled",
                invoice=invoice_id,
            )
        closed, facts, postings = written_off(invoice, ctx.now)
        cause = f"written_off:{invoice.id}"
        after, more = dunning.collected(subscription, invoice.id, ctx.now)
        after, movements = moved(after, cause)
        decision = Decision(
            cause=cause,
            invoice=closed,
            subscription=after if after != subscription else None,
            facts=(*facts, *more),
            postings=postings,
            movements=movements,
        )
        stored = decisions.commit(ctx, invoice.customer_id, decision)
        assert stored.invoice is not None
        return stored.invoice

    return deciding(decide)


def _keeps_waiting(ctx: Context, invoice: Invoice, subscription: Subscription) -> bool:
    """Whether the customer may still confirm the attempt. A run that is due early for it (it came to the front, or
    the card on file is the same) is put off to its last day.
    """
    attempt, last_day = invoice.attempt, awaiting_customer.last_day(subscription)
    if attempt is None or not attempt.awaits_customer or last_day <= ctx.now:
        return False
    account = collection.account_of(ctx, invoice.customer_id)
    if account.payment_method is not None and account.payment_method.id != attempt.method:
        return False
    # The account is written with it: a card that is saved at the same moment is not slept through.
    paused = Decision(
        cause=f"pause:{subscription.id}:{subscription.version}",
        account=account,
        subscription=awaiting_customer.paused_until_last_day(subscription),
    )
    with suppress(VersionConflict):  # decided anew when its row comes again
        decisions.commit(ctx, subscription.customer_id, paused)
    return True


def _put_off(ctx: Context, subscription_id: str) -> None:
    def decide() -> None:
        subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
        if subscription is None or subscription.dunning is None or subscription.dunning.next_at is None:
            return
        if subscription.dunning.next_at <= ctx.now:
            ctx.store.commit(ctx.env, holding.put_off(subscription, ctx.now))

    deciding(decide)


def _in_arrears(ctx: Context, subscription_id: str) -> Subscription:
    subscription = get_subscription(ctx, subscription_id)
    if subscription.dunning is None or not subscription.is_running:
        raise InvalidStateError("nothing is in arrears", subscription=subscription_id)
    return subscription


def _leave_run(ctx: Context, subscription_id: str, invoice_id: str) -> None:
    def decide() -> None:
        subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
        if subscription is None:
            raise NotFoundError("no such subscription", id=subscription_id)
        after, facts = dunning.collected(subscription, invoice_id, ctx.now)
        if after == subscription:
            return
        cause = f"leave:{subscription_id}:{invoice_id}"
        decisions.commit(
            ctx, subscription.customer_id, Decision(cause=cause, subscription=after, facts=facts)
        )

    deciding(decide)
