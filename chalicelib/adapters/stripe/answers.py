"""Stripe's objects, as plain dictionaries, in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from chalicelib.adapters.stripe.currencies import from_stripe
from chalicelib.adapters.stripe.declines import decline, decline_of
from chalicelib.application.ports import CheckoutState, Confirmation, ReportedRefund
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.dispute import DisputeState, DisputeStatus
from chalicelib.domain.payment import CANCELED, ChargeResult, Decline, DeclineKind, Outcome
from chalicelib.domain.refund import RefundResult, RefundStatus

Json = Mapping[str, Any]

_OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "processing": Outcome.PROCESSING,
    "requires_action": Outcome.REQUIRES_ACTION,
    "canceled": Outcome.DECLINED,
}
_REFUND_STATUSES: Final = {
    "succeeded": RefundStatus.SUCCEEDED,
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
}
_RANK: Final = [
    Outcome.SUCCEEDED,
    Outcome.PROCESSING,
    Outcome.UNKNOWN,
    Outcome.REQUIRES_ACTION,
    Outcome.DECLINED,
]

_DISPUTES: Final = {
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
    "warning_closed": DisputeStatus.INQUIRY_CLOSED,
    "needs_response": DisputeStatus.NEEDS_RESPONSE,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "appeal_needs_response": DisputeStatus.LOST,
    "appeal_under_review": DisputeStatus.LOST,
    "prevented": DisputeStatus.PREVENTED,
}
"""An appeal is ours to make: until it is won the money is gone, and nothing is held back for it."""


def charge_result(intent: Json) -> ChargeResult:
    """A payment intent as the outcome of a charge.

    One that waits for its customer at the bank, or that the bank refused for want of the customer's confirmation,
    REQUIRES_ACTION; one that was created but never confirmed says nothing yet: UNKNOWN.
    """
    outcome = _OUTCOMES.get(intent["status"], Outcome.UNKNOWN)
    refusal = None
    if intent["status"] == "requires_payment_method" and intent.get("last_payment_error"):
        refusal = decline_of(intent["last_payment_error"])
        outcome = _refused(refusal)
    elif outcome is Outcome.REQUIRES_ACTION:
        refusal = decline("authentication_required")
    elif outcome is Outcome.DECLINED:
        refusal = decline(CANCELED)
    charge = intent.get("latest_charge")
    return ChargeResult(
        outcome=outcome,
        reference=intent["id"],
        charge=charge["id"] if isinstance(charge, Mapping) else charge,
        charged=_received(intent) if outcome is Outcome.SUCCEEDED else 0,
        method=_method_of_intent(intent),
        decline=refusal,
    )


def refused_charge(error: Json) -> ChargeResult:
    """The outcome inside a 402, with the intent that Stripe made for it: a definite no, unless the customer can
    confirm that intent.
    """
    intent = error.get("payment_intent") or {}
    charge = intent.get("latest_charge") or error.get("charge")
    method, refusal = error.get("payment_method"), decline_of(error)
    return ChargeResult(
        outcome=_refused(refusal) if intent else Outcome.DECLINED,
        reference=intent.get("id"),
        charge=charge["id"] if isinstance(charge, Mapping) else charge,
        method=payment_method(method) if isinstance(method, Mapping) else None,
        decline=refusal,
    )


def confirmation(intent: Json) -> Confirmation:
    """An intent that was just confirmed, with where its customer goes on."""
    action = intent.get("next_action") or {}
    redirect = action.get("redirect_to_url") or {}
    waiting = intent["status"] == "requires_action"
    return Confirmation(result=charge_result(intent), url=redirect.get("url") if waiting else None)


def best_of(intents: list[Json]) -> ChargeResult | None:
    """Of several intents of one attempt the one that moved money, or may."""
    results = sorted((charge_result(each) for each in intents), key=lambda each: _RANK.index(each.outcome))
    return results[0] if results else None


def refund_result(refund: Json) -> RefundResult:
    """A refund of Stripe's. One that waits for the customer to say where the money goes is pending."""
    status = refund["status"]
    failed = status in ("failed", "canceled")
    return RefundResult(
        status=RefundStatus.FAILED if failed else _REFUND_STATUSES[status],
        reference=refund["id"],
        failure=(refund.get("failure_reason") or status) if failed else "",
    )


def refused_refund(error: Json) -> RefundResult:
    """A definite no: nothing is left of the charge, it is disputed, or the balance does not suffice."""
    return RefundResult(status=RefundStatus.FAILED, failure=error.get("code") or "refused")


def reported_refund(refund: Json) -> ReportedRefund:
    return ReportedRefund(
        reference=refund["id"],
        amount=from_stripe(refund["amount"], refund["currency"].upper()),
        result=refund_result(refund),
        refund_id=(refund.get("metadata") or {}).get("refund"),
    )


def payment_method(method: Json) -> PaymentMethod:
    """A payment method, or a charge's `payment_method_details` together with the method's id."""
    details = method.get(method["type"]) or {}
    return PaymentMethod(
        id=method["id"],
        kind=method["type"],
        brand=details.get("brand") or "",
        last4=details.get("last4") or "",
        exp_month=details.get("exp_month") or 0,
        exp_year=details.get("exp_year") or 0,
        fingerprint=details.get("fingerprint") or "",
    )


def checkout_state(session: Json) -> CheckoutState:
    """A Checkout session, its intents expanded.

    `payable` also while a bank debit made on the page is under way; a card that was declined on a page still
    open is no charge yet.
    """
    complete = session["status"] == "complete"
    intent = session.get("payment_intent") or session.get("setup_intent")
    charge = charge_result(session["payment_intent"]) if session.get("payment_intent") else None
    if charge is not None and not complete and charge.outcome not in (Outcome.SUCCEEDED, Outcome.PROCESSING):
        charge = None
    under_way = charge is not None and charge.outcome in (Outcome.PROCESSING, Outcome.UNKNOWN)
    return CheckoutState(
        complete=complete,
        payable=session["status"] == "open" or under_way,
        charge=charge,
        method=_method_of_intent(intent) if complete and intent else None,
    )


def _refused(refusal: Decline) -> Outcome:
    needs_customer = refusal.kind is DeclineKind.NEEDS_CUSTOMER
    return Outcome.REQUIRES_ACTION if needs_customer else Outcome.DECLINED


def dispute_state(dispute: Json) -> DisputeState:
    """A dispute with its balance transactions, which tell what was withdrawn and given back, and the fees.

    They are in the account's currency: that something was withdrawn they say, how much of ours the dispute's own
    amount says. KeyError for a status that we do not know, or a field that must be there.
    """
    currency = dispute["currency"].upper()
    amount = from_stripe(dispute["amount"], currency)
    moves = dispute["balance_transactions"]
    taken = sum(move["amount"] < 0 for move in moves) > sum(move["amount"] > 0 for move in moves)
    settled_in = moves[0]["currency"].upper() if moves else ""
    due_by = dispute["evidence_details"]["due_by"]
    return DisputeState(
        reference=dispute["id"],
        status=_DISPUTES[dispute["status"]],
        amount=amount,
        currency=currency,
        reason=dispute["reason"],
        withdrawn=amount if taken else 0,
        fee=from_stripe(sum(move["fee"] for move in moves), settled_in) if moves else 0,
        fee_currency=settled_in,
        evidence_due_at=datetime.fromtimestamp(due_by, UTC) if due_by is not None else None,
    )


def _received(intent: Json) -> int:
    return from_stripe(intent["amount_received"], intent["currency"].upper())


def _method_of_intent(intent: Json) -> PaymentMethod | None:
    """From the intent's method where it is expanded, else from its charge."""
    method = intent.get("payment_method")
    if isinstance(method, Mapping):
        return payment_method(method)
    charge = intent.get("latest_charge")
    if method and isinstance(charge, Mapping) and charge.get("payment_method_details"):
        return payment_method({**charge["payment_method_details"], "id": method})
    return None
