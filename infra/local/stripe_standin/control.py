"""The control API under `/_control`: orders from tests and demos. JSON in, JSON out, loopback only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from . import (
    cards,
    charging,
    checkout,
    checkout_payment,
    disputes,
    forms,
    new_payment_methods,
    payment_methods,
    refunds,
    webhooks,
)
from .api import Answer, Request
from .authentication import authenticate
from .context import Call, Standin, dumps
from .errors import ApiError, invalid
from .faults import KINDS, Fault
from .store import Record

Orders = dict[str, Any]


def answer(standin: Standin, request: Request) -> Answer:
    """The answer to a request under /_control. A POST must be JSON, which no foreign web page can send."""
    try:
        steps = [unquote(step) for step in request.path.split("/")[2:]]
        given = body_of(request) if request.method == "POST" else forms.parse(request.query)
        if request.method == "POST" and steps == ["webhooks", "flush"]:
            return reply({"idle": standin.deliveries.flush(float(given.get("timeout", 10.0))),
                          **standin.deliveries.shown()})  # fmt: skip
        with standin.store.lock:
            return reply(act(standin, request.method, steps, given))
    except ApiError as error:
        return Answer(error.status, dumps({"error": error.error}))


def act(standin: Standin, method: str, steps: list[str], given: Orders) -> Any:
    whole = WHOLE.get((method, "/".join(steps)))
    if whole:
        return whole(standin, given)
    if method == "POST" and len(steps) == 3 and (steps[0], steps[2]) in ORDERS:
        return on_object(standin, steps[0], steps[1], ORDERS[steps[0], steps[2]], given)
    raise ApiError(404, f"Unknown order: {method} /_control/{'/'.join(steps)}")


# --- The whole ---------------------------------------------------------------------------------------------


def reset(standin: Standin, given: Orders) -> Orders:
    standin.store.clear()
    standin.faults.clear()
    standin.deliveries.clear()
    return {"reset": True}


def totals(standin: Standin, given: Orders) -> Orders:
    """Per currency what was charged and refunded, over charges whose metadata match `metadata[…]`."""
    wanted = given.get("metadata") or {}
    sums: dict[str, Orders] = {}
    for charge in standin.store.newest_first("charge"):
        data = charge.data
        if any(data["metadata"].get(key) != value for key, value in wanted.items()):
            continue
        row = sums.setdefault(data["currency"], dict.fromkeys(TOTALS, 0))
        if data["status"] == "succeeded":
            row["charged"] += data["amount"]
            row["charges"] += 1
            row["refunded"] += data["amount_refunded"]
            row["net"] += data["amount"] - data["amount_refunded"]
            row["disputed"] += int(data["disputed"])
        row["failed"] += int(data["status"] == "failed")
        row["pending"] += int(data["status"] == "pending")
    return {"currencies": sums}


TOTALS = ("charged", "refunded", "net", "charges", "failed", "pending", "disputed")


def state(standin: Standin, given: Orders) -> Orders:
    """Counts per kind, or with `kind` every object of it, newest first."""
    store = standin.store
    kind = given.get("kind")
    if kind is None:
        kinds = ("customer", "payment_method", "payment_intent", "setup_intent", "charge", "refund", "dispute",
                 "checkout.session", "event", "idempotency")  # fmt: skip
        return {"counts": {kind: store.count(kind) for kind in kinds}}
    wanted = given.get("metadata") or {}
    found = (
        json.loads(record.raw) if kind == "event" and record.raw else record.data
        for record in store.newest_first(kind)
    )
    return {
        "objects": [d for d in found if all((d.get("metadata") or {}).get(k) == v for k, v in wanted.items())]
    }


def order_webhooks(standin: Standin, given: Orders) -> Orders:
    mode = given.get("mode", "normal")
    if mode not in webhooks.MODES:
        raise invalid(f"mode must be one of {', '.join(webhooks.MODES)}", param="mode")
    if "url" in given:
        standin.settings.webhook_url = given.pop("url") or None
    standin.deliveries.order({**given, "mode": mode})
    return standin.deliveries.shown()


def order_fault(standin: Standin, given: Orders) -> Orders:
    if given.get("kind") not in KINDS:
        raise invalid(f"kind must be one of {', '.join(KINDS)}", param="kind")
    try:
        standin.faults.order(Fault(**given))
    except TypeError:
        raise invalid("a fault takes kind, path, method, count and seconds") from None
    return {"faults": standin.faults.shown()}


def clear_faults(standin: Standin, given: Orders) -> Orders:
    standin.faults.clear()
    return {"faults": []}


# --- One object --------------------------------------------------------------------------------------------


def on_object(
    standin: Standin, kind: str, id: str, order: Callable[[Call, Record, Orders], Record], given: Orders
) -> Orders:
    record = standin.store.get(STORED[kind], id)
    if record is None:
        raise ApiError(404, f"No such object: {id}")
    return order(call_for(standin, record), record, given).data


def dispute(standin: Standin, given: Orders) -> Orders:
    """Open one on `charge` or on the charge of `payment_intent`."""
    intent = standin.store.get("payment_intent", given.get("payment_intent", ""))
    charge = standin.store.get(
        "charge", given.get("charge") or (intent.data["latest_charge"] if intent else "") or ""
    )
    if charge is None:
        raise invalid("Name a charge, or a payment_intent that was charged.")
    return disputes.open_dispute(
        call_for(standin, charge),
        charge,
        reason=given.get("reason", "fraudulent"),
        amount=given.get("amount"),
        inquiry=given.get("inquiry", False),
    ).data


def close_dispute(call: Call, record: Record, given: Orders) -> Record:
    if given.get("status") not in ("won", "lost"):
        raise invalid("status must be won or lost", param="status")
    return disputes.close_dispute(call, record, won=given["status"] == "won")


def update_card(call: Call, record: Record, given: Orders) -> Record:
    """The network replaced the card: new digits and expiry, same payment method. `number` changes its behaviour too."""
    previous = {"card": record.data["card"]}
    number = given.get("number")
    if number:
        fresh = new_payment_methods.from_card(
            call, {"exp_month": 12, "exp_year": 2045, **given, "number": number}
        )
        record.data["card"] = fresh.data["card"]
        record.hidden.update(fresh.hidden)
        call.store.remove(fresh)
    allowed = ("brand", "last4", "exp_month", "exp_year")
    record.data["card"] = {**record.data["card"], **{name: given[name] for name in allowed if name in given}}
    call.store.save(record)
    call.emit("payment_method.automatically_updated", record, previous)
    return record


def settle(call: Call, record: Record, given: Orders) -> Record:
    """The bank's word on a debit that is processing."""
    if given.get("outcome") not in ("succeeded", "failed"):
        raise invalid("outcome must be succeeded or failed", param="outcome")
    if record.data["status"] != "processing":
        raise invalid(f"{record.id} is {record.data['status']}, not processing")
    succeeded = given["outcome"] == "succeeded"
    charging.settle_debit(call, record, succeeded=succeeded)
    checkout_payment.settle(call, record, succeeded=succeeded)
    return record


def settle_refund(call: Call, record: Record, given: Orders) -> Record:
    """The bank's word on a refund that is pending, or its late refusal of one that had succeeded."""
    if given.get("outcome") not in ("succeeded", "failed"):
        raise invalid("outcome must be succeeded or failed", param="outcome")
    succeeded, status = given["outcome"] == "succeeded", record.data["status"]
    if status == "failed" or (succeeded and status != "pending"):
        raise invalid(f"{record.id} is {status}")
    return refunds.settle(call, record, succeeded=succeeded)


def confirm(call: Call, record: Record, given: Orders) -> Record:
    """The customer's answer to an intent that requires action, without a browser."""
    try:
        authenticate(call, record, passed=given.get("outcome", "succeeded") == "succeeded")
    except ApiError as error:
        if error.status != 402:
            raise
    return record


def expire_session(call: Call, record: Record, given: Orders) -> Record:
    """As if its time were over."""
    if record.data["status"] != "open":
        raise invalid(f"{record.id} is {record.data['status']}, not open")
    record.data["expires_at"] = call.now
    return checkout.close(call, record)


def pay_session(call: Call, record: Record, given: Orders) -> Record:
    """Pay on the hosted page without a browser, with `card` as a number or token. A decline answers 402."""
    card = given.get("card", "pm_card_visa")
    token = cards.number_of(card) or card in cards.DEBITS
    typed = {"number": card, "exp_month": 12, "exp_year": 2045, "cvc": "123"}
    method = payment_methods.resolve(call, card) if token else new_payment_methods.from_card(call, typed)
    checkout_payment.pay(
        call, record, method, email=given.get("email", "customer@example.com"), name=given.get("name")
    )
    return record


WHOLE: dict[tuple[str, str], Callable[[Standin, Orders], Orders]] = {
    ("GET", "health"): lambda standin, given: {"ok": True},
    ("POST", "reset"): reset,
    ("GET", "totals"): totals,
    ("GET", "state"): state,
    ("GET", "webhooks"): lambda standin, given: standin.deliveries.shown(),
    ("POST", "webhooks"): order_webhooks,
    ("GET", "faults"): lambda standin, given: {"faults": standin.faults.shown()},
    ("POST", "faults"): order_fault,
    ("DELETE", "faults"): clear_faults,
    ("POST", "idempotency/expire"): lambda standin, given: {
        "expired": standin.keys.expire(given.get("prefix", ""))
    },
    ("POST", "disputes"): dispute,
}
STORED = {"disputes": "dispute", "payment_methods": "payment_method", "payment_intents": "payment_intent",
          "setup_intents": "setup_intent", "checkout_sessions": "checkout.session", "refunds": "refund"}  # fmt: skip
ORDERS: dict[tuple[str, str], Callable[[Call, Record, Orders], Record]] = {
    ("disputes", "close"): close_dispute,
    ("payment_methods", "auto_update"): update_card,
    ("payment_intents", "settle"): settle,
    ("payment_intents", "authenticate"): confirm,
    ("refunds", "settle"): settle_refund,
    ("setup_intents", "authenticate"): confirm,
    ("checkout_sessions", "expire"): expire_session,
    ("checkout_sessions", "pay"): pay_session,
}


# --- Plumbing ----------------------------------------------------------------------------------------------


def call_for(standin: Standin, record: Record) -> Call:
    return Call(standin, livemode=bool(record.data.get("livemode")))


def body_of(request: Request) -> Orders:
    if "application/json" not in request.headers.get("Content-Type", ""):
        raise ApiError(415, "Orders are sent as application/json.")
    try:
        given = json.loads(request.body or b"{}")
    except ValueError:
        raise invalid("The body is not JSON.") from None
    if not isinstance(given, dict):
        raise invalid("The body must be a JSON object.")
    return given


def reply(value: Any) -> Answer:
    return Answer(200, dumps(value))
