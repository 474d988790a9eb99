"""What events come to: which subscription takes each on which meter, the usage after them, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.catalog import Catalog
from chalicelib.domain.entitlement import quotas_of
from chalicelib.domain.journal import Fact
from chalicelib.domain.meter import Aggregation, Meter, UsageEvent
from chalicelib.domain.overage import with_settlement
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import (
    Lane,
    Usage,
    alerts,
    counted,
    covers,
    new_usage,
    position,
    usage_id,
    usage_period,
    with_lane,
)

CatalogOf = Callable[[int], Catalog]


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """One event as it counts on one meter of one subscription. `quota` is that meter's limit, None without one.

    `distinct` names the value where different ones are counted: whoever has it first counts. `position` is where
    the event stands on its lane of the stream, the empty string where it came without one.
    """

    event: UsageEvent
    subscription: Subscription
    meter: Meter
    quota: int | None
    priced: bool
    position: str = ""

    @property
    def usage_id(self) -> str:
        return usage_id(self.subscription.id, self.meter.id)

    @property
    def distinct(self) -> str | None:
        if self.meter.aggregation is not Aggregation.UNIQUE_COUNT:
            return None
        period = usage_period(self.subscription, self.event.at)
        return f"{self.usage_id}:{period.start.isoformat()}:{self.meter.value_of(self.event)}"


def takes_of(
    event: UsageEvent, subscriptions: Iterable[Subscription], catalog_of: CatalogOf, *, position: str = ""
) -> Iterator[Take]:
    """Where the event counts: on each meter that reads it, for the subscription that it names, or else the one that
    is billed for the meter, or else the oldest one that has a quota on it. None: it is kept, and counts nowhere.
    """
    chosen: dict[str, Take] = {}
    for subscription in sorted(subscriptions, key=lambda each: (each.created_at, each.id)):
        if event.subscription_id not in (None, subscription.id) or not covers(subscription, event.at):
            continue
        for take in _takes(event, subscription, catalog_of(subscription.catalog_version), position):
            before = chosen.get(take.meter.id)
            if before is None or (take.priced and not before.priced):
                chosen[take.meter.id] = take
    yield from chosen.values()


def folded(
    takes: Iterable[Take],
    before: Mapping[str, Usage],
    now: datetime,
    *,
    is_new: Callable[[Take], bool],
    lane: int | None = None,
) -> tuple[tuple[Usage, ...], tuple[Fact, ...]]:
    """The usages that these events change, and the alerts that they set off in the period of `now`.

    `before` holds the usages by id. On a lane, what lies at or before the position noted is not counted again.
    """
    usages: dict[str, Usage] = {}
    last: dict[str, Take] = {}
    for take in takes:
        usage = usages.get(take.usage_id) or before.get(take.usage_id)
        usage = usage or new_usage(take.subscription, take.meter.id)
        if lane is not None and take.position <= position(usage, lane):
            continue
        usage = replace(usage, priced=take.priced)
        usage = counted(usage, take.subscription, take.meter, take.event, is_new=is_new(take))
        if lane is not None:
            usage = with_lane(usage, Lane(number=lane, position=take.position))
        usages[take.usage_id], last[take.usage_id] = usage, take
    facts: tuple[Fact, ...] = ()
    for id_, take in last.items():
        period = usage_period(take.subscription, now)
        settled = with_settlement(usages[id_], take.subscription, now)
        usages[id_], told = alerts(settled, take.meter, period, take.quota)
        facts += told
    return tuple(usages.values()), facts


def _takes(event: UsageEvent, subscription: Subscription, catalog: Catalog, position: str) -> Iterator[Take]:
    quotas = quotas_of(subscription, catalog, event.at)
    billed = {item.price.meter for item in subscription.items if item.price is not None}
    for meter in catalog.meters:
        if meter.reads(event) and (meter.id in quotas or meter.id in billed):
            yield Take(
                event=event,
                subscription=subscription,
                meter=meter,
                quota=quotas.get(meter.id),
                priced=meter.id in billed,
                position=position,
            )
