"""Calls to Stripe that are safe to repeat, its lists page by page, and the addresses of its objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chalicelib.adapters.stripe.answers import Json
from chalicelib.adapters.stripe.client import Client
from chalicelib.adapters.stripe.errors import GatewayMisuseError, UnansweredError
from chalicelib.domain.errors import GatewayUnavailableError

PAGE: Final = 100
_MOST_PAGES: Final = 20
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")


class Calls:
    """Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def call(self, method: str, path: str, *, key: str | None = None, **body: Any) -> Json:
        """For what is safe to repeat: no answer is an outage, and whoever called may call again."""
        try:
            return self._client.call(method, path, key=key, retries=1, **body)
        except UnansweredError:
            raise GatewayUnavailableError("the payment provider did not answer") from None

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[list[Json]]:
        """Every page of a list, newest first. GatewayUnavailableError where it does not end."""
        query = dict(query)
        for _ in range(_MOST_PAGES):
            page = self.call("get", path, **query)
            yield page["data"]
            if not page["has_more"]:
                return
            query["starting_after"] = page["data"][-1]["id"]
        raise GatewayUnavailableError("the list is too long to look through")


def is_id(reference: str) -> bool:
    return _ID.fullmatch(reference) is not None


def path_of(kind: str, reference: str, action: str = "") -> str:
    """The address of one object. An id can never lead to another address than its own."""
    if not is_id(reference):
        raise GatewayMisuseError("this is not an id of the payment provider's")
    return f"/v1/{kind}/{reference}" + (f"/{action}" if action else "")
