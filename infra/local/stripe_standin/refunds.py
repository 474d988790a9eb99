"""Refunds: create, get, list; never beyond the charge. How one ends that is pending, or fails after it had
succeeded, is an order of the control API.
"""

from __future__ import annotations

from typing import Any

from .charges import book
from .context import Call, merge_metadata
from .errors import invalid, required
from .ids import new_id
from .listing import matches, page
from .store import Record


def create(call: Call) -> Record:
    charge = charge_of(call)
    left = charge.data["amount"] - charge.data["amount_refunded"]
    if left == 0:
        raise invalid(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    if charge.hidden.get("disputed"):
        raise invalid(
            f"Charge {charge.id} has been charged back and cannot be refunded.", code="charge_disputed"
        )
    amount = call.params.get("amount", left)
    if amount < 1:
        raise invalid("Invalid positive integer: amount must be at least 1.", param="amount",
                      code="parameter_invalid_integer")  # fmt: skip
    if amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    return record_refund(call, charge, amount)


def charge_of(call: Call) -> Record:
    """The succeeded charge that is to be refunded."""
    params = call.params
    if "charge" in params and "payment_intent" in params:
        raise invalid("You may only specify one of these parameters: charge, payment_intent.")
    if "payment_intent" in params:
        intent = call.find("payment_intent", params["payment_intent"], param="payment_intent")
        if intent.data["status"] != "succeeded":
            raise invalid(f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.")
        return call.find("charge", intent.data["latest_charge"])
    if "charge" not in params:
        raise required("charge")
    charge = call.find("charge", params["charge"], param="charge")
    if charge.data["status"] != "succeeded":
        raise invalid(f"Charge {charge.id} did not succeed and cannot be refunded.", param="charge")
    return charge


def record_refund(call: Call, charge: Record, amount: int) -> Record:
    metadata = merge_metadata({}, call.params.get("metadata"))
    data = {
        "id": new_id("refund"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": book(call, charge, "refund", -amount).id,
        "charge": charge.id,
        "created": call.now,
        "currency": charge.data["currency"],
        "destination_details": {"type": "card", "card": {"type": "refund", "reference_status": "pending"}},
        "metadata": metadata,
        "payment_intent": charge.data["payment_intent"],
        "reason": call.params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if charge.hidden.get("refund") == "pending" else "succeeded",
        "transfer_reversal": None,
    }
    refund = call.store.add("refund", data, {"livemode": call.livemode})
    before = charge.data["amount_refunded"]
    charge.data["amount_refunded"] = before + amount
    charge.data["refunded"] = before + amount == charge.data["amount"]
    call.store.save(charge)
    call.emit("refund.created", refund)
    call.emit("charge.refunded", charge, {"amount_refunded": before})
    return refund


def settle(call: Call, refund: Record, *, succeeded: bool) -> Record:
    """The bank's last word. Money that it could not hand on is the charge's again."""
    previous = {"status": refund.data["status"]}
    refund.data["status"] = "succeeded" if succeeded else "failed"
    if not succeeded:
        charge = call.find("charge", refund.data["charge"])
        charge.data["amount_refunded"] -= refund.data["amount"]
        charge.data["refunded"] = False
        call.store.save(charge)
        refund.data["failure_reason"] = "expired_or_canceled_card"
        entry = book(call, charge, "refund_failure", refund.data["amount"])
        refund.data["failure_balance_transaction"] = entry.id
    call.store.save(refund)
    call.emit("refund.updated", refund, previous)
    if not succeeded:
        call.emit("refund.failed", refund)
    return refund


def retrieve(call: Call) -> Record:
    return call.find("refund", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    return page(
        call, "/v1/refunds", call.store.newest_first("refund", **matches(call, "charge", "payment_intent"))
    )
