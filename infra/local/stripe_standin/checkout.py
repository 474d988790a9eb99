"""Checkout Sessions in payment and setup mode: create, get, list, expire."""

from __future__ import annotations

from typing import Any

from . import payment_intents, setup_intents
from .checkout_lines import details, line_item, sums
from .context import Call, merge_metadata
from .errors import invalid, required
from .ids import new_id
from .listing import matches, page
from .store import Record

SHORTEST, LONGEST = 30 * 60, 24 * 3600
SLACK = 60
"""Seconds of grace at both limits, for the time that a request travels."""


def create(call: Call) -> Record:
    params = call.params
    mode = params.get("mode") or "payment"
    check_create(call, mode)
    customer = call.customer(params["customer"]).id if params.get("customer") else None
    items = [line_item(call, item, index) for index, item in enumerate(params.get("line_items") or [])]
    currency, total = sums(items, params)
    metadata = merge_metadata({}, params.get("metadata"))
    inner_data = params.get(f"{'payment' if mode == 'payment' else 'setup'}_intent_data") or {}
    intent_metadata = merge_metadata({}, inner_data.get("metadata"))
    id = new_id("checkout.session").replace("_test_", "_live_" if call.livemode else "_test_")
    data = build(call, id=id, mode=mode, currency=currency, total=total)
    data.update(customer=customer, metadata=metadata)
    hidden = {"line_items": items, "details": details(params), "intent_data": inner_data, "error": None}
    session = call.store.add("checkout.session", data, hidden)
    if mode == "setup":
        inner = Call(call.standin, livemode=call.livemode, now=call.now, params=allowed_types(params))
        intent = setup_intents.build(inner, customer=customer, metadata=intent_metadata)
        adopt(session, intent)
    call.store.save(session)
    return session


def build(call: Call, *, id: str, mode: str, currency: str | None, total: int | None) -> dict[str, Any]:
    params = call.params
    return {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "allowed_payment_method_types": params.get("allowed_payment_method_types"),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": params.get("billing_address_collection"),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": call.now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None,
                        "terms_of_service_acceptance": None},
        "customer": None,
        "customer_account": None,
        "customer_creation": None if params.get("customer") else params.get("customer_creation", "if_required"),
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "expires_at": params.get("expires_at", call.now + LONGEST),
        "invoice": None,
        "invoice_creation": None,
        "livemode": call.livemode,
        "locale": params.get("locale"),
        "metadata": {},
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always" if mode == "setup" else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": params.get("payment_method_options") or {},
        "payment_method_types": params.get("allowed_payment_method_types") or ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params.get("success_url"),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0} if mode == "payment" else None,
        "ui_mode": "hosted_page",
        "url": f"{call.standin.settings.public_url}/c/pay/{id}",
        "wallet_options": None,
    }  # fmt: skip


def retrieve(call: Call) -> Record:
    return lapsed(call, call.find("checkout.session", call.ids[0]))


def list_all(call: Call) -> dict[str, Any]:
    status = call.params.get("status")
    records = call.store.newest_first("checkout.session", **matches(call, "customer", "payment_intent"))
    return page(call, "/v1/checkout/sessions", records, lambda data: status in (None, data["status"]))


def list_line_items(call: Call) -> dict[str, Any]:
    session = call.find("checkout.session", call.ids[0])
    url = f"/v1/checkout/sessions/{session.id}/line_items"
    return {"object": "list", "data": session.hidden["line_items"], "has_more": False, "url": url}


def expire(call: Call) -> Record:
    session = call.find("checkout.session", call.ids[0])
    if session.data["status"] != "open":
        status = session.data["status"]
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {status}.'
        )
    return close(call, session)


def close(call: Call, session: Record) -> Record:
    """Nobody can pay this session any more; the intent behind it is canceled with it."""
    session.data.update(status="expired", url=None)
    for kind, module in (("payment_intent", payment_intents), ("setup_intent", setup_intents)):
        if session.data[kind]:
            intent = call.find(kind, session.data[kind])
            if intent.data["status"] in payment_intents.CONFIRMABLE:
                module.close(call, intent, "expired" if kind == "payment_intent" else "abandoned")
    call.store.save(session)
    call.emit("checkout.session.expired", session)
    return session


def lapsed(call: Call, session: Record) -> Record:
    """The session, closed first if its time is over."""
    if session.data["status"] == "open" and session.data["expires_at"] <= call.now:
        close(call, session)
    return session


def adopt(session: Record, intent: Record) -> None:
    session.data[intent.kind] = intent.id
    intent.hidden["checkout_session"] = session.id


# --- Rules -------------------------------------------------------------------------------------------------


def check_create(call: Call, mode: str) -> None:
    params = call.params
    if mode not in ("payment", "setup"):
        raise invalid(f"The stand-in has no Checkout in {mode} mode.", param="mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise invalid("The stand-in has the hosted page only.", param="ui_mode")
    if not params.get("success_url"):
        raise required("success_url")
    if params.get("customer") and params.get("customer_email"):
        raise invalid(
            "You may only specify one of these parameters: customer, customer_email.", param="customer_email"
        )
    if params.get("customer") and params.get("customer_creation"):
        raise invalid("`customer_creation` cannot be used with `customer`.", param="customer_creation")
    wrong = {"payment": ("setup_intent_data",), "setup": ("payment_intent_data", "line_items")}[mode]
    for name in wrong:
        if params.get(name):
            raise invalid(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    if mode == "payment" and not params.get("line_items"):
        raise required("line_items")
    if mode == "setup" and not (params.get("currency") or params.get("allowed_payment_method_types")):
        raise required("currency")
    check_expiry(call)


def check_expiry(call: Call) -> None:
    expires = call.params.get("expires_at")
    if expires is None:
        return
    if expires < call.now + SHORTEST - SLACK:
        raise invalid("The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
                      param="expires_at")  # fmt: skip
    if expires > call.now + LONGEST + SLACK:
        raise invalid("The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
                      param="expires_at")  # fmt: skip


def allowed_types(source: dict[str, Any]) -> dict[str, Any]:
    types = source.get("allowed_payment_method_types")
    return {"allowed_payment_method_types": types} if types else {}
