"""What a request works with: the stand-in's parts, its checked parameters, and who called."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import invalid, missing
from .ids import new_id
from .store import Record, Store

if TYPE_CHECKING:
    from .faults import Faults
    from .idempotency import Keys
    from .webhooks import Deliveries

API_VERSION = "2026-10-28.endive"
DEFAULT_EVENTS = (
    "payment_intent.succeeded payment_intent.payment_failed payment_intent.processing payment_intent.canceled "
    "payment_intent.requires_action setup_intent.succeeded setup_intent.setup_failed checkout.session.completed "
    "checkout.session.expired checkout.session.async_payment_succeeded checkout.session.async_payment_failed "
    "charge.refunded refund.created refund.updated refund.failed charge.dispute.created charge.dispute.updated "
    "charge.dispute.funds_withdrawn charge.dispute.funds_reinstated charge.dispute.closed "
    "payment_method.attached payment_method.detached payment_method.updated "
    "payment_method.automatically_updated customer.updated customer.deleted"
).split()
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


@dataclass
class Settings:
    """How the stand-in was started. Waits are in seconds."""

    secret_keys: list[str]
    webhook_secret: str
    webhook_url: str | None = None
    events: list[str] = field(default_factory=lambda: list(DEFAULT_EVENTS))
    public_url: str = ""
    retry_wait: float = 0.5
    retry_limit: int = 10


@dataclass
class Standin:
    """The one stand-in of a process."""

    settings: Settings
    store: Store
    keys: Keys
    faults: Faults
    deliveries: Deliveries


@dataclass
class Call:
    """One request, or one step of a hosted page or of the control API. Runs with the store's lock held."""

    standin: Standin
    livemode: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    request_id: str | None = None
    idempotency_key: str | None = None
    now: int = field(default_factory=lambda: int(time.time()))

    @property
    def store(self) -> Store:
        return self.standin.store

    def find(self, kind: str, id: str, *, param: str = "id") -> Record:
        """The caller's object, or "No such …": objects of the other mode do not exist for this caller."""
        record = self.store.get(kind, id)
        noun = "checkout.session" if kind == "checkout.session" else kind
        if record is None:
            raise missing(noun.replace("payment_method", "PaymentMethod"), id, param=param)
        if not self.sees(record):
            raise missing(noun, id, param=param, other_mode="test" if self.livemode else "live")
        return record

    def sees(self, record: Record) -> bool:
        """Whether the record belongs to the caller's mode (some objects do not show theirs)."""
        return bool(record.data.get("livemode", record.hidden.get("livemode"))) is self.livemode

    def customer(self, id: str, *, param: str = "customer") -> Record:
        """A customer that was not deleted."""
        record = self.find("customer", id, param=param)
        if record.data.get("deleted"):
            raise missing("customer", id, param=param)
        return record

    def emit(self, type: str, record: Record, previous: Mapping[str, Any] | None = None) -> None:
        """Record an event with the object as it now is, and hand it to delivery if the endpoint listens to it."""
        settings = self.standin.settings
        listens = settings.webhook_url is not None and type in settings.events
        data: dict[str, Any] = {"object": record.data}
        if previous is not None:
            data["previous_attributes"] = previous
        event = {
            "id": new_id("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": record.data.get("livemode", self.livemode),
            "pending_webhooks": int(listens),
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": type,
        }
        raw = dumps(event)
        head = {name: event[name] for name in ("id", "object", "created", "livemode", "type")}
        self.store.add("event", head, raw=raw)
        if listens:
            self.standin.deliveries.push(event["id"], type, raw)


dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""Compact JSON, from one encoder that is made once."""


def merge_metadata(current: Mapping[str, str], given: Any) -> dict[str, str]:
    """Stripe's way with metadata: keys are merged, an empty value removes one, an empty whole removes all."""
    if given is None:
        return dict(current)
    if given == "":
        return {}
    merged = {**current, **given}
    merged = {key: str(value) for key, value in merged.items() if value != ""}
    if len(merged) > METADATA_KEYS:
        raise invalid(f"Metadata can hold up to {METADATA_KEYS} keys.", param="metadata")
    for key, value in merged.items():
        if len(key) > METADATA_KEY_LENGTH or len(value) > METADATA_VALUE_LENGTH:
            limits = f"{METADATA_KEY_LENGTH} characters in a key, {METADATA_VALUE_LENGTH} in a value"
            raise invalid(f"Metadata is limited to {limits}.", param=f"metadata[{key[:METADATA_KEY_LENGTH]}]")
    return merged
