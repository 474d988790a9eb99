"""What the sign-up pages say: every sentence about what is chosen, what it costs, and what one has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.application import signup
from chalicelib.application.context import Context
from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog import Catalog, Plan, TrialEnd
from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.contact import country_code
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.order_price import OrderPrice
from chalicelib.domain.price_list import Offer, price_list, yearly_saving
from chalicelib.domain.signup_rules import sales_reason
from chalicelib.domain.tax_rates import TaxProvider
from chalicelib.domain.taxation import has_regions
from chalicelib.entrypoints.formatting import format_amount, format_number
from chalicelib.entrypoints.http.plans import label_of
from chalicelib.entrypoints.price_words import headline
from chalicelib.entrypoints.tax_words import tax_label, tax_name, tax_shown

MOST_INTERVALS = 4
_NAMES = {"day": "Daily", "week": "Weekly", "month": "Monthly", "year": "Yearly"}
_SIZES = ((1, "Just me"), (10, "2 – 10"), (50, "11 – 50"), (100, "51 – 100"), (500, "101 – 500"),
          (1000, "501 – 1,000"), (5000, "More than 1,000"))  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A form as shown: the sign-up so far, what the fields hold (as typed), and what is wrong with them."""

    session: SignupSession
    plan: Plan
    values: Mapping[str, str]
    errors: Mapping[str, str]
    language: str


def form_view(ctx: Context, catalog: Catalog, form: Form) -> dict[str, Any]:
    """What `signup.html` shows."""
    offer = _offer(catalog, form.plan, form.session.currency)
    sold = [price.interval for price in offer.prices][:MOST_INTERVALS]
    intervals: list[Interval | None] = [*sold] or [None]
    chosen = form.session.interval if form.session.interval in intervals else intervals[0]
    to_sales = sales_reason(form.session, form.plan) is not None
    choices = [_choice(ctx, form, offer, interval, chosen=interval == chosen) for interval in intervals]
    return {
        "plan": form.plan,
        "to_sales": to_sales,
        "title": _title(form.plan, to_sales),
        "choices": choices,
        "offer": "trial"
        if any(choice["summary"] and choice["summary"]["trial_end"] for choice in choices)
        else "",
        "priced": any(choice["summary"] for choice in choices),
        "features": [label_of(name, catalog.labels) for name in form.plan.features],
        "limits": [
            {
                "label": label_of(name, catalog.labels),
                "value": "Unlimited" if limit is None else format_number(limit, form.language),
            }
            for name, limit in form.plan.quotas.items()
        ],
        "sizes": [{"value": str(size), "name": name} for size, name in _SIZES],
        "countries": countries(),
        "taxed": tax_shown(signup.tax_terms_of(ctx, form.session, catalog), form.session.country),
        "asks_tax_id": catalog.tax.provider is not TaxProvider.NONE,
        "states": has_regions(form.session.country, catalog),
        "tax_name": tax_name(form.session.country),
        "values": defaultdict(str, form.values),
        "errors": defaultdict(str, {name: _sentence(text) for name, text in form.errors.items()}),
        "messages": [{"field": name, "text": _sentence(text)} for name, text in form.errors.items()],
        "seller": catalog.seller,
    }


def interval_value(interval: Interval) -> str:
    """How the form names an interval: `month`, or `month:3`."""
    return str(interval.unit) if interval.count == 1 else f"{interval.unit}:{interval.count}"


def read_interval(text: str) -> Interval | None:
    """The interval that a form or an address names; None for anything else."""
    unit, _, count = text.partition(":")
    try:
        return Interval.of(unit, int(count or 1))
    except (ValidationError, ValueError):
        return None


@cache
def countries() -> list[dict[str, str]]:
    """Every country by its English name."""
    from babel import Locale

    names = Locale.parse("en").territories
    found = [{"code": code, "name": str(name)} for code, name in names.items() if _is_country(code)]
    return sorted(found, key=lambda each: each["name"])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    """As people write one, whatever the rule that complains says it like."""
    text = _capital(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _is_country(code: str) -> bool:
    try:
        return len(code) == 2 and bool(country_code(code, field="country"))
    except ValidationError:
        return False


def _offer(catalog: Catalog, plan: Plan, currency: str | None) -> Offer[Plan]:
    prices = price_list(replace(catalog, plans=(plan,)), currency)
    return prices.plans[0]


def _choice(
    ctx: Context, form: Form, offer: Offer[Plan], interval: Interval | None, *, chosen: bool
) -> dict[str, Any]:
    session = replace(form.session, interval=interval, currency=offer.currency, plan=form.plan.id)
    price = signup.price_of(ctx, session) if interval or form.plan.is_free else None
    at_once = signup.price_of(ctx, replace(session, trial=False)) if price and price.trial_end else None
    if price is None:
        return {"value": "", "name": "", "cost": "Let’s talk", "per": "", "saving": None, "chosen": chosen,
                "summary": None}  # fmt: skip
    shown = _Shown(price, session, form, at_once)
    found = offer.price_per(interval) if interval else None
    return {
        "value": interval_value(interval) if interval else "",
        "name": _name(interval),
        "cost": headline(found, form.language, short=True) if found else shown.amount(0, short=True),
        "per": shown.per(interval),
        "saving": yearly_saving(offer) if interval and str(interval.unit) == "year" else None,
        "chosen": chosen,
        "summary": shown.summary(),
    }


@dataclass(frozen=True, slots=True)
class _Shown:
    price: OrderPrice
    session: SignupSession
    form: Form
    at_once: OrderPrice | None
    """The same without its trial."""

    def amount(self, minor: str | int, *, short: bool = False) -> str:
        return format_amount(str(minor), self.price.currency, self.form.language, short=short)

    def per(self, interval: Interval | None) -> str:
        if interval is None:
            return "for ever"
        each = "per seat, " if self.form.plan.per_seat else ""
        return f"{each}per {interval}" if interval.count == 1 else f"{each}every {interval}"

    def day(self, instant: datetime) -> str:
        return format_day(instant, self.session.zone, self.form.language)

    def summary(self) -> dict[str, Any]:
        price = self.price
        return {
            "lines": [{"name": line.description, "amount": self.amount(line.amount)} for line in price.lines],
            "taxes": [
                {"name": _capital(tax_label(tax, self.session.country)), "amount": self.amount(tax.tax)}
                for tax in price.taxes
            ],
            "total": self.amount(price.total) if price.taxes else None,
            "discounts": self._discounts(),
            "due_now": self.amount(price.due_now),
            "later": self._later(),
            "trial_end": self.day(price.trial_end) if price.trial_end else None,
            "trial_days": price.trial_days,
            "condition": self._condition(),
            "button": self._button(),
            "skip": f"Skip the trial and pay {self.amount(self.at_once.due_now)} now"
            if self.at_once
            else None,
            "pays": price.card_required,
        }

    def _discounts(self) -> list[dict[str, str]]:
        """What each coupon takes from the first invoice, in their order."""
        taken: Counter[str] = Counter()
        for share in (share for line in self.price.lines for share in line.discounts):
            taken[share.coupon] += share.amount
        return [{"name": name, "amount": self.amount(-amount)} for name, amount in taken.items()]

    def _later(self) -> dict[str, str] | None:
        price = self.price
        if price.renews_at is None:
            return None
        label = "First payment" if price.trial_end else "Next payment"
        return {
            "label": f"{label} on {self.day(price.renews_at)}",
            "amount": self.amount(price.renewal_amount),
        }

    def _condition(self) -> str:
        """What the button agrees to, in one or two sentences."""
        price = self.price
        if price.interval is None or price.renews_at is None:
            return "No card, no end date. Move up whenever you like."
        each = f"every {price.interval}" if price.interval.count == 1 else f"every {price.interval}s"
        if price.trial_end is None:
            return (
                f"You pay {self.amount(price.due_now)} now, then {self.amount(price.renewal_amount)} {each} "
                "until you cancel. Cancelling takes effect at the end of what you have paid for."
            )
        end = self.day(price.trial_end)
        if price.card_required or price.on_trial_end is None:
            return (
                f"Free until {end}, then {self.amount(price.renewal_amount)} {each} until you cancel. "
                "Cancel before that day and you pay nothing."
            )
        return f"Free until {end}, no card needed. {_without_card(price.on_trial_end)}"

    def _button(self) -> str:
        if self.price.trial_end is not None:
            return f"Start {self.price.trial_days} days free"
        return "Continue to payment" if self.price.card_required else "Create my account"


def format_day(instant: datetime, zone: str, language: str) -> str:
    """The calendar day in the customer's own zone: `15 May 2026`."""
    from babel.dates import format_date

    from chalicelib.entrypoints.formatting import _locale

    return str(format_date(instant.astimezone(ZoneInfo(zone)).date(), "d MMMM y", locale=_locale(language)))


def _without_card(on_end: TrialEnd) -> str:
    return {
        TrialEnd.CANCEL: "Without one it simply ends.",
        TrialEnd.FALL_BACK: "Without one you keep the free plan.",
        TrialEnd.INVOICE: "After that you get an invoice, unless you cancel.",
    }[on_end]


def _name(interval: Interval | None) -> str:
    if interval is None:
        return "Free"
    return _NAMES[str(interval.unit)] if interval.count == 1 else f"Every {interval}s"


def _title(plan: Plan, to_sales: bool) -> str:
    if to_sales:
        return f"Let’s talk about {plan.name}"
    if plan.is_free:
        return "Create your account"
    return f"Try {plan.name} for {plan.trial.days} days" if plan.trial else f"Get {plan.name}"
