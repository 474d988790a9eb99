"""Checkout Sessions in payment and setup mode, and what happens when somebody pays on the hosted page."""

from __future__ import annotations

from typing import Any

from . import charging, customers, payment_intents, payment_methods, setup_intents
from .context import Call, merge_metadata
from .currencies import check_grain, known, minimum, too_small
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


# --- Paying ------------------------------------------------------------------------------------------------


def pay(call: Call, session: Record, method: Record, *, email: str | None, name: str | None = None) -> None:
    """Confirm the session with a method. A decline raises the 402 and leaves the session open for another try."""
    if lapsed(call, session).data["status"] != "open":
        raise invalid("This Checkout Session can no longer be paid.", code="checkout_session_not_open")
    method.data["billing_details"] = payment_methods.billing(
        {"email": email, "name": name}, method.data["billing_details"]
    )
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


def line_item(call: Call, given: dict[str, Any], index: int) -> dict[str, Any]:
    """One line as the API shows it, from inline `price_data`: the stand-in keeps no price catalog."""
    where = f"line_items[{index}]"
    price = given.get("price_data")
    if price is None:
        raise invalid("The stand-in takes line items with price_data.", param=f"{where}[price_data]",
                      code="parameter_missing")  # fmt: skip
    currency = known(price["currency"], param=f"{where}[price_data][currency]")
    product = price.get("product_data") or {}
    if not product.get("name"):
        raise required(f"{where}[price_data][product_data][name]")
    unit = price.get("unit_amount")
    if unit is None or price.get("recurring"):
        raise invalid("A one-time price with an integer unit_amount is expected.",
                      param=f"{where}[price_data][unit_amount]")  # fmt: skip
    if unit < 0:
        raise invalid("Invalid non-negative integer", param=f"{where}[price_data][unit_amount]",
                      code="parameter_invalid_integer")  # fmt: skip
    check_grain(unit, currency, param=f"{where}[price_data][unit_amount]")
    quantity = given.get("quantity", 1)
    return {
        "id": new_id("line_item"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": unit * quantity,
        "amount_tax": 0,
        "amount_total": unit * quantity,
        "currency": currency,
        "description": product["name"],
        "metadata": {},
        "price": shown_price(call, unit, currency),
        "quantity": quantity,
    }


def details(params: dict[str, Any]) -> list[str | None]:
    """The products' descriptions, for the hosted page."""
    return [item["price_data"]["product_data"].get("description") for item in params.get("line_items") or []]


def shown_price(call: Call, unit: int, currency: str) -> dict[str, Any]:
    return {"id": new_id("price"), "object": "price", "active": False, "billing_scheme": "per_unit",
            "created": call.now, "currency": currency, "livemode": call.livemode, "metadata": {},
            "product": new_id("product"), "recurring": None, "tax_behavior": "unspecified", "type": "one_time",
            "unit_amount": unit, "unit_amount_decimal": str(unit)}  # fmt: skip


def sums(items: list[dict[str, Any]], params: dict[str, Any]) -> tuple[str | None, int | None]:
    """Currency and total of the session, held to the least that can be charged."""
    if not items:
        return (known(params["currency"]) if params.get("currency") else None), None
    currencies = {item["currency"] for item in items}
    if len(currencies) > 1:
        raise invalid(
            "All prices on a Checkout session must be expressed in the same currency.", param="line_items"
        )
    currency, total = currencies.pop(), sum(item["amount_total"] for item in items)
    if total < minimum(currency):
        raise too_small(currency, "line_items")
    return currency, total


def allowed_types(source: dict[str, Any]) -> dict[str, Any]:
    types = source.get("allowed_payment_method_types")
    return {"allowed_payment_method_types": types} if types else {}
