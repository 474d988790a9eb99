"""The public price list, for websites: any page may read it with the publishable key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from chalice.app import Blueprint

from chalicelib.application.catalog import current_catalog
from chalicelib.domain.catalog import Catalog, Plan, Price, TrialTerms
from chalicelib.domain.contact import country_code, language_tag
from chalicelib.domain.currencies import exponent
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.price_list import Offer, P, price_list, yearly_saving
from chalicelib.domain.taxation import terms_at
from chalicelib.entrypoints.formatting import DEFAULT_LANGUAGE
from chalicelib.entrypoints.http.kit import Call, Reply, endpoint
from chalicelib.entrypoints.http.schemas.catalog import (
    AddOnView,
    LabelView,
    OfferedPriceView,
    OfferedTierView,
    PlansQuery,
    PlanView,
    PriceListView,
    QuotaView,
    TrialView,
)
from chalicelib.entrypoints.price_words import headline, notes, tiers
from chalicelib.entrypoints.tax_words import price_note

bp = Blueprint(__name__)

CACHING = {
    "Cache-Control": "public, max-age=60, stale-while-revalidate=600",
    "Vary": "Authorization, Accept-Encoding",
}
"""A price list may be a minute old; what is charged is decided when a plan is chosen."""


@endpoint(
    bp,
    "GET",
    "/v1/plans",
    query=PlansQuery,
    answer=PriceListView,
    publishable=True,
    tag="Catalog",
    summary="The public plans with their prices in a currency, or in the default one where they have none",
    errors=(NotFoundError, ValidationError),
)
def plans(call: Call[None]) -> Reply:
    language, current = call.query.language, current_catalog(call.ctx)
    view = price_list_view(
        current,
        wanted_currency(call.query.currency),
        language_tag(language, field="language") if language else DEFAULT_LANGUAGE,
    )
    view = view.model_copy(update={"tax": _tax(call.query, current)})
    content = view.model_dump_json()
    tag = hashlib.sha256(content.encode()).hexdigest()[:24]
    return Reply(content=content, headers={"Content-Type": "application/json", "ETag": f'"{tag}"', **CACHING})


def _tax(query: PlansQuery, catalog: Catalog) -> str | None:
    if not query.country:
        return None
    country = country_code(query.country, field="country")
    return price_note(terms_at(country, query.state or "", catalog), country)


def wanted_currency(code: str | None) -> str | None:
    """The code in upper case; ValidationError unless it is one of ISO 4217."""
    if code is None:
        return None
    exponent(code.upper())  # raises the explanation
    return code.upper()


def price_list_view(catalog: Catalog, currency: str | None, language: str) -> PriceListView:
    prices = price_list(catalog, currency)
    return PriceListView(
        catalog_version=prices.version,
        currency=prices.currency,
        default_currency=catalog.default_currency,
        currencies=list(prices.currencies),
        plans=[_plan(offer, catalog.labels, language) for offer in prices.plans],
        add_ons=[
            AddOnView(**_product(offer, catalog.labels, language), plans=list(offer.product.plans))
            for offer in prices.add_ons
        ],
    )


def label_of(name: str, labels: Mapping[str, str]) -> str:
    """What people read for a feature or quota: its label, else its name with spaces."""
    return labels.get(name) or name.replace("_", " ").capitalize()


def _plan(offer: Offer[Plan], labels: Mapping[str, str], language: str) -> PlanView:
    plan = offer.product
    return PlanView(
        **_product(offer, labels, language),
        rank=plan.rank,
        sold_by=plan.sold_by,
        free=plan.is_free,
        per_seat=plan.per_seat,
        trial=_trial(plan.trial) if plan.trial else None,
    )


def _tiers(price: Price, language: str) -> list[OfferedTierView]:
    return [
        OfferedTierView(
            up_to=tier.up_to,
            unit_amount=tier.unit_amount,
            flat_amount=tier.flat_amount,
            formatted=f"{words.units}: {words.costs}",
        )
        for tier, words in zip(price.rate.tiers, tiers(price, language), strict=True)
    ]


def _trial(trial: TrialTerms) -> TrialView:
    return TrialView(
        days=trial.days,
        card_required=trial.card_required,
        on_end=trial.on_end,
        fall_back_plan=trial.fall_back_plan,
    )


def _product(offer: Offer[P], labels: Mapping[str, str], language: str) -> dict[str, Any]:
    product = offer.product
    return {
        "id": product.id,
        "name": product.name,
        "description": product.description,
        "features": [LabelView(id=name, label=label_of(name, labels)) for name in product.features],
        "quotas": [
            QuotaView(id=name, label=label_of(name, labels), limit=limit)
            for name, limit in product.quotas.items()
        ],
        "currency": offer.currency,
        "fallback": offer.is_fallback,
        "prices": [
            OfferedPriceView(
                id=price.id,
                interval=price.interval.unit,
                interval_count=price.interval.count,
                model=price.rate.model,
                currency=price.currency,
                unit_amount=price.rate.unit_amount,
                tiers=_tiers(price, language),
                package_size=price.rate.package_size,
                billing_unit=price.rate.billing_unit,
                included=price.rate.included,
                minimum=price.minimum,
                timing=price.timing,
                formatted=headline(price, language),
                notes=notes(price, language),
            )
            for price in offer.prices
        ],
        "yearly_saving_percent": yearly_saving(offer),
    }
