"""Line items of a Checkout Session, from inline prices: the stand-in keeps no price catalog."""

from __future__ import annotations

from typing import Any

from .context import Call
from .currencies import check_grain, known, minimum, too_small
from .errors import invalid, required
from .ids import new_id


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
