"""Check of usage: what windows have read is what the events that were taken in come to.

Sandboxes only: they keep their events beside what they come to. The live ones are in a table of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.application.records import catalog_key
from chalicelib.domain.environment import LIVE
from chalicelib.domain.meter import Aggregation, Meter, Reading, UsageEvent
from chalicelib.domain.metered import item_of
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import Usage, Window
from infra.ops.chart import Chart, Finding, Patient

LOOK = "read the customer's events (E#…) and the window (0M#…); bill the difference by hand"


class Totals:
    """Nothing was counted twice, and nothing that is billed was left out."""

    name = "usage"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._meters: dict[int, dict[str, Meter]] = {}
        self._windows = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        if self._patient.env == LIVE:
            return
        subscriptions = {each.id: each for each in chart.of(Subscription)}
        usages = chart.of(Usage)
        for usage in usages:
            subscription = subscriptions.get(usage.subscription_id)
            if subscription is None or sum(each.meter == usage.meter for each in usages) > 1:
                continue  # which of them took an event is not told by the event
            meter = self._meters_of(subscription).get(usage.meter)
            if meter is not None:
                for window in usage.windows:
                    yield from self._window(chart, usage, subscription, meter, window)

    def end(self) -> Iterator[Finding]:
        yield from ()

    def said(self) -> str:
        return f"{self._windows} windows of usage are what their events come to"

    def _window(
        self, chart: Chart, usage: Usage, subscription: Subscription, meter: Meter, window: Window
    ) -> Iterator[Finding]:
        own = [event for event in chart.of(UsageEvent) if _counts(event, subscription, meter, window)]
        self._windows += 1
        item = item_of(subscription, meter.id)
        began = item is not None and (item.starts_at is None or item.starts_at <= window.start)
        found, wanted = window.reading, _read(meter, own)
        is_short = found.events < wanted.events and began
        is_other = found.events == wanted.events and found.quantity != wanted.quantity
        if meter.aggregation is Aggregation.UNIQUE_COUNT:  # a period may have several windows
            is_other = False
        if found.events > wanted.events or is_short or is_other:
            text = (
                f"{usage.id} read {found.quantity} {meter.id} in {found.events} events from "
                f"{window.start.isoformat()}, its events come to {wanted.quantity} in {wanted.events}"
            )
            yield Finding(text=text, what_to_do=LOOK)

    def _meters_of(self, subscription: Subscription) -> dict[str, Meter]:
        version = subscription.catalog_version
        if version not in self._meters:
            catalog = self._patient.store.get(catalog_key(self._patient.env, version))
            self._meters[version] = {meter.id: meter for meter in catalog.meters} if catalog else {}
        return self._meters[version]


def _counts(event: UsageEvent, subscription: Subscription, meter: Meter, window: Window) -> bool:
    return window.holds(event.at) and meter.reads(event) and event.subscription_id in (None, subscription.id)


def _read(meter: Meter, events: list[UsageEvent]) -> Reading:
    reading = Reading()
    for event in events:
        reading = reading.after(meter, event)
    return reading
