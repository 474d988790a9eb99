"""Charges: what every attempt leaves behind, and the balance transactions of charges and refunds."""

from __future__ import annotations

from typing import Any

from . import cards
from .context import Call
from .ids import new_id, token
from .listing import matches, page
from .store import Record

ADVICE = {
    "generic_decline": "try_again_later",
    "insufficient_funds": "try_again_later",
    "processing_error": "try_again_later",
    "card_velocity_exceeded": "try_again_later",
    "lost_card": "do_not_try_again",
    "stolen_card": "do_not_try_again",
    "fraudulent": "do_not_try_again",
    "expired_card": "confirm_card_data",
    "incorrect_cvc": "confirm_card_data",
}
FEE_PER_MILLE, FEE_FIXED = 29, 30


def retrieve(call: Call) -> Record:
    return call.find("charge", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    records = call.store.newest_first("charge", **matches(call, "customer", "payment_intent"))
    return page(call, "/v1/charges", records)


def retrieve_balance_transaction(call: Call) -> Record:
    return call.find("balance_transaction", call.ids[0])


# --- Written by attempts and refunds -----------------------------------------------------------------------


def add_charge(
    call: Call, intent: Record, method: Record, status: str, *, reason: str | None = None
) -> Record:
    code, decline_code, message = cards.DECLINES[reason] if reason else (None, None, None)
    blocked = bool(reason and method.hidden.get("blocked"))
    kind = method.data["type"]
    amount = intent.data["amount"]
    data = {
        "id": new_id("charge" if kind == "card" else "debit"),
        "object": "charge",
        "amount": amount,
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": method.data["billing_details"],
        "calculated_statement_descriptor": intent.data["statement_descriptor"] or "PERENNIAL",
        "captured": status == "succeeded",
        "created": call.now,
        "currency": intent.data["currency"],
        "customer": intent.data["customer"],
        "description": intent.data["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": code,
        "failure_message": message,
        "fraud_details": {},
        "livemode": call.livemode,
        "metadata": dict(intent.data["metadata"]),
        "outcome": outcome(decline_code, ADVICE.get(reason or ""), failed=bool(reason), blocked=blocked),
        "paid": status == "succeeded",
        "payment_intent": intent.id,
        "payment_method": method.id,
        "payment_method_details": {"type": kind, kind: details(method, amount)},
        "receipt_email": intent.data["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent.data["shipping"],
        "statement_descriptor": intent.data["statement_descriptor"],
        "statement_descriptor_suffix": intent.data["statement_descriptor_suffix"],
        "status": status,
        "transfer_group": intent.data["transfer_group"],
    }
    return call.store.add("charge", data)


def details(method: Record, amount: int) -> dict[str, Any]:
    shown: dict[str, Any] = method.data[method.data["type"]]
    if method.data["type"] != "card":
        return {**{name: shown[name] for name in ("bank_code", "branch_code", "country", "fingerprint", "last4")},
                "mandate": "mandate_1" + token(23)}  # fmt: skip
    copied = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "wallet",
    )
    return {
        "amount_authorized": amount,
        "authorization_code": token(6).upper(),
        **{name: shown[name] for name in copied},
        "installments": None,
        "mandate": None,
        "network": shown["brand"],
        "network_transaction_id": token(15).upper(),
        "three_d_secure": None,
    }


def outcome(decline_code: str | None, advice: str | None, *, failed: bool, blocked: bool) -> dict[str, Any]:
    if blocked:
        return {"advice_code": advice, "network_status": "not_sent_to_network", "reason": "highest_risk_level",
                "risk_level": "highest", "risk_score": 90, "type": "blocked",
                "seller_message": "Stripe blocked this payment as too risky."}  # fmt: skip
    if failed:
        return {"advice_code": advice, "network_status": "declined_by_network", "reason": decline_code,
                "risk_level": "normal", "risk_score": 20, "type": "issuer_declined",
                "seller_message": f"The bank returned the decline code `{decline_code}`."}  # fmt: skip
    return {"advice_code": None, "network_status": "approved_by_network", "reason": None, "risk_level": "normal",
            "risk_score": 12, "type": "authorized", "seller_message": "Payment complete."}  # fmt: skip


def book(call: Call, source: Record, kind: str, amount: int) -> Record:
    """The balance transaction of a charge or refund, with a fee on charges."""
    fee = amount * FEE_PER_MILLE // 1000 + FEE_FIXED if kind == "charge" else 0
    data = {
        "id": new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": call.now + 2 * 86_400,
        "balance_type": "payments",
        "created": call.now,
        "currency": source.data["currency"],
        "description": source.data["description"],
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": amount - fee,
        "reporting_category": kind,
        "source": source.id,
        "status": "pending",
        "type": kind,
    }
    return call.store.add("balance_transaction", data, {"livemode": call.livemode})
