"""What a catalog must keep to be published. Every breach is found at once and named by its path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chalicelib.domain import contact
from chalicelib.domain.catalog import Catalog, SoldBy, TrialEnd
from chalicelib.domain.catalog_document import (
    DEFAULT_CURRENCY,
    CatalogDocument,
    PlanDocument,
    ProductDocument,
    SellerDocument,
    TrialDocument,
    build_catalog,
)
from chalicelib.domain.catalog_dunning_rules import dunning_problems
from chalicelib.domain.catalog_meter_rules import meter_problems
from chalicelib.domain.catalog_price_rules import price_id_problems, price_problems
from chalicelib.domain.catalog_problems import checked, currency_problems, name_problems, repeated
from chalicelib.domain.catalog_tax_rules import tax_problems
from chalicelib.domain.errors import InvalidDocumentError, Problem
from chalicelib.domain.pricing import PricingModel

TRIAL_DAYS: Final = range(1, 91)


def read_catalog(document: CatalogDocument, *, version: int) -> Catalog:
    """The document as version `version`. InvalidDocumentError holds everything that is wrong with it.

    Expects the document's shape (names, JSON types, enumerations) to be right: that is checked at the edge.
    """
    problems = problems_in(document)
    if problems:
        breaks = "one rule" if len(problems) == 1 else f"{len(problems)} rules"
        raise InvalidDocumentError(f"the catalog breaks {breaks}", problems)
    return build_catalog(document, version=version)


def problems_in(document: CatalogDocument) -> tuple[Problem, ...]:
    """Every breach, in the document's order."""
    plans, add_ons = document["plans"], document.get("add_ons", ())
    default = document.get("default_currency", DEFAULT_CURRENCY)
    return (
        *currency_problems(default, "default_currency"),
        *_seller(document.get("seller", {})),
        *(problem for index, plan in enumerate(plans) for problem in _plan(plan, f"plans[{index}]", default)),
        *(
            problem
            for index, add_on in enumerate(add_ons)
            for problem in _product(add_on, f"add_ons[{index}]", default)
        ),
        *_across(document),
    )


def _across(document: CatalogDocument) -> Iterator[Problem]:
    plans, add_ons = document["plans"], document.get("add_ons", ())
    if not any(plan.get("public", True) for plan in plans):
        yield Problem("plans", "a catalog has at least one public plan", "add a plan")
    products = [(f"plans[{index}]", plan["id"]) for index, plan in enumerate(plans)]
    products += [(f"add_ons[{index}]", add_on["id"]) for index, add_on in enumerate(add_ons)]
    yield from repeated(((f"{path}.id", id_) for path, id_ in products), "the id {} is used by {}")
    ranks = ((f"plans[{index}].rank", plan["rank"]) for index, plan in enumerate(plans))
    yield from repeated(ranks, "the rank {} is used by {}", "give every plan its own rank")
    yield from price_id_problems(document)
    yield from meter_problems(document)
    for currency, amount in document.get("large_upgrades", {}).items():
        yield from currency_problems(currency, f"large_upgrades.{currency}")
        if amount < 1:
            yield Problem(
                f"large_upgrades.{currency}", "an increase is above zero", "send minor units a month, or leave it out"
            )
    yield from tax_problems(document)
    free = {plan["id"] for plan in plans if _is_free(plan)}
    yield from dunning_problems(document.get("dunning", {}), "dunning", free)
    for segment, policy in document.get("dunning_by_segment", {}).items():
        yield from name_problems(segment, f"dunning_by_segment.{segment}")
        yield from dunning_problems(policy, f"dunning_by_segment.{segment}", free)
    for index, plan in enumerate(plans):
        yield from _fall_back(plan, f"plans[{index}].trial.fall_back_plan", free)
        yield from dunning_problems(plan.get("dunning") or {}, f"plans[{index}].dunning", free)
    known = {plan["id"] for plan in plans}
    for index, add_on in enumerate(add_ons):
        for place, plan_id in enumerate(add_on.get("plans", ())):
            if plan_id not in known:
                yield _unknown_plan(f"add_ons[{index}].plans[{place}]", plan_id, known)


def _plan(plan: PlanDocument, path: str, default: str) -> Iterator[Problem]:
    yield from _product(plan, path, default)
    sold_by, prices = plan.get("sold_by", SoldBy.SELF_SERVE), plan.get("prices", ())
    if sold_by == SoldBy.SALES_ASSISTED and not prices:
        yield Problem(
            f"{path}.prices",
            "a sales-assisted plan publishes a price",
            "add a price, or make the plan quote_only",
        )
    if plan.get("per_seat", False):
        for index, price in enumerate(prices):
            if price["model"] == PricingModel.FLAT:
                yield Problem(
                    f"{path}.prices[{index}].model",
                    "a flat price ignores the seats of a per-seat plan",
                    "use per_unit",
                )
    trial = plan.get("trial")
    if trial:
        yield from _trial(trial, f"{path}.trial", sellable=bool(prices) and sold_by != SoldBy.QUOTE_ONLY)


def _product(product: ProductDocument, path: str, default: str) -> Iterator[Problem]:
    yield from name_problems(product["id"], f"{path}.id")
    if not product["name"].strip():
        yield Problem(f"{path}.name", "people need a name to read", "give the name shown on the price list")
    features = [(f"{path}.features[{index}]", name) for index, name in enumerate(product.get("features", ()))]
    for place, name in features:
        yield from name_problems(name, place)
    yield from repeated(features, "the feature {} is listed at {}")
    for name, limit in product.get("quotas", {}).items():
        yield from name_problems(name, f"{path}.quotas.{name}")
        if limit is not None and limit < 0:
            yield Problem(
                f"{path}.quotas.{name}", f"a quota cannot be {limit}", "use 0 or more, or null for unlimited"
            )
    yield from price_problems(product.get("prices", ()), path, default)
    if path.startswith("add_ons") and not product.get("prices"):
        yield Problem(f"{path}.prices", "an add-on has at least one price", "add a price")


def _trial(trial: TrialDocument, path: str, *, sellable: bool) -> Iterator[Problem]:
    if not sellable:
        yield Problem(path, "only a plan with a published price can be tried", "leave the trial out")
    if trial["days"] not in TRIAL_DAYS:
        yield Problem(f"{path}.days", f"a trial lasts 1 to 90 days, not {trial['days']}", "use 1 to 90")
    falls_back, named = trial.get("on_end") == TrialEnd.FALL_BACK, trial.get("fall_back_plan")
    if falls_back and not named:
        yield Problem(
            f"{path}.fall_back_plan", "falling back needs a plan to fall back to", "name a free plan"
        )
    if named and not falls_back:
        yield Problem(f"{path}.on_end", "a fall-back plan is named, but not used", "use on_end: fall_back")


def _fall_back(plan: PlanDocument, path: str, free: set[str]) -> Iterator[Problem]:
    named = (plan.get("trial") or {}).get("fall_back_plan")
    if named and named not in free:
        known = ", ".join(sorted(free)) or "there is none yet"
        yield Problem(
            path, f"{named!r} is not a free plan", f"name a self-serve plan without prices: {known}"
        )


def _is_free(plan: PlanDocument) -> bool:
    return not plan.get("prices") and plan.get("sold_by", SoldBy.SELF_SERVE) == SoldBy.SELF_SERVE


def _seller(seller: SellerDocument) -> Iterator[Problem]:
    if not seller.get("name", "").strip():
        yield Problem("seller.name", "invoices need the seller's name", "give your firm's legal name")
    email, country = seller.get("email"), seller.get("country")
    if email:
        yield from checked(lambda: contact.email_address(email, field="email"), "seller.email")
    if country:
        yield from checked(lambda: contact.country_code(country, field="country"), "seller.country")
        if country != country.upper():
            yield Problem("seller.country", "a country code is upper case", f"use {country.upper()}")


def _unknown_plan(path: str, plan_id: str, known: set[str]) -> Problem:
    return Problem(path, f"there is no plan {plan_id!r}", f"use one of: {', '.join(sorted(known))}")
