"""Trials changed by hand: put off, and ended early."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import collection, decisions, renewals
from chalicelib.application.context import Context, deciding
from chalicelib.application.subscription_records import first_invoice_id, get_subscription, require_method
from chalicelib.domain import ids, lifecycle
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.subscription import Status, Subscription


def extend_trial(ctx: Context, subscription_id: str, days: int) -> Subscription:
    """The trial's end so many days later; an audit fact says who moved it.

    Safe to run twice: the request is noted on the trial. InvalidStateError outside of a trial, and while its
    cancellation is asked for; ValidationError where it becomes too long.
    """
    request = ids.token("extension", ctx.request_key)

    def decide() -> Subscription:
        subscription = get_subscription(ctx, subscription_id)
        extended, facts = lifecycle.trial_extended(subscription, days, ctx.now, request)
        if not facts:
            return subscription
        cause = f"extend_trial:{subscription.id}:{request}"
        decision = Decision(cause=cause, subscription=extended, facts=facts)
        stored = decisions.commit(ctx, subscription.customer_id, decision)
        assert stored.subscription is not None
        return stored.subscription

    return deciding(decide)


def end_trial_early(ctx: Context, subscription_id: str) -> Subscription:
    """The trial ends now and the first paid period begins, anchored now, as it would at the trial's own end.

    Needs a payment method (ValidationError) unless invoices are sent. A declined charge leaves the subscription
    past due, in dunning. Safe to run twice: a trial that was ended before is answered as it stands, its payment
    finished. InvalidStateError for what is in no trial, and while its cancellation is asked for.
    """
    get_subscription(ctx, subscription_id)

    def decide() -> None:
        standing = renewals.standing_of(ctx, subscription_id, consistent=True)
        if standing is None:
            raise NotFoundError("no such subscription", id=subscription_id)
        if _is_converted(standing.subscription):
            return
        cut, facts = lifecycle.trial_cut_short(standing.subscription, ctx.now)
        require_method(cut, standing.account)
        decision = renewals.trial_ended(ctx, replace(standing, subscription=cut))
        decision = replace(decision, facts=(*facts, *decision.facts))
        decisions.commit(ctx, cut.customer_id, decision)

    deciding(decide)
    return _collected(ctx, get_subscription(ctx, subscription_id))


def _is_converted(subscription: Subscription) -> bool:
    trial = subscription.trial
    return trial is not None and subscription.is_running and subscription.status is not Status.TRIALING


def _collected(ctx: Context, subscription: Subscription) -> Subscription:
    """The first charge made, or one that a crash left open finished: the invoice's attempt says which."""
    invoice_id = first_invoice_id(subscription)
    if invoice_id is None:
        return subscription
    collection.collect(ctx, *collection.load(ctx, invoice_id))
    return get_subscription(ctx, subscription.id)
