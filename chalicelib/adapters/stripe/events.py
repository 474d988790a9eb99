"""Stripe's events, reduced to where they lead. Nothing of an event's content is believed: whoever handles a
notice looks its object up, because events come late, twice and out of order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from chalicelib.adapters.stripe.errors import MalformedNoticeError
from chalicelib.application.ports import ProcessorNotice

_OWN_METADATA: Final = (
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "setup_intent.succeeded",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)
_OF_A_PAYMENT: Final = (
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
CUSTOMER_DELETED: Final = "customer.deleted"
DETACHED: Final = "payment_method.detached"
_OF_A_METHOD: Final = ("payment_method.updated", "payment_method.automatically_updated", DETACHED)

USED: Final = (*_OWN_METADATA, *_OF_A_PAYMENT, CUSTOMER_DELETED, *_OF_A_METHOD)
"""What something follows from; read back hourly, too."""

WITHOUT_EFFECT: Final = {
    "payment_method.attached": "a card becomes the default by our own call or page, never by being attached",
    "setup_intent.setup_failed": "the page stays open for another card",
    "customer.updated": "name and address are ours; what is changed at the processor stays there",
}
"""Subscribed to, answered and dropped, and why."""

EVENT_TYPES: Final = (*USED, *WITHOUT_EFFECT)
"""What a webhook endpoint is subscribed to."""


def notice_from(event: Mapping[str, Any], *, livemode: bool | None = None) -> ProcessorNotice | None:
    """Where an event leads; None for what is none of our business.

    That is a type without effect, another mode than `livemode` (when given), a connected account's event,
    or a payment that carries none of our metadata. `reference` is the payment intent of payments, refunds and
    disputes, else the event's own object. Events of charges, disputes and methods may lack our
    ids: then `env` is None and the gateway's `locate` finds them. Raises MalformedNoticeError when a field
    that must be there is not: nothing is guessed.
    """
    kind = event.get("type")
    if kind not in USED or event.get("account"):
        return None
    if livemode is not None and event.get("livemode") is not livemode:
        return None
    item = _required(_required(event, "data", event), "object", event)
    if kind in _OF_A_PAYMENT and "payment_intent" in item and item["payment_intent"] is None:
        return None  # all our payments have one
    notice = ProcessorNotice(
        id=str(_required(event, "id", event)),
        kind=kind,
        created=_created(event),
        reference=_reference(item, event),
    )
    if kind in _OWN_METADATA or kind == CUSTOMER_DELETED:
        return with_ids(notice, _required(item, "metadata", event))
    return with_ids(notice, item.get("metadata") or {}) or notice


def with_ids(notice: ProcessorNotice, metadata: Mapping[str, Any]) -> ProcessorNotice | None:
    """The notice with our ids from an object's metadata; None when the object is not ours."""
    if not metadata.get("env") or not metadata.get("customer"):
        return None
    try:
        attempt = int(metadata["attempt"]) if "attempt" in metadata else None
    except ValueError:
        raise MalformedNoticeError("broken metadata", event=notice.id, kind=notice.kind) from None
    return replace(
        notice,
        env=metadata["env"],
        customer_id=metadata["customer"],
        subscription_id=metadata.get("subscription"),
        invoice_id=metadata.get("invoice"),
        checkout_id=metadata.get("checkout"),
        refund_id=metadata.get("refund"),
        attempt=attempt,
    )


def _created(event: Mapping[str, Any]) -> datetime:
    created = _required(event, "created", event)
    if not isinstance(created, int):
        raise MalformedNoticeError("'created' is no time", event=str(event.get("id")), kind=event["type"])
    return datetime.fromtimestamp(created, UTC)


def _reference(item: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    if event["type"] not in _OF_A_PAYMENT:
        return str(_required(item, "id", event))
    intent = _required(item, "payment_intent", event)
    return str(intent["id"] if isinstance(intent, Mapping) else intent)


def _required(holder: Any, name: str, event: Mapping[str, Any]) -> Any:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    if value is None:
        raise MalformedNoticeError(
            f"no {name!r}", event=str(event.get("id") or ""), kind=str(event.get("type") or "")
        )
    return value
