"""What happens when somebody pays, or saves a card, on the hosted page of a Checkout Session."""

from __future__ import annotations

from typing import Any

from . import charging, customers, payment_intents, setup_intents
from .checkout import adopt, allowed_types, lapsed
from .context import Call, merge_metadata
from .errors import invalid
from .new_payment_methods import billing
from .store import Record


def pay(call: Call, session: Record, method: Record, *, email: str | None, name: str | None = None) -> None:
    """Confirm the session with a method. A decline raises the 402 and leaves the session open for another try."""
    if lapsed(call, session).data["status"] != "open":
        raise invalid("This Checkout Session can no longer be paid.", code="checkout_session_not_open")
    method.data["billing_details"] = billing({"email": email, "name": name}, method.data["billing_details"])
    method.data["allow_redisplay"] = "limited"
    session.hidden["payer"] = {"email": email, "name": name}
    call.store.save(session)
    if session.data["mode"] == "setup":
        setup_intents.attempt(call, intent_of(call, session), method)
    else:
        charging.attempt(call, intent_of(call, session), method)
    finish(call, session)


def intent_of(call: Call, session: Record) -> Record:
    """The intent behind the session. In payment mode it comes into being with the first attempt."""
    kind = "setup_intent" if session.data["mode"] == "setup" else "payment_intent"
    if session.data[kind]:
        return call.find(kind, session.data[kind])
    given = session.hidden["intent_data"]
    inner = Call(
        call.standin, livemode=call.livemode, now=call.now, params={**allowed_types(session.data), **given}
    )
    intent = payment_intents.build(
        inner,
        amount=session.data["amount_total"],
        currency=session.data["currency"],
        customer=customer_of(call, session, given),
        metadata=merge_metadata({}, given.get("metadata")),
    )
    adopt(session, intent)
    call.store.save(session)
    call.emit("payment_intent.created", intent)
    return intent


def customer_of(call: Call, session: Record, given: dict[str, Any]) -> str | None:
    """The session's customer, made now if the session or a later charge needs one."""
    needed = session.data["customer_creation"] == "always" or given.get("setup_future_usage")
    if session.data["customer"] is None and needed:
        inner = Call(call.standin, livemode=call.livemode, now=call.now)
        payer = session.hidden.get("payer") or {}
        inner.params = {name: value for name, value in payer.items() if value}
        session.data["customer"] = customers.create(inner).id
    id: str | None = session.data["customer"]
    return id


def finish(call: Call, session: Record) -> None:
    """Complete the session once its intent is through; called again after the customer authenticated."""
    intent = intent_of(call, session)
    if intent.data["status"] not in ("succeeded", "processing"):
        return
    payer = session.hidden.get("payer") or {}
    session.data.update(
        status="complete",
        url=None,
        customer_details={"address": None, "business_name": None, "email": payer.get("email"),
                          "individual_name": None, "name": payer.get("name"), "phone": None, "tax_exempt": "none",
                          "tax_ids": []},
    )  # fmt: skip
    if session.data["mode"] == "payment" and intent.data["status"] == "succeeded":
        session.data["payment_status"] = "paid"
    intent.hidden.pop("checkout_session", None)
    intent.hidden["completed_session"] = session.id
    call.store.save(intent)
    call.store.save(session)
    call.emit("checkout.session.completed", session)


def settle(call: Call, intent: Record, *, succeeded: bool) -> None:
    """Tell the session how its pending debit ended."""
    session = call.store.get("checkout.session", intent.hidden.get("completed_session", ""))
    if session is None:
        return
    session.data["payment_status"] = "paid" if succeeded else "unpaid"
    call.store.save(session)
    call.emit(f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}", session)
