"""What can be drawn: who does what, how often, with what arguments, and what others do meanwhile."""

from __future__ import annotations

from typing import Any

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Apia", "Australia/Lord_Howe",
         "Asia/Kathmandu", "America/St_Johns")  # fmt: skip
CURRENCIES = ("USD", "EUR", "JPY", "KWD", "ISK")
CARDS = ("pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail", "pm_card_insufficient_funds",
         "pm_card_lost", "pm_card_authenticationRequired", "pm_debit_processing", "pm_card_chargeDeclined",
         "pm_card_pendingRefund")  # fmt: skip
BEHAVIOURS = (
    "ok",
    "insufficient_funds",
    "generic_decline",
    "lost_card",
    "authentication_required",
    "processing",
)
GOLD = "gold"
"""A segment of customers; plans have policies of their own before it."""
COUPONS = ("half", "three", "fiver", "gift", "new", "add-on", "nosuch")
PLANS = ("starter", "pro", "weekly", "tiny", "quarterly", "free", "decade", "business")
INTERVALS = {"weekly": "week", "decade": "ten days"}


def _order(draw: Any) -> dict[str, Any]:
    args = {"who": draw.any_number(), **draw.buying()}
    if draw.random.random() < 0.2:
        args["billing"] = "calendar"
    return args


ACTIONS: dict[str, Any] = {
    "customer": lambda draw: {
        "zone": draw.one(ZONES),
        "currency": draw.one(CURRENCIES),
        "card": draw.card() if draw.random.random() < 0.8 else None,
        "net_days": draw.one((0, 14, 30)) if draw.random.random() < 0.2 else None,
        "segment": draw.one(("", "", "gold")),
    },
    "subscribe": _order,
    "checkout": lambda draw: {"who": draw.any_number(), **draw.buying()},
    "signup": lambda draw: {
        **draw.buying(),
        "zone": draw.one(ZONES),
        "currency": draw.one(CURRENCIES),
        "mailbox": draw.random.randrange(3),
    },
    "complete": lambda draw: {"which": draw.any_number()},
    "attach": lambda draw: {"who": draw.any_number(), "card": draw.card()},
    "behave": lambda draw: {"who": draw.any_number(), "how": draw.one(BEHAVIOURS)},
    "detach": lambda draw: {"who": draw.any_number()},
    "cancel": lambda draw: {"which": draw.any_number(), "at_end": draw.random.random() < 0.5},
    "undo": lambda draw: {"which": draw.any_number()},
    "change": lambda draw: {
        "which": draw.any_number(),
        "plan": draw.one((None, None, *PLANS)),
        "interval": draw.one((None, None, "month", "year")),
        "quantity": draw.one((None, 1, 3, 12)),
        "at": draw.one((None, None, "now", "period_end")),
        **draw.coupon(),
    },
    "coupon": lambda draw: {"which": draw.any_number(), "code": draw.one(COUPONS)},
    "uncoupon": lambda draw: {"which": draw.any_number()},
    "revoke": lambda draw: {"which": draw.any_number()},
    "reactivate": lambda draw: {"which": draw.any_number()},
    "network_update": lambda draw: {"who": draw.any_number(), "pays": draw.random.random() < 0.7},
    "extend_trial": lambda draw: {"which": draw.any_number(), "days": draw.one((1, 3, 20))},
    "end_trial": lambda draw: {"which": draw.any_number()},
    "pay": lambda draw: {
        "which": draw.any_number(),
        "card": draw.card(0.2) if draw.random.random() < 0.5 else None,
    },
    "record": lambda draw: {"which": draw.any_number(), "percent": draw.one((30, 100, 100, 130))},
    "retry": lambda draw: {"which": draw.any_number()},
    "write_off": lambda draw: {"which": draw.any_number()},
    "grace": lambda draw: {"which": draw.any_number(), "days": draw.one((1, 10))},
    "page_pay": lambda draw: {"which": draw.any_number(), "card": draw.card(0.3)},
    "page_return": lambda draw: {"which": draw.any_number()},
    "page_expire": lambda draw: {"which": draw.any_number()},
    "bank": lambda draw: {"how": draw.one(("ok", "ok", "insufficient_funds"))},
    "profile": lambda draw: {"who": draw.any_number(), "zone": draw.one(ZONES)},
    "confirm": lambda draw: {"which": draw.any_number()},
    "authenticate": lambda draw: {"which": draw.any_number(), "passed": draw.random.random() < 0.7},
    "confirm_return": lambda draw: {"which": draw.any_number()},
    "refund": lambda draw: {
        "which": draw.any_number(),
        "percent": draw.one((None, None, 30, 60, 100)),
        "from_credit": draw.random.random() < 0.1,
    },
    "dashboard_refund": lambda draw: {"which": draw.any_number(), "percent": draw.one((100, 25))},
    "refund_ends": lambda draw: {"which": draw.any_number(), "outcome": draw.one(("succeeded", "failed"))},
    "erase": lambda draw: {"who": draw.any_number()},
    "dispute": lambda draw: {
        "which": draw.any_number(),
        "percent": draw.one((100, 100, 40)),
        "inquiry": draw.random.random() < 0.25,
    },
    "decide": lambda draw: {"which": draw.any_number(), "won": draw.random.random() < 0.5},
}
WEIGHTS = {
    "customer": 3, "subscribe": 9, "checkout": 6, "signup": 6, "complete": 5, "attach": 4, "behave": 7, "detach": 4,
    "cancel": 5, "undo": 2, "change": 6, "revoke": 1, "coupon": 3, "uncoupon": 1,
    "reactivate": 4, "pay": 4, "record": 3, "page_pay": 8,
    "page_return": 4, "page_expire": 2, "bank": 4, "profile": 1, "retry": 3, "write_off": 1, "grace": 1,
    "network_update": 2, "extend_trial": 2, "end_trial": 2, "dispute": 3, "decide": 4,
    "confirm": 5, "refund": 5, "dashboard_refund": 1, "refund_ends": 2, "confirm_return": 2, "erase": 1,
}  # fmt: skip
OTHERS = {"behave", "detach", "network_update", "page_pay", "bank", "dispute", "decide", "authenticate",
          "dashboard_refund", "refund_ends"}  # fmt: skip
CLIENTS = frozenset(ACTIONS) - OTHERS
"""Steps that are requests: whoever made one may repeat it until it is answered."""
FAULTS = (
    ("kill",) * 6
    + ("interfere",) * 4
    + ("cut_in",) * 3
    + ("lost", "lost", "unavailable", "conflict", "throttle", "stale", "stale")
)
ACTORS = ("work", "work", "same", "same", "cancel", "hooks", "reconcile", "undo", "attach", "pay", "retry",
          "page_return", "page_expire", "page_pay", "reactivate", "detach", "network_update", "extend_trial",
          "end_trial", "write_off", "change", "revoke", "dispute", "decide", "refund", "dashboard_refund",
          "confirm", "authenticate", "erase", "coupon")  # fmt: skip
RIVALS = {
    "subscribe": ("subscribe", "checkout"), "complete": ("complete", "complete", "page_return"),
    "page_return": ("complete", "page_expire", "page_return"), "page_expire": ("page_pay",), "pay": ("page_pay", "pay"),
    "refund": ("refund", "dashboard_refund", "dispute"),
    "change": ("change", "cancel", "work", "coupon"), "coupon": ("coupon", "change", "work"),
    "cancel": ("change", "work", "pay"), "erase": ("subscribe", "checkout"),
    "confirm": ("authenticate", "pay", "record"),
}  # fmt: skip
SEQUELS = {
    "customer": ("subscribe",), "checkout": ("page_pay", "page_return"), "complete": ("page_pay", "page_return"),
    "signup": ("complete", "page_pay"), "cancel": ("undo", "reactivate"),
    "subscribe": ("behave", "attach", "cancel", "change"), "change": ("change", "revoke", "behave"),
    "behave": ("pay", "attach", "network_update"), "attach": ("detach",), "dispute": ("decide", "refund"),
    "refund": ("refund_ends", "refund"), "confirm": ("authenticate", "confirm_return"),
}  # fmt: skip
