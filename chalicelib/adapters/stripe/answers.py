"""Stripe's objects, as plain dictionaries, in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chalicelib.adapters.stripe.currencies import from_stripe
from chalicelib.adapters.stripe.declines import CANCELED, decline, decline_of
from chalicelib.application.ports import CheckoutState
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.payment import ChargeResult, Outcome

Json = Mapping[str, Any]

_OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "processing": Outcome.PROCESSING,
    "requires_action": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}
_RANK: Final = [Outcome.SUCCEEDED, Outcome.PROCESSING, Outcome.UNKNOWN, Outcome.DECLINED]


def charge_result(intent: Json) -> ChargeResult:
    """A payment intent as the outcome of a charge.

    One that waits for its customer is a decline that needs the customer; one that was created but never
    confirmed says nothing yet: UNKNOWN.
    """
    outcome = _OUTCOMES.get(intent["status"], Outcome.UNKNOWN)
    refusal = None
    if intent["status"] == "requires_payment_method" and intent.get("last_payment_error"):
        outcome, refusal = Outcome.DECLINED, decline_of(intent["last_payment_error"])
    elif outcome is Outcome.DECLINED:
        waiting = intent["status"] == "requires_action"
        refusal = decline("authentication_required" if waiting else CANCELED)
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
    """The outcome inside a 402: a definite no, with the intent that Stripe made for it."""
    intent = error.get("payment_intent") or {}
    charge = intent.get("latest_charge") or error.get("charge")
    method = error.get("payment_method")
    return ChargeResult(
        outcome=Outcome.DECLINED,
        reference=intent.get("id"),
        charge=charge["id"] if isinstance(charge, Mapping) else charge,
        method=payment_method(method) if isinstance(method, Mapping) else None,
        decline=decline_of(error),
    )


def best_of(intents: list[Json]) -> ChargeResult | None:
    """Of several intents of one attempt the one that moved money, or may."""
    results = sorted((charge_result(each) for each in intents), key=lambda each: _RANK.index(each.outcome))
    return results[0] if results else None


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
