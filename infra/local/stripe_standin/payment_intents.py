"""PaymentIntents: create, get, list, update, confirm, cancel, and the states between."""

from __future__ import annotations

from typing import Any

from . import charging, payment_methods
from .context import Call, merge_metadata
from .currencies import check_amount, known
from .errors import ApiError, invalid, required
from .ids import new_id, token
from .listing import page
from .store import Record

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
PLAIN = ("description", "receipt_email", "shipping", "statement_descriptor", "statement_descriptor_suffix",
         "transfer_group")  # fmt: skip
ONLY_WITH_CONFIRM = ("off_session", "return_url", "error_on_requires_action", "mandate_data")


def create(call: Call) -> Record:
    params = call.params
    currency = known(params["currency"])
    check_amount(params["amount"], currency)
    if params.get("capture_method") == "manual":
        raise invalid(
            "The stand-in captures at once; capture_method=manual is not supported.", param="capture_method"
        )
    for name in ONLY_WITH_CONFIRM:
        if params.get(name) and not params.get("confirm"):
            raise invalid(f"The parameter {name} can only be used when confirm is true.", param=name)
    customer = call.customer(params["customer"]).id if params.get("customer") else None
    if params.get("confirm") and not (params.get("payment_method") or params.get("payment_method_data")):
        raise no_method(None)
    if params.get("confirm"):
        check_redirects(params, params.get("return_url"))
    method = chosen_method(call, customer)
    metadata = merge_metadata({}, params.get("metadata"))
    intent = build(call, amount=params["amount"], currency=currency, customer=customer, metadata=metadata)
    if method:
        intent.data.update(status="requires_confirmation", payment_method=method.id)
    call.emit("payment_intent.created", intent)
    if params.get("confirm"):
        run(call, intent)
    return intent


def build(
    call: Call, *, amount: int, currency: str, customer: str | None, metadata: dict[str, str]
) -> Record:
    """A new intent that waits for a payment method; the remaining parameters come from the call."""
    params, id = call.params, new_id("payment_intent")
    allowed = params.get("allowed_payment_method_types")
    data: dict[str, Any] = {
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": allowed,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None if allowed else automatic(params),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{id}_secret_{token(25)}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": call.now,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": params.get("excluded_payment_method_types"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": call.livemode,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": params.get("payment_method_options") or {},
        "payment_method_types": allowed or ["card", "sepa_debit"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    data.update({name: params[name] or None for name in PLAIN if name in params})
    return call.store.add("payment_intent", data)


def retrieve(call: Call) -> Record:
    return call.find("payment_intent", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    match = {"customer": call.params["customer"]} if call.params.get("customer") else {}
    return page(call, "/v1/payment_intents", call.store.newest_first("payment_intent", **match))


def update(call: Call) -> Record:
    intent, params = call.find("payment_intent", call.ids[0]), call.params
    money = {"amount", "currency", "customer", "payment_method", "setup_future_usage"} & params.keys()
    if money and intent.data["status"] not in CONFIRMABLE:
        raise unexpected(intent, "updated")
    currency = known(params.get("currency") or intent.data["currency"])
    if money & {"amount", "currency"}:
        check_amount(params.get("amount", intent.data["amount"]), currency)
    if params.get("customer"):
        call.customer(params["customer"])
    metadata = merge_metadata(intent.data["metadata"], params.get("metadata"))
    method = chosen_method(call, params.get("customer") or intent.data["customer"])
    for name in ("amount", "customer", "setup_future_usage", *PLAIN):
        if name in params:
            intent.data[name] = params[name] or None
    intent.data.update(currency=currency, metadata=metadata)
    if method:
        intent.data.update(status="requires_confirmation", payment_method=method.id, next_action=None)
    call.store.save(intent)
    return intent


def confirm(call: Call) -> Record:
    intent, params = call.find("payment_intent", call.ids[0]), call.params
    if intent.data["status"] not in CONFIRMABLE:
        raise unexpected(intent, "confirmed")
    method = chosen_method(call, intent.data["customer"])
    if method is None and intent.data["payment_method"] is None:
        raise no_method(intent)
    check_redirects(intent.data, params.get("return_url") or intent.hidden.get("return_url"))
    if method:
        intent.data["payment_method"] = method.id
    for name in ("receipt_email", "setup_future_usage", "shipping"):
        if name in params:
            intent.data[name] = params[name] or None
    run(call, intent)
    return intent


def run(call: Call, intent: Record) -> None:
    if call.params.get("return_url"):
        intent.hidden["return_url"] = call.params["return_url"]
    method = call.find("payment_method", intent.data["payment_method"])
    off_session, no_action = call.params.get("off_session"), call.params.get("error_on_requires_action")
    charging.attempt(call, intent, method, off_session=bool(off_session), no_action=bool(no_action))


def cancel(call: Call) -> Record:
    intent = call.find("payment_intent", call.ids[0])
    if intent.data["status"] not in CONFIRMABLE:
        raise unexpected(intent, "canceled")
    if intent.hidden.get("checkout_session"):
        raise invalid(
            "You cannot cancel this PaymentIntent because it was created by a Checkout Session. Expire the Checkout "
            "Session instead.",
            code="payment_intent_unexpected_state",
            payment_intent=intent.data,
        )
    return close(call, intent, call.params.get("cancellation_reason"))


def close(call: Call, intent: Record, reason: str | None) -> Record:
    intent.data.update(status="canceled", canceled_at=call.now, cancellation_reason=reason, next_action=None)
    call.store.save(intent)
    call.emit("payment_intent.canceled", intent)
    return intent


# --- Rules -------------------------------------------------------------------------------------------------


def chosen_method(call: Call, customer: str | None) -> Record | None:
    """The method named or described in the request, if it may be used for this customer."""
    if call.params.get("payment_method"):
        method = payment_methods.resolve(call, call.params["payment_method"])
        payment_methods.check_owner(method, customer)
        return method
    described = call.params.get("payment_method_data")
    if described is None:
        return None
    inner = Call(call.standin, livemode=call.livemode, params=dict(described), now=call.now)
    return payment_methods.create(inner)


def automatic(params: dict[str, Any]) -> dict[str, Any] | None:
    given = params.get("automatic_payment_methods") or {}
    enabled = given.get("enabled", True)
    return {"enabled": True, "allow_redirects": given.get("allow_redirects", "always")} if enabled else None


def check_redirects(source: dict[str, Any], return_url: str | None) -> None:
    """Dynamic payment methods may redirect the customer: Stripe then insists on a return URL."""
    if return_url or source.get("allowed_payment_method_types"):
        return
    choice = source.get("automatic_payment_methods") or {}
    if choice.get("allow_redirects") != "never" and choice.get("enabled", True):
        raise invalid(
            "This intent accepts payment methods that might redirect your customer off of your page, so you must "
            "provide a `return_url`. To refuse such methods, set `automatic_payment_methods[enabled]` to true and "
            "`automatic_payment_methods[allow_redirects]` to `never`, or name `allowed_payment_method_types`.",
            param="return_url",
        )


def no_method(intent: Record | None) -> ApiError:
    if intent is None:
        return required("payment_method")
    return invalid(
        "You cannot confirm this PaymentIntent because it's missing a payment method. Provide one with "
        "`payment_method` or update the PaymentIntent first.",
        code="payment_intent_unexpected_state",
        payment_intent=intent.data,
    )


def unexpected(intent: Record, verb: str) -> ApiError:
    status = intent.data["status"]
    return invalid(
        f"This PaymentIntent could not be {verb} because it has a status of {status}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent.data,
    )
