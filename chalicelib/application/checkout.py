"""Checkout sessions: what becomes of the hosted page that a subscription waits for (opened in `checkout_opening`).

Three parties report that a page was used: the customer's return, the processor's webhook and the hourly
reconciler. All of them call `complete_checkout`; versions let one of them write, the others read what it wrote.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.application import collection, coupons, decisions, renewals, trials
from chalicelib.application.calling_off import close_attempt
from chalicelib.application.context import Context, deciding
from chalicelib.application.late_money import return_late
from chalicelib.application.ports import CheckoutState
from chalicelib.application.records import Key, account_key, child_key
from chalicelib.application.subscription_records import load_buyer, occasion
from chalicelib.domain import checkout_rules, ids, starting
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.checkout import CheckoutMode, CheckoutSession, CheckoutStatus
from chalicelib.domain.checkout_rules import Standing
from chalicelib.domain.customer import Customer, PaymentMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import (
    InvalidStateError,
    NotFoundError,
)
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import ChargeResult, Outcome
from chalicelib.domain.return_urls import with_session
from chalicelib.domain.subscription import Status, Subscription


def get_checkout(ctx: Context, checkout_id: str) -> CheckoutSession:
    """NotFoundError for a malformed, missing or foreign id alike."""
    session = ctx.store.get(child_key(CheckoutSession, ctx.env, ids.require("chk", checkout_id)))
    if session is None:
        raise NotFoundError("no such checkout session", id=checkout_id)
    return session


def payment_status(ctx: Context, session: CheckoutSession) -> str:
    """`paid`, `processing` (a bank debit under way), `unpaid`, or `no_payment_required`."""
    invoice = ctx.store.get(child_key(Invoice, ctx.env, session.invoice_id)) if session.invoice_id else None
    return checkout_rules.payment_status(session, invoice)


def complete_checkout(ctx: Context, checkout_id: str) -> CheckoutSession:
    """Ask the processor what became of the page and write it down: paid, card saved, expired, or nothing yet.

    Safe to run any number of times and at once: the first to commit settles the attempt, activates the
    subscription, keeps the method and completes the session in one transaction; the others find it done. A
    payment that takes days leaves the session open. Money that comes after a release is refunded, once.
    """
    session = get_checkout(ctx, checkout_id)
    if session.status is CheckoutStatus.COMPLETE or session.reference is None:
        return session
    return _apply(ctx, session, ctx.gateway.checkout(session.reference))


def return_address(ctx: Context, session: CheckoutSession) -> str | None:
    """Where the customer goes from the page: the merchant's success address once the page has done its part (a
    bank debit may still be under way), the cancel address once it is given up, None while it is open.
    """
    if session.status is CheckoutStatus.EXPIRED:
        return with_session(session.cancel_url, session.id)
    if session.status is CheckoutStatus.COMPLETE or payment_status(ctx, session) == "processing":
        return with_session(session.success_url, session.id)
    return None


def expire_checkout(ctx: Context, checkout_id: str) -> CheckoutSession:
    """Give the session up on request: page closed, invoice void, everything consumed given back.

    Safe to run twice. InvalidStateError when it is complete, or was paid at the last moment.
    """
    session = get_checkout(ctx, checkout_id)
    if session.status is CheckoutStatus.OPEN:
        session = _release(ctx, session)
    if session.status is not CheckoutStatus.EXPIRED:
        raise InvalidStateError(
            f"the checkout session is {session.status} and cannot be expired any more",
            fix="read it again",
            checkout_session=session.id,
        )
    return session


def release_checkout(ctx: Context, checkout_id: str) -> None:
    """The due row of a session: given up, unless it was paid meanwhile.

    Safe to run twice. Nothing is void before the processor has confirmed that the page can take no money; while
    a payment is under way the release is put off.
    """
    session = ctx.store.get(child_key(CheckoutSession, ctx.env, checkout_id))
    if session is None or session.status is not CheckoutStatus.OPEN or session.release_at > ctx.now:
        return
    _release(ctx, session)


def release_incomplete(ctx: Context, subscription_id: str) -> None:
    """The due row of an incomplete subscription: given up through its hosted page where it has an open one."""
    subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
    if subscription is None or subscription.release_at is None or subscription.release_at > ctx.now:
        return
    sessions = ctx.store.children(CheckoutSession, ctx.env, ids.customer_of(subscription_id))
    for session in sessions:
        if session.subscription_id == subscription_id and session.status is CheckoutStatus.OPEN:
            _release(ctx, session)
            return
    renewals.release_incomplete(ctx, subscription_id)


def _apply(ctx: Context, session: CheckoutSession, state: CheckoutState) -> CheckoutSession:
    if not state.complete:
        return session if state.payable else _give_up(ctx, session)
    if session.mode is CheckoutMode.SETUP:
        return _card_saved(ctx, session, state.method)
    if state.charge is None:
        return session
    done = _paid(ctx, session, state.charge, state.method)
    refused = state.charge.outcome is Outcome.DECLINED
    return _give_up(ctx, done) if refused and done.status is CheckoutStatus.OPEN else done


def _paid(
    ctx: Context, session: CheckoutSession, charge: ChargeResult, method: PaymentMethod | None
) -> CheckoutSession:
    fresh: Standing | None = _with_known_attempt(ctx, _standing_of(ctx, session), charge)

    def decide() -> CheckoutSession:
        nonlocal fresh
        standing, fresh = fresh or _standing(ctx, session.id), None
        if checkout_rules.is_late(standing, charge):
            return _refund(ctx, standing, charge)
        decision = checkout_rules.paid(standing, charge, method, collection.instants(ctx))
        if decision is None:
            return standing.session
        stored = decisions.commit(ctx, session.customer_id, decision)
        written = (each for each in stored.also if isinstance(each, CheckoutSession))
        return next(written, standing.session)

    return deciding(decide)


def _with_known_attempt(ctx: Context, standing: Standing, charge: ChargeResult) -> Standing:
    """A saved card may have been charged for the same invoice at the same time: that is learned first. Where it
    waits for its customer, who has paid here, it is given up.
    """
    attempt = standing.invoice.attempt if standing.invoice else None
    if standing.invoice is None or attempt is None or not attempt.is_open:
        return standing
    if attempt.reference != charge.reference:
        if attempt.awaits_customer and charge.outcome in (Outcome.SUCCEEDED, Outcome.PROCESSING):
            collection.stop_waiting(ctx, standing.invoice, standing.subscription)
        else:
            collection.collect(ctx, standing.invoice, standing.subscription)
        return _standing(ctx, standing.session.id)
    return standing


def _refund(ctx: Context, standing: Standing, charge: ChargeResult) -> CheckoutSession:
    """Give late money back. May run twice: it is one payment, and the session notes its refund once."""
    assert standing.invoice is not None
    return_late(ctx, standing.invoice, charge, checkout_rules.refunded(standing, charge))
    return get_checkout(ctx, standing.session.id)


def _card_saved(ctx: Context, session: CheckoutSession, method: PaymentMethod | None) -> CheckoutSession:
    """The trial begins, or the subscription whose first invoice asked for nothing.

    A trial that was had with this card, or meanwhile with this mailbox, by somebody else is refused before it
    starts: the page said that nothing is due today, so nothing is charged. The session is complete, the card
    saved, and the subscription incomplete; its first invoice can be paid until it is released.
    """

    def decide() -> Decision | None:
        standing = _standing(ctx, session.id)
        if standing.session.status is not CheckoutStatus.OPEN:
            return None
        return decisions.commit(ctx, session.customer_id, _started(ctx, standing, method))

    decision = deciding(decide)
    if decision is not None and decision.invoice is not None and decision.subscription is not None:
        collection.collect(ctx, decision.invoice, decision.subscription)
    return get_checkout(ctx, session.id)


def _started(ctx: Context, standing: Standing, method: PaymentMethod | None) -> Decision:
    subscription, session = standing.subscription, standing.session
    if subscription.status is not Status.INCOMPLETE:
        return checkout_rules.card_only(standing, method, ctx.now)
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    customer = load_buyer(ctx, subscription.customer_id).customer
    if session.trial_days is not None:
        reason = trials.had(ctx, standing.account, customer.email, method)
        if reason is None:
            return _trial_started(ctx, standing, customer, catalog, method)
        standing = replace(standing, account=replace(standing.account, trial_used=False))
        decision = _begun(ctx, standing, customer, catalog, method)
        decision = checkout_rules.trial_refused(decision, standing, method, reason=reason, now=ctx.now)
        return coupons.released_where_expired(ctx, decision, subscription)
    return checkout_rules.begun(_begun(ctx, standing, customer, catalog, method), standing, method, ctx.now)


def _trial_started(
    ctx: Context, standing: Standing, customer: Customer, catalog: Catalog, method: PaymentMethod | None
) -> Decision:
    terms = catalog.plan(standing.subscription.plan.product).trial
    assert terms is not None, "a trial was reserved from this catalog version"
    assert standing.session.trial_days is not None
    terms = replace(terms, days=standing.session.trial_days)
    started = checkout_rules.trial_started(standing, terms, method, ctx.now)
    claims = trials.claims_of(ctx, standing.account, customer.email, method)
    return replace(started, also=(*started.also, *claims))


def _begun(
    ctx: Context, standing: Standing, customer: Customer, catalog: Catalog, method: PaymentMethod | None
) -> Decision:
    """The subscription with its first invoice. A refused trial's is not charged: that takes a request to pay."""
    account = standing.account
    return starting.begin(
        standing.subscription,
        replace(account, payment_method=method or account.payment_method),
        occasion=occasion(ctx, standing.subscription, customer, catalog),
        granularity=catalog.proration,
        at=collection.instants(ctx),
        hosted=standing.session.trial_days is not None,
    )


def _release(ctx: Context, session: CheckoutSession) -> CheckoutSession:
    """Close the page, then void what it was for; or write down that it was paid after all."""
    if session.reference is not None:
        state = ctx.gateway.close_checkout(session.reference)
        session = _apply(ctx, session, state)
        if session.status is CheckoutStatus.OPEN and (state.complete or state.payable):
            return _put_off(ctx, session)
    if session.status is not CheckoutStatus.OPEN:
        return session
    return _give_up(ctx, session)


def _put_off(ctx: Context, session: CheckoutSession) -> CheckoutSession:
    """Tried again later: a payment is under way, or the processor keeps the page open."""

    def decide() -> CheckoutSession:
        standing = _standing(ctx, session.id)
        if standing.session.status is not CheckoutStatus.OPEN or standing.session.release_at > ctx.now:
            return standing.session
        status = checkout_rules.payment_status(standing.session, standing.invoice)
        wait = checkout_rules.PROCESSING_WAIT if status == "processing" else checkout_rules.RETRY_WAIT
        decisions.commit(ctx, session.customer_id, checkout_rules.postponed(standing, ctx.now + wait))
        return get_checkout(ctx, session.id)

    return deciding(decide)


def _give_up(ctx: Context, session: CheckoutSession) -> CheckoutSession:
    """Expired, with everything it had consumed given back. Only when no money can come from the page."""
    if session.invoice_id is not None and not close_attempt(ctx, session.invoice_id):
        return _put_off(ctx, session)

    def decide() -> CheckoutSession:
        standing = _standing(ctx, session.id)
        current = standing.session
        if current.status is not CheckoutStatus.OPEN:
            return current
        expired = replace(current, status=CheckoutStatus.EXPIRED)
        if standing.subscription.status is Status.INCOMPLETE:
            records: tuple[object, ...] = (expired,)
            if current.trial_days is not None:
                records = (expired, replace(standing.account, trial_used=False))
            renewals.release(ctx, current.subscription_id, current.invoice_id, *records)
        else:  # begun otherwise, on a saved card: only the page is over
            ctx.store.commit(ctx.env, expired)
        return get_checkout(ctx, session.id)

    return deciding(decide)


def _standing(ctx: Context, checkout_id: str) -> Standing:
    return _standing_of(ctx, get_checkout(ctx, checkout_id))


def _standing_of(ctx: Context, session: CheckoutSession) -> Standing:
    """What goes with the session, read in one request; its version tells whether it is still true."""
    keys: list[Key[Any]] = [
        child_key(Subscription, ctx.env, session.subscription_id),
        account_key(ctx.env, session.customer_id),
    ]
    if session.invoice_id is not None:
        keys.append(child_key(Invoice, ctx.env, session.invoice_id))
    subscription, account, *invoice = ctx.store.get_many(keys)
    assert subscription is not None
    assert account is not None
    return Standing(
        session=session, subscription=subscription, account=account, invoice=invoice[0] if invoice else None
    )
