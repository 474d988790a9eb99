"""What the clock brings to a subscription: renewal, trial, cancellation, dunning, release. One job, one subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.application import card_limits, collection, coupons, decisions, final_invoices
from chalicelib.application.calling_off import close_attempt
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import account_key, child_key, customer_key
from chalicelib.application.subscription_records import first_invoice_id, occasion
from chalicelib.domain import billing, lifecycle, renewal, starting
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.checkout_rules import PROCESSING_WAIT
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.decision import Decision
from chalicelib.domain.ids import customer_of
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact
from chalicelib.domain.metrics import moved
from chalicelib.domain.payment import AttemptStatus
from chalicelib.domain.schedule import DueKind, next_due
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A subscription with everything its next period needs, as read in one request."""

    account: Account
    customer: Customer
    subscription: Subscription
    catalog: Catalog


_Decide = Callable[[Context, Standing], Decision]


def renew_subscription(ctx: Context, subscription_id: str) -> None:
    """Open the next period with its invoice and first attempt in one transaction, then collect it.

    May run twice, late, or at the same time elsewhere: the subscription's version and the invoice's derived id
    let one run open the period; the others find nothing due. A crash after the opening leaves the invoice's
    own due row, which `collect_due` finishes with the same key.
    """
    _open(ctx, subscription_id, DueKind.RENEWAL, _renewed)


def end_trial(ctx: Context, subscription_id: str) -> None:
    """The trial is over: first paid period, fall-back or lapse. Safe to run twice, as a renewal is."""
    _open(ctx, subscription_id, DueKind.TRIAL_END, trial_ended)


def remind_of_trial(ctx: Context, subscription_id: str) -> None:
    """Note the reminder that is due as sent; the mail follows from the fact. Once each: the note decides."""

    def decide() -> None:
        subscription = _due_subscription(ctx, subscription_id, DueKind.TRIAL_REMINDER)
        decision = renewal.remind(subscription, collection.instants(ctx)) if subscription else None
        if decision is not None:
            decisions.commit(ctx, customer_of(subscription_id), decision)

    deciding(decide)


def end_canceled(ctx: Context, subscription_id: str) -> None:
    """A scheduled cancellation takes effect. Safe to run twice: it finds itself done. What was billed in arrears has
    its final invoice in the same transaction, which is collected after it.
    """

    def decide() -> Decision | None:
        subscription = _due_subscription(ctx, subscription_id, DueKind.CANCELLATION)
        if subscription is None or subscription.cancellation is None:
            return None
        ended, facts = lifecycle.canceled(subscription, ctx.now, subscription.cancellation.reason)
        cause = f"end:{subscription.id}:{subscription.version}"
        ended, movements = moved(ended, cause)
        decision = Decision(cause=cause, subscription=ended, facts=facts, movements=movements)
        decision = final_invoices.closing(ctx, decision, subscription, occasion)
        return decisions.commit(ctx, subscription.customer_id, decision)

    done = deciding(decide)
    if done is not None:
        final_invoices.collect_final(ctx, done)


def win_back(ctx: Context, subscription_id: str) -> None:
    """Ask back whoever left, unless they came back with something else. Once: the time is cleared with the fact."""

    def decide() -> None:
        subscription = _due_subscription(ctx, subscription_id, DueKind.WIN_BACK)
        if subscription is None:
            return
        others = ctx.store.standing(ctx.env, subscription.customer_id).subscriptions
        decisions.commit(ctx, subscription.customer_id, renewal.win_back(subscription, others))

    deciding(decide)


def release_incomplete(ctx: Context, subscription_id: str) -> None:
    """Give up a subscription whose first payment did not come, once the processor can take none any more.

    Safe to run twice. A charge that turns out to have succeeded activates instead; one that takes days puts the
    release off; one whose outcome is still unknown keeps everything as it is for the next run.
    """
    subscription = _due_subscription(ctx, subscription_id, DueKind.RELEASE)
    if subscription is None:
        return
    invoice_id = first_invoice_id(subscription)
    if invoice_id is not None and not close_attempt(ctx, invoice_id):
        _put_off_release(ctx, subscription_id, invoice_id)
        return
    deciding(lambda: release(ctx, subscription_id, invoice_id))


def release(ctx: Context, subscription_id: str, invoice_id: str | None, *also: object) -> None:
    """Void the first invoice, give back what it consumed, and expire the subscription: one transaction."""
    invoice = ctx.store.get(child_key(Invoice, ctx.env, invoice_id)) if invoice_id else None
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    if subscription is None or subscription.release_at is None:
        return
    gone, facts = lifecycle.expired(subscription, ctx.now)
    cause = f"release:{subscription.id}:{subscription.version}"
    decision = Decision(cause=cause, subscription=gone, also=also, facts=facts)
    decision = coupons.released(ctx, decision, subscription, invoice)
    if invoice is not None and invoice.status is InvoiceStatus.OPEN:
        voided = billing.void(invoice, collection.account_of(ctx, subscription.customer_id), ctx.now)
        decision = replace(
            decision,
            account=voided.account,
            invoice=voided.invoice,
            postings=voided.postings,
            facts=(*decision.facts, *voided.facts),
        )
    decisions.commit(ctx, subscription.customer_id, decision)


def note_overdue(ctx: Context, invoice_id: str) -> None:
    """An invoice sent to the customer has passed its due date: said once."""

    def decide() -> None:
        invoice = ctx.store.get(child_key(Invoice, ctx.env, invoice_id))
        if invoice is None or invoice.overdue_at is None or invoice.overdue_at > ctx.now:
            return
        decision = Decision(
            cause=f"overdue:{invoice.id}",
            invoice=replace(invoice, overdue_at=None),
            facts=(Fact("invoice.overdue", invoice.id, billing.invoice_data(invoice)),),
        )
        decisions.commit(ctx, invoice.customer_id, decision)

    deciding(decide)


def _open(ctx: Context, subscription_id: str, kind: DueKind, decide_on: _Decide) -> None:
    """Decide and commit the opening; then collect what it opened."""
    tries = 0

    def decide() -> Decision | None:
        nonlocal tries
        standing = standing_of(ctx, subscription_id, consistent=tries > 0)
        tries += 1
        if standing is None or not _is_due(ctx, standing.subscription, kind):
            return None
        return decisions.commit(ctx, standing.subscription.customer_id, decide_on(ctx, standing))

    opened = deciding(decide)
    if opened is not None and opened.invoice is not None and opened.subscription is not None:
        collection.collect(ctx, opened.invoice, opened.subscription)


def _renewed(ctx: Context, standing: Standing) -> Decision:
    following = occasion(ctx, standing.subscription, standing.customer, standing.catalog)
    return renewal.renew(
        standing.subscription,
        card_limits.with_room(ctx, standing.account, following.attempts_per_card),
        occasion=following,
        granularity=standing.catalog.proration,
        at=collection.instants(ctx),
    )


def trial_ended(ctx: Context, standing: Standing) -> Decision:
    """What the end of the trial brings, see `starting.end_trial`."""
    trial = standing.subscription.trial
    fall_back = standing.catalog.plan(trial.fall_back_plan) if trial and trial.fall_back_plan else None
    first = occasion(ctx, standing.subscription, standing.customer, standing.catalog)
    return starting.end_trial(
        standing.subscription,
        card_limits.with_room(ctx, standing.account, first.attempts_per_card),
        occasion=first,
        granularity=standing.catalog.proration,
        at=collection.instants(ctx),
        fall_back=fall_back,
    )


def standing_of(ctx: Context, subscription_id: str, *, consistent: bool) -> Standing | None:
    """The subscription with what its next period needs; None where something of it is missing."""
    customer_id = customer_of(subscription_id)
    account, customer, subscription = ctx.store.get_many(
        [
            account_key(ctx.env, customer_id),
            customer_key(ctx.env, customer_id),
            child_key(Subscription, ctx.env, subscription_id),
        ],
        consistent=consistent,
    )
    if account is None or customer is None or subscription is None:
        return None
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    return Standing(account=account, customer=customer, subscription=subscription, catalog=catalog)


def _due_subscription(ctx: Context, subscription_id: str, kind: DueKind) -> Subscription | None:
    """The subscription if it really wants `kind` now: an index row is only a hint."""
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    if subscription is None or not _is_due(ctx, subscription, kind):
        return None
    return subscription


def _is_due(ctx: Context, subscription: Subscription, kind: DueKind) -> bool:
    due = next_due(subscription)
    return due is not None and due.kind is kind and due.at <= ctx.now


def _put_off_release(ctx: Context, subscription_id: str, invoice_id: str) -> None:
    """Asked again later where the first payment is a debit under way. May run twice: what is not due stays."""

    def decide() -> None:
        subscription = _due_subscription(ctx, subscription_id, DueKind.RELEASE)
        attempt = collection.load(ctx, invoice_id)[0].attempt
        if subscription is None or attempt is None or attempt.status is not AttemptStatus.PROCESSING:
            return
        later = replace(subscription, release_at=ctx.now + PROCESSING_WAIT)
        cause = f"put_off:{subscription_id}:{subscription.version}"
        decisions.commit(ctx, subscription.customer_id, Decision(cause=cause, subscription=later))

    deciding(decide)
