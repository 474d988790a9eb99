"""Which endpoint a path names: its handler, and the SDK's request class that its parameters are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import (
    charges,
    checkout,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
)
from .context import Call
from .store import Record

Handler = Callable[[Call], Record | dict[str, Any]]


@dataclass(frozen=True)
class Route:
    handler: Handler
    schema: str


SESSIONS = "checkout/sessions"
TABLE: list[tuple[str, str, Handler, str]] = [
    ("POST", "customers", customers.create, "customer_create"),
    ("GET", "customers", customers.list_all, "customer_list"),
    ("GET", "customers/*", customers.retrieve, "customer_retrieve"),
    ("POST", "customers/*", customers.update, "customer_update"),
    ("DELETE", "customers/*", customers.delete, "customer_delete"),
    ("GET", "customers/*/payment_methods", customers.list_methods, "customer_payment_method_list"),
    ("GET", "customers/*/payment_methods/*", customers.retrieve_method, "customer_payment_method_retrieve"),
    ("POST", "payment_methods", payment_methods.create, "payment_method_create"),
    ("GET", "payment_methods", payment_methods.list_all, "payment_method_list"),
    ("GET", "payment_methods/*", payment_methods.retrieve, "payment_method_retrieve"),
    ("POST", "payment_methods/*", payment_methods.update, "payment_method_update"),
    ("POST", "payment_methods/*/attach", payment_methods.attach, "payment_method_attach"),
    ("POST", "payment_methods/*/detach", payment_methods.detach, "payment_method_detach"),
    ("POST", "payment_intents", payment_intents.create, "payment_intent_create"),
    ("GET", "payment_intents", payment_intents.list_all, "payment_intent_list"),
    ("GET", "payment_intents/*", payment_intents.retrieve, "payment_intent_retrieve"),
    ("POST", "payment_intents/*", payment_intents.update, "payment_intent_update"),
    ("POST", "payment_intents/*/confirm", payment_intents.confirm, "payment_intent_confirm"),
    ("POST", "payment_intents/*/cancel", payment_intents.cancel, "payment_intent_cancel"),
    ("POST", "setup_intents", setup_intents.create, "setup_intent_create"),
    ("GET", "setup_intents", setup_intents.list_all, "setup_intent_list"),
    ("GET", "setup_intents/*", setup_intents.retrieve, "setup_intent_retrieve"),
    ("POST", "setup_intents/*", setup_intents.update, "setup_intent_update"),
    ("POST", "setup_intents/*/confirm", setup_intents.confirm, "setup_intent_confirm"),
    ("POST", "setup_intents/*/cancel", setup_intents.cancel, "setup_intent_cancel"),
    ("POST", SESSIONS, checkout.create, "checkout/session_create"),
    ("GET", SESSIONS, checkout.list_all, "checkout/session_list"),
    ("GET", f"{SESSIONS}/*", checkout.retrieve, "checkout/session_retrieve"),
    ("POST", f"{SESSIONS}/*/expire", checkout.expire, "checkout/session_expire"),
    ("GET", f"{SESSIONS}/*/line_items", checkout.list_line_items, "checkout/session_line_item_list"),
    ("POST", "refunds", refunds.create, "refund_create"),
    ("GET", "refunds", refunds.list_all, "refund_list"),
    ("GET", "refunds/*", refunds.retrieve, "refund_retrieve"),
    ("GET", "charges", charges.list_all, "charge_list"),
    ("GET", "charges/*", charges.retrieve, "charge_retrieve"),
    ("GET", "events", events.list_all, "event_list"),
    ("GET", "events/*", events.retrieve, "event_retrieve"),
    ("GET", "disputes", disputes.list_all, "dispute_list"),
    ("GET", "disputes/*", disputes.retrieve, "dispute_retrieve"),
    ("GET", "balance_transactions/*", charges.retrieve_balance_transaction, "balance_transaction_retrieve"),
]


def grow() -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for method, path, handler, schema in TABLE:
        node = tree
        for step in path.split("/"):
            node = node.setdefault(step, {})
        node["/" + method] = Route(handler, schema)
    return tree


TREE = grow()


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of `/v1/…` and the ids in the path."""
    node, ids = TREE, []
    for step in path.removeprefix("/v1/").split("/"):
        if step in node and not step.startswith("/") and step != "*":
            node = node[step]
        elif "*" in node and step:
            node = node["*"]
            ids.append(step)
        else:
            return None
    route = node.get("/" + method)
    return (route, tuple(ids)) if route else None
