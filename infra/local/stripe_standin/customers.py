"""Customers: create, get, update, list, delete."""

from __future__ import annotations

from typing import Any

from . import payment_methods
from .context import Call, merge_metadata
from .errors import invalid
from .ids import new_id
from .listing import page
from .store import Record

TEXT = ("description", "email", "name", "phone", "business_name", "individual_name", "tax_exempt")
HASHES = ("address", "shipping")
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def create(call: Call) -> Record:
    params = call.params
    data: dict[str, Any] = {
        "id": new_id("customer"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": None,
        "invoice_prefix": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": call.livemode,
        "metadata": merge_metadata({}, params.get("metadata")),
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    fill(data, params)
    record = call.store.add("customer", data)
    if params.get("payment_method"):
        payment_methods.attach_to(call, payment_methods.resolve(call, params["payment_method"]), record)
    if params.get("invoice_settings"):
        set_default(call, record)
    call.emit("customer.created", record)
    return record


def update(call: Call) -> Record:
    record = call.customer(call.ids[0], param="id")
    before = dict(record.data)
    if call.params.get("invoice_settings"):
        set_default(call, record)
    fill(record.data, call.params)
    record.data["metadata"] = merge_metadata(record.data["metadata"], call.params.get("metadata"))
    changed = {key: value for key, value in before.items() if record.data[key] != value}
    call.store.save(record)
    if changed:
        call.emit("customer.updated", record, changed)
    return record


def retrieve(call: Call) -> Record:
    return call.find("customer", call.ids[0])


def delete(call: Call) -> Record:
    record = call.customer(call.ids[0], param="id")
    for method in list(call.store.newest_first("payment_method", customer=record.id)):
        payment_methods.detach_from(call, method)
    call.emit("customer.deleted", record)
    kept = {name: record.data[name] for name in ("created", "livemode")}
    record.hidden.update(kept)
    record.data = {"id": record.id, "object": "customer", "deleted": True, **kept}
    call.store.save(record)
    return record


def list_all(call: Call) -> dict[str, Any]:
    email = call.params.get("email")
    return page(
        call,
        "/v1/customers",
        call.store.newest_first("customer"),
        lambda data: not data.get("deleted") and (email is None or data["email"] == email),
    )


def list_methods(call: Call) -> dict[str, Any]:
    customer = call.customer(call.ids[0], param="id")
    return payment_methods.page_of(call, customer.id, f"/v1/customers/{customer.id}/payment_methods")


def retrieve_method(call: Call) -> Record:
    customer = call.customer(call.ids[0], param="id")
    method = call.find("payment_method", call.ids[1])
    payment_methods.check_owner(method, customer.id)
    return method


def fill(data: dict[str, Any], params: dict[str, Any]) -> None:
    for name in TEXT:
        if name in params:
            data[name] = params[name] or ("none" if name == "tax_exempt" else None)
    for name in HASHES:
        if name in params:
            data[name] = address_filled(name, params[name]) if params[name] else None
    if "preferred_locales" in params:
        data["preferred_locales"] = params["preferred_locales"] or []


def address_filled(name: str, given: dict[str, Any]) -> dict[str, Any]:
    if name == "address":
        return {part: given.get(part) or None for part in ADDRESS}
    return given


def set_default(call: Call, customer: Record) -> None:
    given = call.params["invoice_settings"]
    if "default_payment_method" not in given:
        return
    id = given["default_payment_method"]
    if id:
        method = call.find("payment_method", id, param="invoice_settings[default_payment_method]")
        if method.data["customer"] != customer.id:
            raise invalid(
                f"The customer does not have a payment method with the ID {id}. The payment method must be attached "
                "to the customer.",
                param="invoice_settings[default_payment_method]",
                code="resource_missing",
            )
    settings = dict(customer.data["invoice_settings"])
    settings["default_payment_method"] = id or None
    customer.data["invoice_settings"] = settings
