"""SetupIntents: saving a payment method for later, with the customer's authentication where the card asks."""

from __future__ import annotations

from typing import Any

from . import cards, payment_methods
from .charging import ask_customer
from .context import Call, merge_metadata
from .errors import ApiError, declined, invalid, required
from .ids import new_id, token
from .listing import page
from .payment_intents import ONLY_WITH_CONFIRM, automatic, check_redirects, chosen_method
from .store import Record

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(call: Call) -> Record:
    params = call.params
    for name in ONLY_WITH_CONFIRM:
        if params.get(name) and not params.get("confirm"):
            raise invalid(f"The parameter {name} can only be used when confirm is true.", param=name)
    customer = call.customer(params["customer"]).id if params.get("customer") else None
    if params.get("confirm"):
        if not (params.get("payment_method") or params.get("payment_method_data")):
            raise required("payment_method")
        check_redirects(params, params.get("return_url"))
    method = chosen_method(call, customer)
    intent = build(call, customer=customer, metadata=merge_metadata({}, params.get("metadata")))
    if method:
        intent.data.update(status="requires_confirmation", payment_method=method.id)
    call.emit("setup_intent.created", intent)
    if params.get("confirm"):
        run(call, intent)
    return intent


def build(call: Call, *, customer: str | None, metadata: dict[str, str]) -> Record:
    params, id = call.params, new_id("setup_intent")
    allowed = params.get("allowed_payment_method_types")
    data = {
        "id": id,
        "object": "setup_intent",
        "allowed_payment_method_types": allowed,
        "application": None,
        "automatic_payment_methods": None if allowed else automatic(params),
        "cancellation_reason": None,
        "client_secret": f"{id}_secret_{token(25)}",
        "created": call.now,
        "customer": customer,
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": call.livemode,
        "mandate": None,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": params.get("payment_method_options") or {},
        "payment_method_types": allowed or ["card", "sepa_debit"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
    return call.store.add("setup_intent", data)


def retrieve(call: Call) -> Record:
    return call.find("setup_intent", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    match = {"customer": call.params["customer"]} if call.params.get("customer") else {}
    method = call.params.get("payment_method")
    records = call.store.newest_first("setup_intent", **match)
    return page(call, "/v1/setup_intents", records, lambda data: method in (None, data["payment_method"]))


def update(call: Call) -> Record:
    intent, params = call.find("setup_intent", call.ids[0]), call.params
    if {"customer", "payment_method"} & params.keys() and intent.data["status"] not in CONFIRMABLE:
        raise unexpected(intent, "updated")
    if params.get("customer"):
        call.customer(params["customer"])
    metadata = merge_metadata(intent.data["metadata"], params.get("metadata"))
    method = chosen_method(call, params.get("customer") or intent.data["customer"])
    for name in ("customer", "description"):
        if name in params:
            intent.data[name] = params[name] or None
    intent.data["metadata"] = metadata
    if method:
        intent.data.update(status="requires_confirmation", payment_method=method.id, next_action=None)
    call.store.save(intent)
    return intent


def confirm(call: Call) -> Record:
    intent = call.find("setup_intent", call.ids[0])
    if intent.data["status"] not in CONFIRMABLE:
        raise unexpected(intent, "confirmed")
    method = chosen_method(call, intent.data["customer"])
    if method is None and intent.data["payment_method"] is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="setup_intent_unexpected_state",
            setup_intent=intent.data,
        )
    check_redirects(intent.data, call.params.get("return_url") or intent.hidden.get("return_url"))
    if method:
        intent.data["payment_method"] = method.id
    run(call, intent)
    return intent


def run(call: Call, intent: Record) -> None:
    if call.params.get("return_url"):
        intent.hidden["return_url"] = call.params["return_url"]
    attempt(call, intent, call.find("payment_method", intent.data["payment_method"]))


def attempt(call: Call, intent: Record, method: Record, *, authenticated: bool = False) -> None:
    """Verify the method with its issuer and save it. A refusal raises the 402 with the intent in it."""
    intent.data.update(payment_method=method.id, next_action=None, last_setup_error=None,
                       latest_attempt=new_id("setup_attempt"))  # fmt: skip
    if method.data["type"] == "card":
        if method.hidden["auth"] in ("always", "unless_set_up") and not authenticated:
            ask_customer(call, intent)
            return
        if reason := method.hidden["attach"]:
            raise decline(call, intent, method, reason)
    succeed(call, intent, method)


def succeed(call: Call, intent: Record, method: Record) -> None:
    method.hidden["set_up"] = True
    call.store.save(method)
    intent.data["status"] = "succeeded"
    if method.data["type"] != "card":
        intent.data["mandate"] = "mandate_1" + token(23)
    call.store.save(intent)
    if intent.data["customer"]:
        payment_methods.attach_to(call, method, call.customer(intent.data["customer"]), verified=True)
    call.emit("setup_intent.succeeded", intent)


def decline(call: Call, intent: Record, method: Record, reason: str) -> ApiError:
    code, decline_code, message = cards.DECLINES[reason]
    error = {"code": code, "decline_code": decline_code, "message": message, "type": "card_error",
             "payment_method": method.data}  # fmt: skip
    intent.data.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error={name: value for name, value in error.items() if value is not None},
    )
    call.store.save(intent)
    call.emit("setup_intent.setup_failed", intent)
    return declined(code, decline_code, message, setup_intent=intent.data, payment_method=method.data)


def cancel(call: Call) -> Record:
    intent = call.find("setup_intent", call.ids[0])
    if intent.data["status"] not in CONFIRMABLE:
        raise unexpected(intent, "canceled")
    if intent.hidden.get("checkout_session"):
        raise invalid(
            "You cannot cancel this SetupIntent because it was created by a Checkout Session. Expire the Checkout "
            "Session instead.",
            code="setup_intent_unexpected_state",
            setup_intent=intent.data,
        )
    return close(call, intent, call.params.get("cancellation_reason"))


def close(call: Call, intent: Record, reason: str | None) -> Record:
    intent.data.update(status="canceled", cancellation_reason=reason, next_action=None)
    call.store.save(intent)
    call.emit("setup_intent.canceled", intent)
    return intent


def unexpected(intent: Record, verb: str) -> ApiError:
    return invalid(
        f"This SetupIntent could not be {verb} because it has a status of {intent.data['status']}.",
        code="setup_intent_unexpected_state",
        setup_intent=intent.data,
    )
