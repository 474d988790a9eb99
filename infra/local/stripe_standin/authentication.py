"""The customer's own confirmation of a payment or set-up (3-D Secure), passed or failed on a hosted page."""

from __future__ import annotations

from . import charging, checkout_payment, setup_intents
from .context import Call
from .errors import ApiError, invalid
from .store import Record


def authenticate(call: Call, intent: Record, *, passed: bool) -> None:
    """Go on with an intent that requires action. Raises the 402 if the customer or then the issuer refused."""
    if intent.data["status"] != "requires_action":
        raise invalid(f"There is nothing to authenticate: the status is {intent.data['status']}.")
    method = call.find("payment_method", intent.data["payment_method"])
    if not passed:
        raise refused(call, intent, method)
    if intent.kind == "setup_intent":
        setup_intents.attempt(call, intent, method, authenticated=True)
    else:
        charging.attempt(call, intent, method, authenticated=True)
    if intent.hidden.get("checkout_session"):
        checkout_payment.finish(call, call.find("checkout.session", intent.hidden["checkout_session"]))


def refused(call: Call, intent: Record, method: Record) -> ApiError:
    if intent.kind == "setup_intent":
        return setup_intents.decline(call, intent, method, "setup_authentication_failure")
    return charging.decline(call, intent, method, "authentication_failure", charged=False)
