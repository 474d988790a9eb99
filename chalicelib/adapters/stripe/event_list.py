"""Stripe's own list of what happened, and where an event leads that does not say so itself."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, Final

from chalicelib.adapters.stripe.answers import Json
from chalicelib.adapters.stripe.calls import PAGE, Calls, path_of
from chalicelib.adapters.stripe.errors import GatewayMisuseError, MalformedNoticeError
from chalicelib.adapters.stripe.events import DETACHED, USED, notice_from, with_ids
from chalicelib.application.ports import ProcessorNotice

_MOST_TYPES: Final = 20
_LISTS: Final = [USED[start : start + _MOST_TYPES] for start in range(0, len(USED), _MOST_TYPES)]
_log = logging.getLogger(__name__)


class EventList:
    """Thread-safe."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def since(self, start: datetime, cursor: str | None) -> tuple[list[ProcessorNotice], str | None]:
        """Stripe keeps events for 30 days and lists the newest first: each page is in order of time, and the
        next page is older. It takes twenty types at most, so there are several lists, one after the other: the
        cursor says in which we are. An event that leads nowhere is logged and left out, so that it does not
        hide the others.
        """
        which, _, after = (cursor or "").rpartition(":")
        number = int(which or 0)
        query: dict[str, Any] = {
            "created": {"gte": int(start.timestamp())},
            "types": list(_LISTS[number]),
            "limit": PAGE,
        }
        if after:
            query["starting_after"] = after
        page = self._calls.call("get", "/v1/events", **query)
        notices = [self._listed(event) for event in reversed(page["data"])]
        further = f"{number}:{page['data'][-1]['id']}" if page["has_more"] else _next_list(number)
        return [notice for notice in notices if notice is not None], further

    def locate(self, notice: ProcessorNotice) -> ProcessorNotice | None:
        """The notice with our ids, asked from Stripe where it has none (`env` is None): disputes and payment
        methods do not carry them. None: not ours. Raises MalformedNoticeError for one that leads nowhere.
        """
        if notice.env is not None:
            return notice
        if not notice.reference:
            raise MalformedNoticeError("it leads nowhere", event=notice.id, kind=notice.kind)
        if notice.kind == DETACHED:  # the method has forgotten its customer; only the event knows
            event = self._calls.call("get", path_of("events", notice.id))
            owner = (event["data"].get("previous_attributes") or {}).get("customer")
            customer = self._calls.call("get", path_of("customers", owner)) if owner else {}
            return with_ids(notice, customer.get("metadata") or {})
        if notice.reference.startswith("pm_"):
            method = self._calls.call(
                "get", path_of("payment_methods", notice.reference), expand=["customer"]
            )
            return with_ids(notice, (method.get("customer") or {}).get("metadata") or {})
        intent = self._calls.call("get", path_of("payment_intents", notice.reference))
        return with_ids(notice, intent["metadata"])

    def _listed(self, event: Json) -> ProcessorNotice | None:
        try:
            notice = notice_from(event)
            return notice and self.locate(notice)
        except (MalformedNoticeError, GatewayMisuseError):
            _log.error("stripe event %s of type %s leads nowhere", event.get("id"), event.get("type"))
            return None


def _next_list(number: int) -> str | None:
    return f"{number + 1}:" if number + 1 < len(_LISTS) else None
