"""Random lives of a plan with usage: whatever is reported, changed and refused, each unit is billed exactly once."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.application import changes
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.usage import record_usage, usage_of
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.errors import DomainError
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.subscription import Subscription
from tests.scenario.test_usage_billing import CALLS, plan, price
from tests.scenario.world import World

STARTS = ("2026-03-01T23:30:00+00:00", "2026-10-01T00:10:00+00:00", "2026-01-31T12:00:00+00:00")
"""Before either turn of the clock in Berlin, and at the end of a month."""
CARDS = (
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
    "pm_debit_processing",
)
CATALOG: dict[str, Any] = {
    "seller": {"name": "Acme"},
    "meters": [{"id": "calls", "name": "API calls"}],
    "plans": [
        plan("one", 1, price("1000"), CALLS),
        plan("two", 2, price("2000"), {**CALLS, "unit_amount": "2.0"}),
        plan("patient", 3, price("3000"), {**CALLS, "grace_minutes": 120}),
    ],
}
UNIT = 2


class Life:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World(start=self.draw.choice(STARTS))
        publish_catalog(self.world.ctx(), CATALOG, expected=1)
        customer = self.world.customer(card="pm_card_visa", zone="Europe/Berlin")
        self.sub = self.world.subscribe(customer, self.draw.choice(("one", "two", "patient")))
        self.born, self.reported, self.events = self.world.now, 0, 0

    def report(self) -> None:
        value = self.draw.randint(1, 50)
        self.events += 1
        event = UsageEvent(
            id=f"event-{self.events}", customer_id=self.sub.customer_id, name="calls", at=self.instant(),
            recorded_at=self.world.now, value=value,
        )  # fmt: skip
        record_usage(self.world.ctx(), [event])
        self.reported += value

    def instant(self) -> datetime:
        """Now, some time ago, or at a boundary, on either side of it."""
        period, now = self.world.reload(self.sub).period, self.world.now
        assert period is not None
        edges = (period.start, period.start - timedelta.resolution)
        ago = now - min(timedelta(days=30), now - self.born) * self.draw.random()
        at = self.draw.choice((now, ago, *edges))
        return at if self.born <= at <= now and now - at < timedelta(days=34) else now

    def change(self) -> None:
        self.world.card(self.sub.customer_id, self.draw.choice(CARDS))
        later = self.world.now + timedelta(days=2)
        at = self.draw.choice((None, When.NOW, When.NOW, When.NOW, When.PERIOD_END, later))
        with suppress(DomainError):
            wanted = ChangeOrder(plan=self.draw.choice(("one", "two", "patient")), at=at)
            changes.change_subscription(self.world.ctx(), self.sub.id, wanted)
        self.world.card(self.sub.customer_id, "pm_card_visa")

    def wait(self, days: float | None = None) -> None:
        period = self.world.reload(self.sub).period
        assert period is not None
        half_past_its_end = max(0.1, (period.end - self.world.now) / timedelta(days=1) + 1 / 48)
        by = days or self.draw.choice((0.1, 1, 3, 7, 14, half_past_its_end, half_past_its_end))
        assert self.world.advance(days=by).stuck == ()

    def bank(self) -> None:
        """Debits arrive."""
        gateway = self.world.parts.gateway
        for payment in list(gateway.payments.values()):
            if str(payment.result.outcome) == "processing":
                gateway.settle(payment.reference)


@pytest.mark.parametrize("seed", range(25))
def test_every_unit_is_billed_once(seed: int) -> None:
    life = Life(seed)
    for _ in range(life.draw.randint(10, 40)):
        life.draw.choice((life.report, life.report, life.wait, life.change, life.bank))()
    for _ in range(3):
        life.bank()
        life.wait(31)
    assert billed(life.world, life.sub) == UNIT * life.reported
    for usage in usage_of(life.world.ctx(), life.sub.id):
        for earlier, later in zip(usage.windows, usage.windows[1:], strict=False):
            assert earlier.end <= later.start


def billed(world: World, sub: Subscription) -> int:
    lines = [
        line
        for invoice in world.invoices(sub)
        if invoice.status is not InvoiceStatus.VOID
        for line in invoice.lines
    ]
    return sum(line.amount for line in lines if line.kind in ("usage", "late_usage"))
