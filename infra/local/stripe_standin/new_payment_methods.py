"""Making a payment method from a card or an IBAN, with what its test number stands for."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import Any

from . import cards
from .context import Call
from .errors import declined, invalid, required
from .ids import new_id
from .store import Record

BILLING = ("address", "email", "name", "phone", "tax_id")
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


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
