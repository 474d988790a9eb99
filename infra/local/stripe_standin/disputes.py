"""Disputes: read through the API, opened and closed by the control API (or by a disputing test card)."""

from __future__ import annotations

from typing import Any

from .context import Call
from .errors import invalid
from .ids import new_id
from .listing import matches, page
from .store import Record

EVIDENCE_DAYS = 9


def retrieve(call: Call) -> Record:
    return call.find("dispute", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    return page(
        call, "/v1/disputes", call.store.newest_first("dispute", **matches(call, "charge", "payment_intent"))
    )


def open_dispute(
    call: Call, charge: Record, *, reason: str = "fraudulent", amount: int | None = None
) -> Record:
    """The customer's bank takes the money back until the dispute is closed."""
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
        "status": "needs_response",
    }
    dispute = call.store.add("dispute", data)
    charge.data["disputed"] = True
    charge.hidden["disputed"] = True
    call.store.save(charge)
    call.emit("charge.dispute.created", dispute)
    call.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(call: Call, dispute: Record, *, won: bool) -> Record:
    if dispute.data["status"] in ("won", "lost"):
        raise invalid(f"Dispute {dispute.id} is already closed.")
    dispute.data["status"] = "won" if won else "lost"
    call.store.save(dispute)
    if won:
        charge = call.find("charge", dispute.data["charge"])
        charge.hidden["disputed"] = False
        call.store.save(charge)
        call.emit("charge.dispute.funds_reinstated", dispute)
    call.emit("charge.dispute.closed", dispute)
    return dispute
