"""The catalog as people write it: one JSON document, read into a `Catalog` and written back from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from chalicelib.domain.catalog import AddOn, Catalog, Party, Plan, Price, SoldBy, TrialEnd, TrialTerms
from chalicelib.domain.catalog_dunning import DunningDocument, build_policy, write_policy
from chalicelib.domain.catalog_prices import PriceDocument, build_price, written_price
from chalicelib.domain.catalog_tax import TaxDocument, build_tax, write_tax
from chalicelib.domain.meter import Aggregation, Meter
from chalicelib.domain.proration import Granularity

DEFAULT_CURRENCY: Final = "USD"


class TrialDocument(TypedDict, total=False):
    days: int
    card_required: bool
    on_end: str
    fall_back_plan: str | None


class ProductDocument(TypedDict, total=False):
    """What plans and add-ons have in common."""

    id: str
    name: str
    description: str
    features: Sequence[str]
    quotas: Mapping[str, int | None]
    prices: Sequence[PriceDocument]


class PlanDocument(ProductDocument, total=False):
    rank: int
    sold_by: str
    public: bool
    per_seat: bool
    hard_quotas: Sequence[str]
    trial: TrialDocument | None
    dunning: DunningDocument | None


class AddOnDocument(ProductDocument, total=False):
    plans: Sequence[str]


class SellerDocument(TypedDict, total=False):
    name: str
    email: str
    address: Sequence[str]
    country: str
    tax_ids: Sequence[str]


class MeterDocument(TypedDict, total=False):
    id: str
    name: str
    event: str | None
    aggregation: str
    property: str | None
    filters: Mapping[str, Sequence[str]]
    alerts: Sequence[int]


class CatalogDocument(TypedDict, total=False):
    default_currency: str
    proration: str
    dunning: DunningDocument
    dunning_by_segment: Mapping[str, DunningDocument]
    seller: SellerDocument
    labels: Mapping[str, str]
    plans: Sequence[PlanDocument]
    add_ons: Sequence[AddOnDocument]
    meters: Sequence[MeterDocument]
    large_upgrades: Mapping[str, int]
    tax: TaxDocument


def build_catalog(document: CatalogDocument, *, version: int) -> Catalog:
    """The catalog that a document describes. The document keeps the rules already: `catalog_rules` sees to it."""
    return Catalog(
        version=version,
        default_currency=document.get("default_currency", DEFAULT_CURRENCY),
        plans=tuple(_plan(plan) for plan in document["plans"]),
        add_ons=tuple(_add_on(add_on) for add_on in document.get("add_ons", ())),
        proration=Granularity(document.get("proration", Granularity.DAY)),
        dunning=build_policy(document.get("dunning", {})),
        dunning_by_segment={
            segment: build_policy(policy)
            for segment, policy in document.get("dunning_by_segment", {}).items()
        },
        seller=_seller(document.get("seller", {})),
        labels=dict(document.get("labels", {})),
        meters=tuple(_meter(meter) for meter in document.get("meters", ())),
        large_upgrades=dict(document.get("large_upgrades", {})),
        tax=build_tax(document.get("tax", {})),
    )


def write_catalog(catalog: Catalog) -> dict[str, Any]:
    """The whole document, defaults spelled out; building it again gives the same catalog."""
    seller = catalog.seller
    return {
        "default_currency": catalog.default_currency,
        "proration": str(catalog.proration),
        "dunning": write_policy(catalog.dunning),
        "dunning_by_segment": {
            segment: write_policy(policy) for segment, policy in catalog.dunning_by_segment.items()
        },
        "seller": {
            "name": seller.name,
            "email": seller.email,
            "address": list(seller.address),
            "country": seller.country,
            "tax_ids": list(seller.tax_ids),
        },
        "labels": dict(catalog.labels),
        "plans": [_written_plan(plan) for plan in catalog.plans],
        "add_ons": [{**_written_product(add_on), "plans": list(add_on.plans)} for add_on in catalog.add_ons],
        "meters": [_written_meter(meter) for meter in catalog.meters],
        "large_upgrades": dict(catalog.large_upgrades),
        "tax": write_tax(catalog.tax),
    }


def _plan(plan: PlanDocument) -> Plan:
    trial, own = plan.get("trial"), plan.get("dunning")
    return Plan(
        hard_quotas=tuple(plan.get("hard_quotas", ())),
        id=plan["id"],
        name=plan["name"],
        rank=plan["rank"],
        description=plan.get("description", ""),
        sold_by=SoldBy(plan.get("sold_by", SoldBy.SELF_SERVE)),
        public=plan.get("public", True),
        per_seat=plan.get("per_seat", False),
        features=tuple(plan.get("features", ())),
        quotas=dict(plan.get("quotas", {})),
        prices=_prices(plan),
        trial=_trial(trial) if trial else None,
        dunning=build_policy(own) if own else None,
    )


def _add_on(add_on: AddOnDocument) -> AddOn:
    return AddOn(
        id=add_on["id"],
        name=add_on["name"],
        description=add_on.get("description", ""),
        features=tuple(add_on.get("features", ())),
        quotas=dict(add_on.get("quotas", {})),
        prices=_prices(add_on),
        plans=tuple(add_on.get("plans", ())),
    )


def _prices(product: ProductDocument) -> tuple[Price, ...]:
    return tuple(build_price(product["id"], price) for price in product.get("prices", ()))


def _trial(trial: TrialDocument) -> TrialTerms:
    return TrialTerms(
        days=trial["days"],
        card_required=trial.get("card_required", False),
        on_end=TrialEnd(trial.get("on_end", TrialEnd.CANCEL)),
        fall_back_plan=trial.get("fall_back_plan"),
    )


def _seller(seller: SellerDocument) -> Party:
    return Party(
        name=seller.get("name", ""),
        email=seller.get("email", ""),
        address=tuple(seller.get("address", ())),
        country=seller.get("country", ""),
        tax_ids=tuple(seller.get("tax_ids", ())),
    )


def _written_plan(plan: Plan) -> dict[str, Any]:
    return {
        **_written_product(plan),
        "rank": plan.rank,
        "sold_by": str(plan.sold_by),
        "public": plan.public,
        "per_seat": plan.per_seat,
        "hard_quotas": list(plan.hard_quotas),
        "trial": _written_trial(plan.trial) if plan.trial else None,
        "dunning": write_policy(plan.dunning) if plan.dunning else None,
    }


def _written_product(product: Plan | AddOn) -> dict[str, Any]:
    return {
        "id": product.id,
        "name": product.name,
        "description": product.description,
        "features": list(product.features),
        "quotas": dict(product.quotas),
        "prices": [written_price(price) for price in product.prices],
    }


def _written_trial(trial: TrialTerms) -> dict[str, Any]:
    return {
        "days": trial.days,
        "card_required": trial.card_required,
        "on_end": str(trial.on_end),
        "fall_back_plan": trial.fall_back_plan,
    }


def _meter(document: MeterDocument) -> Meter:
    return Meter(
        id=document["id"],
        name=document.get("name") or document["id"],
        event=document.get("event") or document["id"],
        aggregation=Aggregation(document.get("aggregation", Aggregation.SUM)),
        property=document.get("property"),
        filters={name: tuple(values) for name, values in document.get("filters", {}).items()},
        alerts=tuple(document.get("alerts", ())),
    )


def _written_meter(meter: Meter) -> MeterDocument:
    return {
        "id": meter.id,
        "name": meter.name,
        "event": meter.event,
        "aggregation": str(meter.aggregation),
        "property": meter.property,
        "filters": {name: list(values) for name, values in meter.filters.items()},
        "alerts": list(meter.alerts),
    }
