"""The billing part of the API over engines in memory: customers with cards, subscriptions, the sandbox's clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application.catalog import publish_default
from chalicelib.settings import Settings
from tests.infra.api import NOW, Answer, Api, api_on

MISSING = {prefix: f"{prefix}_{'0' * 42}" for prefix in ("sub", "inv", "adv")} | {"cus": f"cus_{'0' * 26}"}


class Billing:
    """`billing("GET", "/v1/…")` asks the sandbox; `gateway` and `queues` are the world behind it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.gateway = MemoryGateway()
        self.queues = MemoryQueues()
        api.services.gateway = self.gateway
        api.services.queues = self.queues
        for opened in (api.sandbox, api.live):
            publish_default(api.context(opened.environment.id))

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        return self.api(method, path, body, **options)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self.api(method, path, body, **options)
        assert answer.status in (200, 201), answer.text
        return answer.json

    def customer(self, card: str | None = None, **fields: Any) -> str:
        customer: str = self.ok("POST", "/v1/customers", {"email": "ada@example.com", **fields})["id"]
        if card is not None:
            self.ok("POST", f"/v1/customers/{customer}/payment_methods", {"payment_method": card})
        return customer

    def subscribe(self, customer: str, plan: str = "starter", **fields: Any) -> Any:
        """Without a trial."""
        return self.ok(
            "POST", "/v1/subscriptions", {"customer": customer, "plan": plan, "trial_days": 0, **fields}
        )

    def foreign(self) -> Any:
        """A paid subscription of another environment."""
        key = self.api.live.secret_token
        customer = self.ok("POST", "/v1/customers", {"email": "eve@example.com"}, key=key)["id"]
        body = {"customer": customer, "plan": "starter", "trial_days": 0, "payment_method": "pm_card_visa"}
        return self.ok("POST", "/v1/subscriptions", body, key=key)

    def advance(self, by: str) -> Any:
        return self.ok("POST", "/v1/clock/advance", {"by": by})

    def invoices(self, customer: str) -> list[Any]:
        """Newest first."""
        found: list[Any] = self.ok("GET", "/v1/invoices", query={"customer": customer})["data"]
        return found

    def facts(self) -> list[str]:
        """The types of all facts committed in the sandbox so far."""
        entries = self.api.store.journal(self.api.sandbox.environment.id)
        return [fact.type for entry in entries for fact in entry.facts]


@contextmanager
def billing_on(now: datetime = NOW) -> Iterator[Billing]:
    """With the sandbox's clock at `now`."""
    with api_on(now=now) as api:
        api.services.settings = Settings(index_settle_seconds=0)  # an index in memory does not lag
        yield Billing(api)
