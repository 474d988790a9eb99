"""Disputes: read through the API, opened and closed by the control API (or by a disputing test card)."""

from __future__ import annotations

from typing import Any

from .charges import book
from .context import Call
from .errors import invalid
from .ids import new_id
from .listing import matches, page
from .store import Record

EVIDENCE_DAYS = 9
FEE = 1500


def retrieve(call: Call) -> Record:
    return call.find("dispute", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    return page(
        call, "/v1/disputes", call.store.newest_first("dispute", **matches(call, "charge", "payment_intent"))
    )


def open_dispute(
    call: Call,
    charge: Record,
    *,
    reason: str = "fraudulent",
    amount: int | None = None,
    inquiry: bool = False,
) -> Record:
    """The customer's bank takes the money back until the dispute is closed; an inquiry only asks."""
    if charge.data["status"] != "succeeded" or charge.hidden.get("disputed"):
        raise invalid(f"Charge {charge.id} cannot be disputed: it did not succeed or already is.")
    brand = charge.data["payment_method_details"].get("card", {}).get("brand")
    data = {
        "id": new_id("dispute"),
        "object": "dispute",
        "amount": amount or charge.data["amount"],
        "balance_transactions": [],
        "charge": charge.id,
        "created": call.now,
        "currency": charge.data["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": call.now + EVIDENCE_DAYS * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": charge.data["livemode"],
        "metadata": {},
        "payment_intent": charge.data["payment_intent"],
        "payment_method_details": {"type": "card", "card": {"brand": brand, "case_type": "chargeback"}},
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    if inquiry:
        data["payment_method_details"]["card"]["case_type"] = "inquiry"
        dispute = call.store.add("dispute", data)
        call.emit("charge.dispute.created", dispute)
        return dispute
    data["balance_transactions"].append(_moved(call, charge, -data["amount"], fee=FEE))
    dispute = call.store.add("dispute", data)
    charge.data["disputed"] = True
    charge.hidden["disputed"] = True
    call.store.save(charge)
    call.emit("charge.dispute.created", dispute)
    call.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(call: Call, dispute: Record, *, won: bool) -> Record:
    if dispute.data["status"] in ("won", "lost", "warning_closed"):
        raise invalid(f"Dispute {dispute.id} is already closed.")
    if dispute.data["status"].startswith("warning"):
        dispute.data["status"] = "warning_closed"
        call.store.save(dispute)
        call.emit("charge.dispute.closed", dispute)
        return dispute
    dispute.data["status"] = "won" if won else "lost"
    charge = call.find("charge", dispute.data["charge"])
    if won:
        dispute.data["balance_transactions"].append(_moved(call, charge, dispute.data["amount"]))
    call.store.save(dispute)
    if won:
        charge.hidden["disputed"] = False
        call.store.save(charge)
        call.emit("charge.dispute.funds_reinstated", dispute)
    call.emit("charge.dispute.closed", dispute)
    return dispute


def _moved(call: Call, charge: Record, amount: int, *, fee: int = 0) -> dict[str, Any]:
    """The balance transaction of money that was withdrawn or given back."""
    booked = book(call, charge, "adjustment", amount)
    booked.data.update(
        reporting_category="dispute" if amount < 0 else "dispute_reversal", fee=fee, net=amount - fee
    )
    call.store.save(booked)
    return booked.data
