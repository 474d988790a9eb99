"""What the meters of a catalog must keep to be published."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.domain.catalog_document import CatalogDocument, MeterDocument
from chalicelib.domain.catalog_problems import name_problems, repeated
from chalicelib.domain.errors import Problem
from chalicelib.domain.meter import Aggregation


def meter_problems(document: CatalogDocument) -> Iterator[Problem]:
    """Every breach in the catalog's meters, and in what prices say of them."""
    meters = document.get("meters", ())
    for index, meter in enumerate(meters):
        yield from _meter(meter, f"meters[{index}]")
    names = ((f"meters[{index}].id", meter["id"]) for index, meter in enumerate(meters))
    yield from repeated(names, "the meter {} is listed at {}")
    known = {meter["id"] for meter in meters}
    for kind, products in (("plans", document["plans"]), ("add_ons", document.get("add_ons", ()))):
        for index, product in enumerate(products):
            for place, price in enumerate(product.get("prices", ())):
                name = price.get("meter")
                if name and name not in known:
                    yield Problem(
                        f"{kind}[{index}].prices[{place}].meter",
                        f"there is no meter {name!r}",
                        f"use one of: {', '.join(sorted(known)) or 'none is listed under meters'}",
                    )
    for index, plan in enumerate(document["plans"]):
        for place, name in enumerate(plan.get("hard_quotas", ())):
            if plan.get("quotas", {}).get(name) is None:
                yield Problem(
                    f"plans[{index}].hard_quotas[{place}]",
                    f"there is no limit called {name!r}",
                    "name a quota",
                )


def _meter(meter: MeterDocument, path: str) -> Iterator[Problem]:
    yield from name_problems(meter["id"], f"{path}.id")
    if meter.get("event"):
        yield from name_problems(str(meter["event"]), f"{path}.event")
    if meter.get("aggregation") == Aggregation.UNIQUE_COUNT and not meter.get("property"):
        yield Problem(
            f"{path}.property", "counting different values needs the property that has them", "name it"
        )
    for name, values in meter.get("filters", {}).items():
        if not values:
            yield Problem(
                f"{path}.filters.{name}", "a filter without values lets nothing through", "list its values"
            )
    for index, units in enumerate(meter.get("alerts", ())):
        if units < 1:
            yield Problem(f"{path}.alerts[{index}]", f"an alert cannot be at {units}", "use 1 or more")
