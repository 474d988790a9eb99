"""What becomes of a hosted page: opened, paid, its card saved, or paid too late. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.domain import collection, lifecycle
from chalicelib.domain.catalog import TrialTerms
from chalicelib.domain.checkout import CheckoutMode, CheckoutSession, CheckoutStatus
from chalicelib.domain.customer import Account, PaymentMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import Fact
from chalicelib.domain.late_money import late_payment_id
from chalicelib.domain.payment import AttemptStatus, ChargeResult, Instants, Outcome
from chalicelib.domain.subscription import Status, Subscription

_OPEN = (Outcome.UNKNOWN, Outcome.REQUIRES_ACTION)
PAGE_LIFETIME = timedelta(hours=23)
"""How long the processor's page can be used: it takes at most 24 hours."""
SHORTEST_PAGE = timedelta(minutes=31)
"""The processor opens no page for less than half an hour."""
RELEASE_MARGIN = timedelta(hours=1)
"""The subscription's own release comes after its page's, which closes the page first."""
PROCESSING_WAIT = timedelta(days=3)
"""How long a payment that takes days (a bank debit) holds back the release, each time."""
RETRY_WAIT = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A checkout with all that its end touches, as read in one request. `invoice` is None in setup mode."""

    session: CheckoutSession
    subscription: Subscription
    account: Account
    invoice: Invoice | None = None


def opened(
    session: CheckoutSession, draft: Subscription, account: Account, first: Decision | None
) -> Decision:
    """The page to be opened: PAYMENT for the open first invoice of `first`, else SETUP.

    Without anything due now the subscription stays a draft until the card is saved; a trial is reserved at once,
    so that what the customer was shown ("nothing due today") stays true.
    """
    if first is not None and first.invoice is not None and first.invoice.status is InvoiceStatus.OPEN:
        invoice = replace(first.invoice, checkout_id=session.id)
        session = replace(session, mode=CheckoutMode.PAYMENT, invoice_id=invoice.id)
        return replace(first, invoice=invoice, also=(session,), facts=(*first.facts, _opened(session)))
    session = replace(session, mode=CheckoutMode.SETUP)
    reserved = replace(account, trial_used=True) if session.trial_days is not None else account
    created = Fact("subscription.created", draft.id, lifecycle.subscription_data(draft))
    return Decision(
        cause=f"checkout:{session.id}",
        account=reserved,
        subscription=draft,
        also=(session,),
        facts=(created, _opened(session)),
    )


def paid(
    standing: Standing, charge: ChargeResult, method: PaymentMethod | None, at: Instants
) -> Decision | None:
    """What the page's payment means for session, invoice, subscription and account; None: nothing to write.

    May run any number of times, from the customer's return, a webhook or the reconciler. Money that the invoice
    cannot take is not decided here: ask `is_late` first.
    """
    session, invoice = standing.session, standing.invoice
    if session.status is not CheckoutStatus.OPEN or invoice is None or charge.outcome in _OPEN:
        return None
    if holds(invoice, charge):
        settled = Decision(cause=f"checkout:{session.id}:complete")
    elif invoice.status is not InvoiceStatus.OPEN:
        return None  # paid otherwise meanwhile: the outcome is waited for, and money that comes is late
    elif is_waiting(standing, charge) or _was_refused(invoice, charge) or _is_taken(invoice, charge):
        return None
    else:
        begun = collection.hosted(invoice, standing.account, charge, at)
        decided = collection.settle(begun, standing.subscription, charge, at=at)
        assert decided is not None, "an attempt that was just begun is open"
        settled = decided
    if charge.outcome is Outcome.DECLINED:
        return settled
    if not _is_noted(invoice, charge):  # else it was kept then, and may have been replaced since
        settled = _with_method(settled, standing.account, method)
    return _completed(settled, session, at.business) if charge.outcome is Outcome.SUCCEEDED else settled


def _is_noted(invoice: Invoice, charge: ChargeResult) -> bool:
    return any(
        each.reference == charge.reference and each.status is not AttemptStatus.DECLINED
        for each in invoice.attempts
    )


def holds(invoice: Invoice, charge: ChargeResult) -> bool:
    """Whether this payment is on the invoice already: somebody else settled it first."""
    return any(payment.reference == charge.reference for payment in invoice.payments)


def _was_refused(invoice: Invoice, charge: ChargeResult) -> bool:
    return any(each.reference == charge.reference and not each.is_open for each in invoice.attempts)


def _is_taken(invoice: Invoice, charge: ChargeResult) -> bool:
    """Whether another attempt is in the air, by a saved card: its outcome comes first."""
    attempt = invoice.attempt
    return attempt is not None and attempt.is_open and attempt.reference != charge.reference


def is_late(standing: Standing, charge: ChargeResult) -> bool:
    """Whether the money came when there was nothing left to pay: it goes back."""
    session, invoice = standing.session, standing.invoice
    if charge.outcome is not Outcome.SUCCEEDED or invoice is None or session.refund is not None:
        return False
    return invoice.status is not InvoiceStatus.OPEN and not holds(invoice, charge)


def is_waiting(standing: Standing, charge: ChargeResult) -> bool:
    """Whether a payment that takes days is noted already and its next look is not due."""
    attempt = standing.invoice.attempt if standing.invoice else None
    return (
        charge.outcome is Outcome.PROCESSING
        and attempt is not None
        and attempt.status is AttemptStatus.PROCESSING
        and standing.subscription.status is Status.INCOMPLETE
    )


def refunded(standing: Standing, charge: ChargeResult) -> CheckoutSession:
    """The session with the payment that came too late, and goes back, noted on it: it lets that happen once."""
    session = standing.session
    assert charge.reference is not None
    status = CheckoutStatus.EXPIRED if session.status is CheckoutStatus.OPEN else session.status
    payment = late_payment_id(session.customer_id, charge.reference)
    return replace(session, status=status, refund=payment)


def trial_started(
    standing: Standing, terms: TrialTerms, method: PaymentMethod | None, now: datetime
) -> Decision:
    """The card is saved, so the trial begins now."""
    session, subscription = standing.session, standing.subscription
    running, facts = lifecycle.trialing(subscription, terms, now)
    decision = Decision(cause=f"trial:{subscription.id}", subscription=running, facts=facts)
    return _completed(_with_method(decision, standing.account, method), session, now)


def trial_refused(
    begun_: Decision, standing: Standing, method: PaymentMethod | None, *, reason: str, now: datetime
) -> Decision:
    """The card is saved, and somebody else has had a trial with it (or with this mailbox): there is none.

    `begun_` has the first invoice, which is not charged by itself; the subscription is given up where nobody pays.
    Where account credit would pay it, that is not taken unasked: the subscription is given up at once.
    """
    subscription, invoice = begun_.subscription, begun_.invoice
    data = {**lifecycle.subscription_data(standing.subscription), "reason": reason}
    refused = Fact("subscription.trial_refused", standing.subscription.id, data)
    if invoice is None or subscription is None or invoice.status is not InvoiceStatus.OPEN:
        gone, facts = lifecycle.expired(standing.subscription, now)
        decision = Decision(
            cause=f"trial:{gone.id}", account=standing.account, subscription=gone, facts=(refused, *facts)
        )
        return _completed(_with_method(decision, standing.account, method), standing.session, now)
    waiting = replace(subscription, release_at=now + lifecycle.RELEASE_AFTER)
    data = {**data, "amount_due": invoice.amount_due, "currency": invoice.currency}
    refused = replace(refused, data={**data, "release_at": (now + lifecycle.RELEASE_AFTER).isoformat()})
    decision = replace(
        begun_,
        account=begun_.account or standing.account,
        subscription=waiting,
        facts=(refused, *begun_.facts),
    )
    session = replace(standing.session, invoice_id=invoice.id)
    return begun(decision, replace(standing, session=session), method, now)


def begun(decision: Decision, standing: Standing, method: PaymentMethod | None, now: datetime) -> Decision:
    """The card is saved and `decision` begins the subscription: the session is complete with it."""
    known = tuple(fact for fact in decision.facts if fact.type != "subscription.created")
    decision = replace(decision, facts=known)
    return _completed(_with_method(decision, standing.account, method), standing.session, now)


def card_only(standing: Standing, method: PaymentMethod | None, now: datetime) -> Decision:
    """A card was saved for a subscription that has begun otherwise: only the card is kept."""
    decision = Decision(cause=f"checkout:{standing.session.id}:complete")
    return _completed(_with_method(decision, standing.account, method), standing.session, now)


def payment_status(session: CheckoutSession, invoice: Invoice | None) -> str:
    """`paid`, `processing`, `unpaid`, or `no_payment_required`."""
    if invoice is None:
        return "no_payment_required"
    if invoice.status is InvoiceStatus.PAID:
        return "paid"
    attempt = invoice.attempt
    return "processing" if attempt and attempt.status is AttemptStatus.PROCESSING else "unpaid"


def postponed(standing: Standing, until: datetime) -> Decision:
    """Given up later: what the processor says does not allow it yet."""
    subscription = standing.subscription
    if subscription.release_at is not None:
        subscription = replace(subscription, release_at=until + RELEASE_MARGIN)
    return Decision(cause="", subscription=subscription, also=(replace(standing.session, release_at=until),))


def _with_method(decision: Decision, account: Account, method: PaymentMethod | None) -> Decision:
    if method is None or account.payment_method == method:
        return decision
    data = {"brand": method.brand, "last4": method.last4, "kind": method.kind}
    fact = Fact("payment_method.attached", account.customer_id, data)
    kept = replace(decision.account or account, payment_method=method)
    return replace(decision, account=kept, facts=(fact, *decision.facts))


def _completed(decision: Decision, session: CheckoutSession, now: datetime) -> Decision:
    complete = replace(session, status=CheckoutStatus.COMPLETE, completed_at=now)
    fact = Fact("checkout.completed", session.id, _data(session))
    return replace(decision, also=(*decision.also, complete), facts=(*decision.facts, fact))


def _opened(session: CheckoutSession) -> Fact:
    return Fact("checkout.opened", session.id, _data(session))


def _data(session: CheckoutSession) -> dict[str, object]:
    return {
        "checkout": session.id,
        "customer": session.customer_id,
        "subscription": session.subscription_id,
        "mode": str(session.mode),
    }
