"""Usage taken in and folded, and the CPU of rating an invoice."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.adapters.dynamo.items import item_of
from chalicelib.adapters.dynamo.meter import metered
from chalicelib.application.usage import fold, record_usage, usage_of
from chalicelib.domain.billing import Occasion, open_invoice, recurring_lines
from chalicelib.domain.catalog import Party
from chalicelib.domain.discount import Coupon, Redemption
from chalicelib.domain.invoice import cycle_cause
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.pricing import PricingModel, Rate, Tier
from chalicelib.domain.proration import Granularity
from chalicelib.domain.subscription import Subscription
from tests import samples
from tests.bench.world import Bench

TOGETHER = 100
TIERS = Rate(PricingModel.GRADUATED, tiers=(Tier(10, "1000", "200"), Tier(20, "500"), Tier(None, "250")))


@dataclass(frozen=True, slots=True)
class Ingestion:
    """`requests`: calls to the table for a hundred events; `cpu`: milliseconds of this process per event."""

    write_units: float
    requests: float
    per_second: float
    cpu: float
    folded_per_second: float


def ingestion(bench: Bench, batches: int = 20) -> Ingestion:
    """Live events of one customer: stored in hundreds, then folded as their stream would bring them."""
    subscription = bench.subscribe(bench.customer())
    customer = subscription.customer_id
    warm, *others = [_events(customer, bench.now, f"b{number}") for number in range(batches + 2)]
    record_usage(bench.ctx(), warm)
    counted, *timed = others
    with metered(bench.services.tables.client) as used:
        record_usage(bench.ctx(), counted)
    number = TOGETHER * len(timed)
    cpu, started = time.process_time(), time.perf_counter()
    for batch in timed:
        record_usage(bench.ctx(), batch)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    arrived = [(f"{place:040d}", event) for place, event in enumerate(each for b in timed for each in b)]
    started = time.perf_counter()
    fold(bench.ctx(), customer, 0, arrived)
    folding = time.perf_counter() - started
    counted_there = sum(
        w.reading.events for each in usage_of(bench.ctx(), subscription.id) for w in each.windows
    )
    assert counted_there == number
    inserted = used.operations["BatchExecuteStatement"]
    return Ingestion(
        used.write_units / TOGETHER, inserted, number / seconds, cpu * 1000 / number, number / folding
    )


def rating(lines: int, rounds: int = 30) -> float:
    """Milliseconds of CPU, least of three: price the lines, take a coupon off, open the invoice, encode its item."""
    base = samples.subscription()
    assert base.plan.price is not None
    price = replace(base.plan.price, rate=TIERS)
    items = tuple(replace(base.plan, id=f"item{n}", quantity=n % 40 + 1, price=price) for n in range(lines))
    redemption = Redemption(coupon=Coupon(id="cpn_bench", percent="12.5"), at=samples.START)
    subscription = replace(base, items=items, redemptions=(redemption,))
    return min(_rated(subscription, rounds) for _ in range(3))


def _rated(subscription: Subscription, rounds: int) -> float:
    period = subscription.period
    assert period is not None
    occasion = Occasion(now=period.start, customer=samples.customer(), seller=Party(name="Acme"))
    started = time.process_time()
    for _ in range(rounds):
        lines = recurring_lines(
            subscription.items, period, full=period, zone=subscription.zone, granularity=Granularity.DAY
        )
        opened = open_invoice(
            subscription,
            samples.account(),
            lines,
            cause=cycle_cause(period.start),
            period=period,
            occasion=occasion,
        )
        item_of("live", opened.invoice, "mark")
    return (time.process_time() - started) * 1000 / rounds


def _events(customer: str, at: datetime, name: str) -> list[UsageEvent]:
    return [
        UsageEvent(id=f"{name}-{n}", customer_id=customer, name="api_calls", at=at, recorded_at=at)
        for n in range(TOGETHER)
    ]
