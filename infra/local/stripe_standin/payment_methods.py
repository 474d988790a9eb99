"""Payment methods: cards and bank debits, made from test tokens or numbers, and who owns them."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import Any

from . import cards
from .context import Call, merge_metadata
from .errors import declined, invalid, required
from .ids import new_id
from .listing import page
from .store import Record

DEBIT_TYPES = ("sepa_debit", "us_bank_account", "bacs_debit")
BILLING = ("address", "email", "name", "phone", "tax_id")
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


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


# --- Making one --------------------------------------------------------------------------------------------


def from_card(call: Call, card: dict[str, Any]) -> Record:
    """From `card[token]` or from number, expiry and security code, refused like a mistyped card would be."""
    if token := card.get("token"):
        number = cards.number_of(token)
        if number is None:
            raise invalid(f"No such token: '{token}'", param="card[token]", code="resource_missing")
        return from_number(call, number)
    for name in ("number", "exp_month", "exp_year"):
        if name not in card:
            raise required(f"card[{name}]")
    return from_number(call, check_number(card["number"]), check_expiry(call, card), card.get("cvc"))


def check_number(text: str) -> str:
    number = re.sub(r"[ -]", "", text)
    if not number.isdigit() or not 12 <= len(number) <= 19 or not cards.luhn_valid(number):
        raise declined("incorrect_number", None, "Your card number is incorrect.", param="number")
    if number not in cards.CARDS:
        message = "Your card was declined. Your request was in test mode, but used a non test card."
        raise declined("card_declined", "test_mode_live_card", message)
    return number


def check_expiry(call: Call, card: dict[str, Any]) -> tuple[int, int]:
    month, year = card["exp_month"], card["exp_year"]
    year += 2000 if 0 <= year < 100 else 0
    if not 1 <= month <= 12:
        raise declined(
            "invalid_expiry_month", None, "Your card's expiration month is invalid.", param="exp_month"
        )
    this_month, this_year = month_of(call.now)
    if (year, month) < (this_year, this_month) or year > this_year + 50:
        raise declined(
            "invalid_expiry_year", None, "Your card's expiration year is invalid.", param="exp_year"
        )
    return month, year


def month_of(now: int) -> tuple[int, int]:
    moment = time.gmtime(now)
    return moment.tm_mon, moment.tm_year


def from_number(
    call: Call, number: str, expiry: tuple[int, int] | None = None, cvc: str | None = None
) -> Record:
    card = cards.CARDS[number]
    if cvc is not None and not re.fullmatch(r"\d{4}" if card.brand == "amex" else r"\d{3}", cvc):
        raise declined("invalid_cvc", None, "Your card's security code is invalid.", param="cvc")
    month, year = expiry or (12, month_of(call.now)[1] + 3)
    shown = {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "fail" if card.attach == "incorrect_cvc" else "pass" if cvc else None,
        },
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": cards.fingerprint(number),
        "funding": card.funding,
        "generated_from": None,
        "last4": number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return add(call, "card", shown, asdict(card))


def from_iban(call: Call, text: str) -> Record:
    iban = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", iban):
        raise invalid(
            "The IBAN you provided is invalid.", param="sepa_debit[iban]", code="invalid_bank_account_iban"
        )
    shown = {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": cards.fingerprint(iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }
    return add(call, "sepa_debit", shown, {"fails": iban == cards.DEBITS["pm_sepaDebit_fail"]})


def add(call: Call, kind: str, shown: dict[str, Any], hidden: dict[str, Any]) -> Record:
    data = {
        "id": new_id("payment_method"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing(None, None),
        kind: shown,
        "created": call.now,
        "customer": None,
        "livemode": call.livemode,
        "metadata": {},
        "type": kind,
    }
    return call.store.add("payment_method", data, hidden)


def billing(given: Any, current: dict[str, Any] | None) -> dict[str, Any]:
    details = dict(current) if current else {**dict.fromkeys(BILLING), "address": dict.fromkeys(ADDRESS)}
    for name in BILLING:
        if given and name in given:
            details[name] = (
                {part: given[name].get(part) for part in ADDRESS} if name == "address" else given[name]
            )
    return details
