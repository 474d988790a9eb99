"""Meters: how events that a product reports become a quantity. Data of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Aggregation(StrEnum):
    """Over a window of time: the values added up, events counted, the highest value, the latest one, or how many
    different values a property had.
    """

    SUM = "sum"
    COUNT = "count"
    MAX = "max"
    LAST = "last"
    UNIQUE_COUNT = "unique_count"


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """Reads the events called `event` whose properties pass every filter (property → allowed values).

    `property` names the property that holds the value: a whole number, or anything for UNIQUE_COUNT; without it
    the event's own `value` is read. `alerts` are quantities whose passing is told, once per window each.
    """

    id: str
    name: str
    event: str
    aggregation: Aggregation = Aggregation.SUM
    property: str | None = None
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alerts: tuple[int, ...] = ()

    def reads(self, event: UsageEvent) -> bool:
        """Whether the event counts here. One without the property that this reads does not."""
        if event.name != self.event or self.value_of(event) is None:
            return False
        properties = event.properties
        return all(str(properties.get(name, "")) in allowed for name, allowed in self.filters.items())

    def value_of(self, event: UsageEvent) -> int | str | None:
        """What the event adds, None where it has nothing of use."""
        value = event.value if self.property is None else event.properties.get(self.property)
        match self.aggregation:
            case Aggregation.COUNT:
                return 1
            case Aggregation.UNIQUE_COUNT:
                return None if value is None else str(value)
        return value if isinstance(value, int) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageEvent:
    """What a product reports. `id` is the caller's, unique per customer for ever: the first one counts.

    `at` is when it happened and decides the window; `recorded_at` when it was taken in (both business time).
    `subscription_id` is only needed where a customer has several that could take it.
    """

    id: str
    customer_id: str
    name: str
    at: datetime
    recorded_at: datetime
    value: int = 1
    properties: Mapping[str, str | int] = field(default_factory=dict)
    subscription_id: str | None = None
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a meter has read: its `quantity`, from so many `events`. `at` and `by` are of the latest event."""

    quantity: int = 0
    events: int = 0
    at: datetime | None = None
    by: str = ""

    def after(self, meter: Meter, event: UsageEvent, *, is_new: bool = True) -> Reading:
        """With one more event. The order of events does not matter. `is_new`: no event had this value before
        (only UNIQUE_COUNT asks).
        """
        latest = self.at is None or (event.at, event.id) > (self.at, self.by)
        return Reading(
            quantity=self._quantity(meter, event, latest=latest, is_new=is_new),
            events=self.events + 1,
            at=event.at if latest else self.at,
            by=event.id if latest else self.by,
        )

    def _quantity(self, meter: Meter, event: UsageEvent, *, latest: bool, is_new: bool) -> int:
        value = meter.value_of(event)
        if not isinstance(value, int):
            return self.quantity + int(is_new)
        match meter.aggregation:
            case Aggregation.MAX:
                return value if not self.events else max(self.quantity, value)
            case Aggregation.LAST:
                return value if latest else self.quantity
        return self.quantity + value
