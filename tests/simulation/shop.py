"""What a simulated installation sells: the shipped catalog and some awkward plans."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.application import catalog
from chalicelib.domain.calendar import Interval
from chalicelib.domain.discount import Coupon, Duration
from tests.simulation.steps import DEFAULT

POLICIES: Mapping[str, Mapping[str, Any]] = {
    "starter": {"end": "free_plan", "free_plan": "free"},
    "pro": {"end": "unpaid", "grace_days": 3, "days": [0, 1, 4]},
    "business": {"hard_decline": "end", "quiet_from": 22, "quiet_until": 7},
}
"""How arrears are collected, per plan (or segment), where a plan of steps does not say otherwise."""
_INTERVALS = {"quarter": Interval.of("month", 3), "ten days": Interval.of("day", 10)}


def interval_of(name: str) -> Interval:
    return _INTERVALS.get(name) or Interval.of(name)


TAX: Mapping[str, Any] = {
    "provider": "rates",
    "rates": [
        {"country": "DE", "rate": "19", "reverse_charge": True},
        {"country": "DE", "rate": "7", "products": ["priority_support"]},
        {"country": "JP", "rate": "10", "inclusive": True},
        {"country": "KW", "rate": "5.125"},
        {"country": "US", "region": "CA", "rate": "7.25"},
    ],
}
COUPONS = (
    Coupon(id="HALF", percent="50", duration=Duration.FOREVER, max_redemptions=1),
    Coupon(id="THREE", percent="33.3333", duration=Duration.REPEATING, periods=3, max_redemptions=1),
    Coupon(id="FIVER", amount=500, currency="USD", duration=Duration.REPEATING, periods=2),
    Coupon(id="GIFT", percent="100", max_redemptions=2),
    Coupon(id="NEW", percent="12.5", duration=Duration.FOREVER, first_time=True),
    Coupon(id="ADD-ON", percent="100", duration=Duration.FOREVER, plans=("starter",)),
)
_COUNTRIES = {"EUR": "DE", "JPY": "JP", "KWD": "KW", "USD": "US", "GBP": "GB"}


def place_of(currency: str, number: int) -> dict[str, Any]:
    """Where tax is that of the country of the customer's money; every fifth German firm accounts for its own."""
    firm = currency == "EUR" and number % 5 == 4
    address = {"country": _COUNTRIES.get(currency, ""), "state": "CA" if number % 2 else "NY"}
    return {"address": address, "tax_ids": ["DE136695976"] if firm else []}


def catalog_with(policies: Mapping[str, Mapping[str, Any]]) -> Any:
    """The document: more currencies, and plans that are tiny, in parts of a cent, every ten days, quarterly."""
    document = json.loads(json.dumps(catalog.default_document()))
    _more_currencies(document)
    _awkward_plans(document)
    document["tax"] = json.loads(json.dumps(TAX))
    document["seller"]["country"] = "IE"
    plans = {plan["id"]: plan for plan in document["plans"]}
    for name, policy in policies.items():
        if name in plans:
            plans[name]["dunning"] = dict(policy)
        elif name == DEFAULT:
            document["dunning"] = dict(policy)
        else:
            document.setdefault("dunning_by_segment", {})[name] = dict(policy)
    return document


def _more_currencies(document: dict[str, Any]) -> None:
    for plan in document["plans"]:
        base = {price["currency"]: price for price in plan.get("prices", []) if price["interval"] == "month"}
        for interval in ("month", "year") if base else ():
            for currency in ("KWD", "ISK"):
                plan["prices"].append({**base["USD"], "interval": interval, "currency": currency,
                                       "unit_amount": "4505" if currency == "KWD" else "2500"})  # fmt: skip
    for add_on in document["add_ons"]:
        for interval in ("month", "year"):
            for currency in ("KWD", "ISK"):
                add_on["prices"].append({"interval": interval, "currency": currency, "model": "flat",
                                         "unit_amount": "1515" if currency == "KWD" else "700"})  # fmt: skip


def _awkward_plans(document: dict[str, Any]) -> None:
    extra: dict[str, list[dict[str, Any]]] = {
        "tiny": [{"interval": each, "model": "flat", "unit_amount": "19"} for each in ("month", "year")],
        "weekly": [{"interval": "week", "model": "per_unit", "unit_amount": "166.6667"}],
        "decade": [{"interval": "day", "interval_count": 10, "model": "flat", "unit_amount": "190"}],
        "quarterly": [{"interval": "month", "interval_count": 3, "model": "flat", "unit_amount": "5001"}],
    }
    for rank, (name, prices) in enumerate(extra.items()):
        document["plans"].append({
            "id": name, "name": name.title(), "rank": 50 + rank, "features": [], "quotas": {},
            **({"per_seat": True} if name == "weekly" else {}),
            **({"trial": {"days": 5, "card_required": False, "on_end": "invoice"}} if name == "quarterly" else {}),
            "prices": [{**price, "currency": currency}
                       for price in prices for currency in ("USD", "EUR", "JPY", "KWD", "ISK", "GBP")],
        })  # fmt: skip
