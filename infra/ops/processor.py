"""What the processor says it received, to hold against the payments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.composition import Services

if TYPE_CHECKING:
    from chalicelib.adapters.stripe.answers import Json

PAGE = 100
MOST = 100_000
"""Payments that are looked through per run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """Money that came: `amount` and what was `refunded` of it, in our minor units."""

    reference: str
    env: str
    invoice_id: str | None
    currency: str
    amount: int
    refunded: int


class Processor(Protocol):
    def received(self, since: datetime) -> Iterator[Received]:
        """Every payment of ours begun since (machine time) that succeeded, in all environments, newest first."""
        ...


class StripeProcessor:
    """Reads lists, a hundred at a time; moves nothing."""

    def __init__(self, services: Services) -> None:
        from chalicelib.adapters.stripe.client import Client

        self._client = Client(
            services.secrets.get("stripe_secret_key"),
            api_base=services.settings.stripe_api_base,
            budget=lambda: 30.0,
        )

    def received(self, since: datetime) -> Iterator[Received]:
        query: dict[str, Any] = {
            "created": {"gte": int(since.timestamp())},
            "limit": PAGE,
            "expand": ["data.latest_charge"],
        }
        for _ in range(MOST // PAGE):
            page = self._client.call("get", "/v1/payment_intents", retries=2, **query)
            for intent in page["data"]:
                if intent["status"] == "succeeded" and "env" in intent["metadata"]:
                    yield _received(intent)
            if not page["has_more"]:
                return
            query["starting_after"] = page["data"][-1]["id"]


def _received(intent: Json) -> Received:
    from chalicelib.adapters.stripe.currencies import from_stripe

    currency = intent["currency"].upper()
    return Received(
        reference=intent["id"],
        env=intent["metadata"]["env"],
        invoice_id=intent["metadata"].get("invoice"),
        currency=currency,
        amount=from_stripe(intent["amount_received"], currency),
        refunded=from_stripe((intent.get("latest_charge") or {}).get("amount_refunded", 0), currency),
    )
