"""Ids and secrets with the prefixes and lengths that Stripe's have."""

from __future__ import annotations

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
PREFIXES = {
    "customer": ("cus_", 14),
    "payment_method": ("pm_1", 23),
    "payment_intent": ("pi_3", 23),
    "setup_intent": ("seti_1", 23),
    "setup_attempt": ("setatt_1", 23),
    "charge": ("ch_3", 23),
    "debit": ("py_3", 23),
    "refund": ("re_3", 23),
    "balance_transaction": ("txn_3", 23),
    "dispute": ("du_1", 23),
    "event": ("evt_1", 23),
    "checkout.session": ("cs_test_a1", 58),
    "line_item": ("li_1", 23),
    "price": ("price_1", 23),
    "product": ("prod_", 14),
    "request": ("req_", 14),
}
KINDS = {
    "cus": "customer",
    "pm": "payment_method",
    "pi": "payment_intent",
    "seti": "setup_intent",
    "ch": "charge",
    "py": "charge",
    "re": "refund",
    "txn": "balance_transaction",
    "du": "dispute",
    "cs": "checkout.session",
}


def new_id(kind: str) -> str:
    prefix, length = PREFIXES[kind]
    return prefix + token(length)


def token(length: int) -> str:
    raw = secrets.token_bytes(length)
    return "".join([ALPHABET[byte % 62] for byte in raw])


def kind_of(id: str) -> str | None:
    """The kind of object that an id names, by its prefix."""
    return KINDS.get(id.split("_", 1)[0])
