"""Payment methods: cards and bank debits, made from test tokens or numbers, and who owns them."""

from __future__ import annotations

from typing import Any

from . import cards
from .context import Call, merge_metadata
from .errors import declined, invalid, required
from .listing import page
from .new_payment_methods import billing, from_card, from_iban, from_number
from .store import Record


def create(call: Call) -> Record:
    params = call.params
    if "payment_method" in params or "customer" in params:
        raise invalid("Cloning a PaymentMethod is for connected accounts only.", param="payment_method")
    kind = params.get("type")
    if kind is None:
        raise required("type")
    if kind == "card":
        method = from_card(call, params.get("card") or {})
    elif kind == "sepa_debit":
        method = from_iban(call, (params.get("sepa_debit") or {}).get("iban", ""))
    else:
        raise invalid(f"The stand-in knows cards and SEPA debits, not '{kind}'.", param="type")
    method.data["billing_details"] = billing(params.get("billing_details"), method.data["billing_details"])
    method.data["metadata"] = merge_metadata({}, params.get("metadata"))
    method.data["allow_redisplay"] = params.get("allow_redisplay", "unspecified")
    call.store.save(method)
    return method


def retrieve(call: Call) -> Record:
    return resolve(call, call.ids[0], param="id")


def update(call: Call) -> Record:
    method = call.find("payment_method", call.ids[0])
    if method.data["customer"] is None:
        raise invalid("You must save this PaymentMethod to a customer before you can update it.", param="id")
    before = dict(method.data)
    card = call.params.get("card") or {}
    expiry = {name: card[name] for name in ("exp_month", "exp_year") if name in card}
    if expiry and method.data["type"] == "card":
        method.data["card"] = {**method.data["card"], **expiry}
    method.data["billing_details"] = billing(
        call.params.get("billing_details"), method.data["billing_details"]
    )
    method.data["metadata"] = merge_metadata(method.data["metadata"], call.params.get("metadata"))
    if "allow_redisplay" in call.params:
        method.data["allow_redisplay"] = call.params["allow_redisplay"]
    call.store.save(method)
    changed = {name: value for name, value in before.items() if method.data[name] != value}
    if changed:
        call.emit("payment_method.updated", method, changed)
    return method


def list_all(call: Call) -> dict[str, Any]:
    customer = call.params.get("customer")
    if customer is None:
        raise required("customer")
    call.customer(customer)
    return page_of(call, customer, "/v1/payment_methods")


def page_of(call: Call, customer: str, url: str) -> dict[str, Any]:
    kind = call.params.get("type")
    records = call.store.newest_first("payment_method", customer=customer)
    return page(call, url, records, lambda data: kind is None or data["type"] == kind)


def attach(call: Call) -> Record:
    if "customer" not in call.params:
        raise required("customer")
    customer = call.customer(call.params["customer"])
    return attach_to(call, resolve(call, call.ids[0], param="id"), customer)


def detach(call: Call) -> Record:
    method = call.find("payment_method", call.ids[0])
    if method.data["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    return detach_from(call, method)


# --- Used by intents, customers and checkout ---------------------------------------------------------------


def resolve(call: Call, id: str, *, param: str = "payment_method") -> Record:
    """A payment method by id; a test token (`pm_card_visa`, `tok_visa`) makes a new one each time."""
    if number := cards.number_of(id):
        return from_number(call, number)
    if iban := cards.DEBITS.get(id):
        return from_iban(call, iban)
    return call.find("payment_method", id, param=param)


def attach_to(call: Call, method: Record, customer: Record, *, verified: bool = False) -> Record:
    """Give a method to a customer; the issuer is asked first, unless a payment or set-up has just done so."""
    if method.data["customer"] == customer.id:
        return method
    if method.data["customer"] is not None:
        raise invalid("The payment method you provided has already been attached to a customer.")
    check_unspent(method)
    if not verified and (reason := method.hidden.get("attach")):
        raise refusal(reason, payment_method=method.data)
    method.data["customer"] = customer.id
    call.store.save(method)
    call.emit("payment_method.attached", method)
    return method


def detach_from(call: Call, method: Record) -> Record:
    previous = {"customer": method.data["customer"]}
    owner = call.store.get("customer", method.data["customer"])
    method.data["customer"] = None
    method.hidden["spent"] = True
    call.store.save(method)
    if owner and owner.data.get("invoice_settings", {}).get("default_payment_method") == method.id:
        owner.data["invoice_settings"] = {**owner.data["invoice_settings"], "default_payment_method": None}
        call.store.save(owner)
    call.emit("payment_method.detached", method, previous)
    return method


def check_owner(method: Record, customer: str | None, *, param: str = "payment_method") -> None:
    """Refuse a method of another customer, or of a customer whom the request does not name."""
    owner = method.data["customer"]
    if owner is None:
        check_unspent(method, param=param)
        return
    if customer is None:
        raise invalid(
            "The payment method you provided is attached to a customer so for security purposes you must provide the "
            "customer in the request.",
            param=param,
        )
    if owner != customer:
        raise invalid(
            f"The customer does not have a payment method with the ID {method.id}. The payment method must be "
            "attached to the customer.",
            param=param,
            code="resource_missing",
        )


def check_unspent(method: Record, *, param: str = "payment_method") -> None:
    if method.hidden.get("spent"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
            "Customer, and may not be used again.",
            param=param,
        )


def refusal(reason: str, **objects: Any) -> Exception:
    code, decline_code, message = cards.DECLINES[reason]
    param = {"incorrect_cvc": "cvc", "expired_card": "exp_month"}.get(reason)
    return declined(code, decline_code, message, param=param, **objects)
