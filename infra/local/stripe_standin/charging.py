"""One attempt to take a payment: the issuer's answer, the charge it leaves, and the intent's next state."""

from __future__ import annotations

from typing import Any

from . import cards, payment_methods
from .charges import ADVICE, add_charge, book
from .context import Call
from .disputes import open_dispute
from .errors import ApiError, declined
from .store import Record

DEBIT_FAILED = (
    "payment_method_provider_decline",
    "debit_not_authorized",
    "The customer's bank refused the debit.",
)


def attempt(
    call: Call,
    intent: Record,
    method: Record,
    *,
    off_session: bool = False,
    authenticated: bool = False,
    no_action: bool = False,
) -> None:
    """Charge `method` for `intent`.

    Leaves the intent succeeded, processing (bank debits) or requires_action. A decline leaves it at
    requires_payment_method with a failed charge and raises the 402.
    """
    intent.data.update(payment_method=method.id, next_action=None, last_payment_error=None)
    if method.data["type"] != "card":
        start_debit(call, intent, method)
        return
    if needs_customer(method, off_session=off_session) and not authenticated:
        if off_session or no_action:
            raise decline(call, intent, method, "authentication_required")
        ask_customer(call, intent)
        return
    if reason := method.hidden["charge"]:
        raise decline(call, intent, method, reason)
    succeed(call, intent, method, add_charge(call, intent, method, "succeeded"))


def needs_customer(method: Record, *, off_session: bool) -> bool:
    """Whether the issuer of this card insists on authentication for this payment."""
    rule = method.hidden["auth"]
    if rule == "unless_set_up":
        return not (off_session and method.hidden.get("set_up"))
    return bool(rule == "always" or (rule == "on_session" and not off_session))


def ask_customer(call: Call, intent: Record) -> None:
    intent.data.update(status="requires_action", next_action=next_action(call, intent))
    call.store.save(intent)
    if intent.kind == "payment_intent":
        call.emit("payment_intent.requires_action", intent)
    else:
        call.emit("setup_intent.requires_action", intent)


def next_action(call: Call, intent: Record) -> dict[str, Any]:
    """Where the customer confirms: a page of this stand-in."""
    url = (
        f"{call.standin.settings.public_url}/c/auth/{intent.id}?client_secret={intent.data['client_secret']}"
    )
    return_url = intent.hidden.get("return_url")
    if return_url:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


# --- Outcomes ----------------------------------------------------------------------------------------------


def succeed(call: Call, intent: Record, method: Record, charge: Record) -> None:
    """Money arrived: a fresh charge, or a pending debit that cleared."""
    charge.data.update(status="succeeded", paid=True, captured=True, amount_captured=charge.data["amount"])
    charge.data["balance_transaction"] = book(call, charge, "charge", charge.data["amount"]).id
    call.store.save(charge)
    intent.data.update(
        status="succeeded",
        amount_received=charge.data["amount"],
        latest_charge=charge.id,
        processing=None,
        last_payment_error=None,
    )
    call.store.save(intent)
    keep_method(call, intent, method)
    call.emit("charge.succeeded", charge)
    call.emit("payment_intent.succeeded", intent)
    if method.hidden.get("refund"):
        charge.hidden["refund"] = method.hidden["refund"]
        call.store.save(charge)
    if reason := method.hidden.get("dispute"):
        open_dispute(call, charge, reason=reason)


def keep_method(call: Call, intent: Record, method: Record) -> None:
    """A method is saved to the customer if the intent says so; otherwise it was used up."""
    future, customer = intent.data["setup_future_usage"], intent.data["customer"]
    if future == "off_session":
        method.hidden["set_up"] = True
    if future and customer and method.data["customer"] is None:
        payment_methods.attach_to(call, method, call.customer(customer), verified=True)
    elif method.data["customer"] is None:
        method.hidden["spent"] = True
    call.store.save(method)


def decline(call: Call, intent: Record, method: Record, reason: str, *, charged: bool = True) -> ApiError:
    """Record the refusal on the intent and, if the issuer was asked, on a failed charge.

    The 402 is returned to be raised.
    """
    code, decline_code, message = cards.DECLINES[reason]
    charge = add_charge(call, intent, method, "failed", reason=reason) if charged else None
    fail(call, intent, method, charge, code=code, decline_code=decline_code, message=message)
    known = {"advice_code": ADVICE.get(reason), "charge": charge.id if charge else None}
    return declined(
        code, decline_code, message, **known, payment_intent=intent.data, payment_method=method.data
    )


def fail(
    call: Call,
    intent: Record,
    method: Record,
    charge: Record | None,
    *,
    code: str,
    decline_code: str | None,
    message: str,
) -> None:
    error = {"charge": charge.id if charge else None, "code": code, "decline_code": decline_code, "message": message,
             "doc_url": "https://stripe.com/docs/error-codes/" + code.replace("_", "-"),
             "payment_method": dict(method.data), "type": "card_error"}  # fmt: skip
    intent.data.update(
        status="requires_payment_method",
        payment_method=None,
        latest_charge=charge.id if charge else intent.data["latest_charge"],
        next_action=None,
        processing=None,
        last_payment_error={name: value for name, value in error.items() if value is not None},
    )
    call.store.save(intent)
    if charge:
        call.emit("charge.failed", charge)
    call.emit("payment_intent.payment_failed", intent)


# --- Bank debits -------------------------------------------------------------------------------------------


def start_debit(call: Call, intent: Record, method: Record) -> None:
    charge = add_charge(call, intent, method, "pending")
    intent.data.update(status="processing", latest_charge=charge.id)
    call.store.save(intent)
    call.emit("charge.pending", charge)
    call.emit("payment_intent.processing", intent)


def settle_debit(call: Call, intent: Record, *, succeeded: bool) -> None:
    """What the bank says days later. Called by the control API."""
    charge = call.find("charge", intent.data["latest_charge"])
    method = call.find("payment_method", intent.data["payment_method"])
    if succeeded:
        succeed(call, intent, method, charge)
        return
    code, decline_code, message = DEBIT_FAILED
    charge.data.update(status="failed", failure_code=code, failure_message=message)
    call.store.save(charge)
    fail(call, intent, method, charge, code=code, decline_code=decline_code, message=message)
