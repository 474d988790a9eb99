"""The price list as the price page says it: every sentence a visitor reads about a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog import AddOn, Catalog, Plan, Price, SoldBy, Timing, TrialEnd
from chalicelib.domain.price_list import MONTH, YEAR, Offer, P, PriceList, price_list, yearly_saving
from chalicelib.domain.pricing import PricingModel
from chalicelib.entrypoints.formatting import DEFAULT_LANGUAGE, format_amount, format_number
from chalicelib.entrypoints.http.plans import label_of
from chalicelib.entrypoints.price_words import headline, notes, tiers

MOST_INTERVALS = 4
"""How many the style sheet can switch between."""

EACH = (PricingModel.PER_UNIT, PricingModel.GRADUATED, PricingModel.VOLUME)
_PLAIN = {"tiers": [], "notes": ""}
_NAMES = {"day": "Daily", "week": "Weekly", "month": "Monthly", "year": "Yearly"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """What the links of one page must keep: the key that was given (if any), and the language of amounts."""

    key: str | None
    language: str

    def signup(self, plan: str, interval: Interval, currency: str) -> str:
        """Relative, so that it holds below any address that the installation has."""
        count = {} if interval.count == 1 else {"interval_count": str(interval.count)}
        query = {"plan": plan, "interval": str(interval.unit), **count, "currency": currency}
        return f"signup?{urlencode(query | self._kept())}"

    def other_currency(self, currency: str) -> str:
        return f"?{urlencode({'currency': currency} | self._kept())}"

    def _kept(self) -> dict[str, str]:
        language = {} if self.language == DEFAULT_LANGUAGE else {"language": self.language}
        return language | ({"key": self.key} if self.key else {})


def price_view(catalog: Catalog, currency: str | None, visit: Visit) -> dict[str, Any]:
    """What `pricing.html` shows as `list`."""
    prices = price_list(catalog, currency)
    intervals = _intervals(prices)
    quoted = [offer for offer in prices.plans if offer.product.sold_by is SoldBy.QUOTE_ONLY]
    listed = [offer for offer in prices.plans if offer not in quoted]
    shown = _Shown(catalog, prices, intervals, visit)
    return {
        "version": prices.version,
        "currency": _currency(prices),
        "currencies": [{"code": code, "href": visit.other_currency(code)} for code in prices.currencies],
        "notice": _notice(prices, currency),
        "intervals": [_interval(interval, listed) for interval in intervals],
        "plans": [shown.plan(offer) for offer in listed],
        "quoted": [shown.plan(offer) for offer in quoted],
        "add_ons": [shown.add_on(offer) for offer in prices.add_ons],
        "comparison": _comparison(prices, catalog.labels, visit.language),
    }


def pitch(catalog: Catalog) -> str:
    """One honest line: it says only what the catalog holds."""
    plans = [plan for plan in catalog.plans if plan.public]
    sold = {price.interval for plan in plans for price in plan.prices}
    trials = [plan.trial for plan in plans if plan.trial]
    parts = (
        (any(plan.is_free for plan in plans), "The free plan has no end date."),
        ({MONTH, YEAR} <= sold, "Pay by the month, or by the year for less."),
        (any(not trial.card_required for trial in trials), "Try before you buy, no card needed to begin."),
    )
    return " ".join(text for holds, text in parts if holds)


@dataclass(frozen=True, slots=True)
class _Shown:
    catalog: Catalog
    prices: PriceList
    intervals: tuple[Interval, ...]
    visit: Visit

    def plan(self, offer: Offer[Plan]) -> dict[str, Any]:
        plan = offer.product
        base = _builds_on(plan, [each.product for each in self.prices.plans])
        inherited = set(base.features) if base else set()
        return {
            "id": plan.id,
            "name": plan.name,
            "description": plan.description,
            "leading": plan.id == _leading(self.prices),
            "trial": plan.trial,
            "costs": [self._cost(offer, interval) for interval in self.intervals],
            "action": _action(plan),
            "condition": _condition(plan, self.catalog),
            "limits": _limits(plan, self.catalog.labels, self.visit.language),
            "builds_on": base.name if base else None,
            "features": [
                label_of(name, self.catalog.labels) for name in plan.features if name not in inherited
            ],
        }

    def add_on(self, offer: Offer[AddOn]) -> dict[str, Any]:
        names = {plan.id: plan.name for plan in self.catalog.plans}
        return {
            "name": offer.product.name,
            "description": offer.product.description,
            "goes_with": _listed([names[plan] for plan in offer.product.plans]),
            "costs": [self._amount(_nearest(offer, interval)) for interval in self.intervals],
        }

    def _cost(self, offer: Offer[Plan], interval: Interval) -> dict[str, Any]:
        """What a plan costs when this interval is chosen: its own price for it, else its shortest one."""
        plan, price = offer.product, _nearest(offer, interval)
        currency = price.currency if price else _currency(self.prices)
        href = self.visit.signup(plan.id, price.interval if price else interval, currency)
        if price is None:
            words = {"amount": "Let’s talk", "per": "", "other": "A price made for you"}
            free = {
                "amount": self._format("0", currency),
                "per": "for ever",
                "other": "Move up whenever you are ready",
            }
            return {**(free if plan.is_free else words), **_PLAIN, "saving": None, "href": href}
        return {
            **self._amount(price),
            "other": self._other(offer, price),
            "saving": _saving(offer, price),
            "href": href,
        }

    def _amount(self, price: Price | None) -> dict[str, Any]:
        if price is None:
            return {"amount": "–", "per": "", **_PLAIN}
        return {
            "amount": headline(price, self.visit.language, short=True),
            "per": self._per(price),
            "tiers": tiers(price, self.visit.language, short=True),
            "notes": _sentence(notes(price, self.visit.language)),
        }

    def _per(self, price: Price) -> str:
        seats = {plan.id for plan in self.catalog.plans if plan.per_seat}
        each = "per seat, " if price.plan in seats else "each, " if price.rate.model in EACH else ""
        if price.rate.model is PricingModel.PACKAGE:
            each = f"per {format_number(price.rate.package_size, self.visit.language)}, "
        return f"{each}per {price.interval}" if price.interval.count == 1 else f"{each}every {price.interval}"

    def _other(self, offer: Offer[Plan], price: Price) -> str:
        """The other way to pay, so that both stand side by side."""
        other = offer.price_per(MONTH if price.interval == YEAR else YEAR)
        if other is None or other is price:
            return ""
        return f"or {headline(other, self.visit.language, short=True)} per {other.interval}"

    def _format(self, amount: str, currency: str) -> str:
        return format_amount(amount, currency, self.visit.language, short=True)


def _intervals(prices: PriceList) -> tuple[Interval, ...]:
    found = {price.interval for offer in prices.plans for price in offer.prices}
    found |= {price.interval for offer in prices.add_ons for price in offer.prices}
    by_length = sorted(found, key=lambda interval: interval.annual_factor(), reverse=True)
    return tuple(by_length[:MOST_INTERVALS]) or (MONTH,)


def _interval(interval: Interval, offers: list[Offer[Plan]]) -> dict[str, Any]:
    name = _NAMES[str(interval.unit)] if interval.count == 1 else f"Every {interval}"
    savings = {yearly_saving(offer) for offer in offers if offer.prices} if interval == YEAR else set()
    least = min((saving for saving in savings if saving), default=None)
    return {"name": name, "saving": f"{least} %" if least and None not in savings else None}


def _saving(offer: Offer[Plan], price: Price) -> str | None:
    saving = yearly_saving(offer)
    if saving is None:
        return None
    return f"· {saving} % saved" if price.interval == YEAR else f"· {saving} % less"


def _sentence(parts: list[str]) -> str:
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _nearest(offer: Offer[P], interval: Interval) -> Price | None:
    return offer.price_per(interval) or next(iter(offer.prices), None)


def _currency(prices: PriceList) -> str:
    """What is really shown: one that nothing is sold in shows another."""
    sold = [offer.currency for offer in prices.plans if offer.prices]
    return prices.currency if not sold or prices.currency in sold else sold[0]


def _notice(prices: PriceList, wanted: str | None) -> str | None:
    other = [offer for offer in prices.plans if offer.is_fallback]
    if wanted is None or not other:
        return None
    if all(offer.is_fallback for offer in prices.plans if offer.prices):
        return f"There are no prices in {wanted} yet: you see, and pay, {other[0].currency}."
    names = _listed([offer.product.name for offer in other])
    return f"{names} has no price in {wanted} yet: you see, and pay, {other[0].currency}."


def _leading(prices: PriceList) -> str | None:
    """The highest plan that anybody can buy alone: the one whose button is filled."""
    sold = [
        offer.product for offer in prices.plans if offer.prices and offer.product.sold_by is SoldBy.SELF_SERVE
    ]
    return sold[-1].id if sold else None


def _action(plan: Plan) -> str:
    if plan.sold_by is not SoldBy.SELF_SERVE:
        return "Contact sales"
    if plan.trial:
        return "Start free trial"
    return "Start free" if plan.is_free else "Start"


def _condition(plan: Plan, catalog: Catalog) -> str:
    """What happens after the button, before anybody has to ask."""
    if plan.sold_by is SoldBy.SALES_ASSISTED:
        return "We talk about your needs first; the price is the one above."
    if plan.sold_by is SoldBy.QUOTE_ONLY:
        return "You get an offer to look at."
    trial = plan.trial
    if trial is None:
        return _when_paid(plan)
    if trial.card_required:
        return f"Card asked for at the start. Cancel within {trial.days} days and pay nothing."
    if trial.on_end is TrialEnd.FALL_BACK and trial.fall_back_plan:
        name = catalog.plan(trial.fall_back_plan).name
        return f"No card needed. Without one you move to {name} after {trial.days} days."
    if trial.on_end is TrialEnd.INVOICE:
        return f"No card needed. After {trial.days} days you get an invoice, unless you cancel."
    return f"No card needed. Without one it ends after {trial.days} days."


def _when_paid(plan: Plan) -> str:
    if plan.is_free:
        return "No card needed."
    timings = {price.timing for price in plan.prices}
    end = "end" if timings == {Timing.IN_ARREARS} else "start"
    return f"Paid at the {end} of each period."


def _limits(plan: Plan, labels: Mapping[str, str], language: str) -> list[dict[str, str]]:
    if plan.sold_by is SoldBy.QUOTE_ONLY:
        return []
    return [
        {"label": label_of(name, labels), "value": _limit(limit, language)}
        for name, limit in plan.quotas.items()
    ]


def _limit(limit: int | None, language: str) -> str:
    return "Unlimited" if limit is None else format_number(limit, language)


def _builds_on(plan: Plan, plans: list[Plan]) -> Plan | None:
    """The highest lower plan all of whose features this one has too."""
    lower = [each for each in plans if each.rank < plan.rank and each.features]
    return next((each for each in reversed(lower) if set(each.features) < set(plan.features)), None)


def _comparison(prices: PriceList, labels: Mapping[str, str], language: str) -> dict[str, Any]:
    plans = [offer.product for offer in prices.plans]
    quotas = dict.fromkeys(name for plan in plans for name in plan.quotas)
    features = dict.fromkeys(name for plan in plans for name in plan.features)
    rows: list[dict[str, Any]] = [
        {
            "label": label_of(name, labels),
            "cells": [
                _limit(plan.quotas[name], language) if name in plan.quotas else False for plan in plans
            ],
        }
        for name in quotas
    ]
    rows += [
        {"label": label_of(name, labels), "cells": [name in plan.features for plan in plans]}
        for name in features
    ]
    return {"plans": [plan.name for plan in plans], "rows": rows}


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))
