"""The catalog: one immutable, versioned document of plans, add-ons, prices and terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from chalicelib.domain.calendar import Interval
from chalicelib.domain.dunning_policy import DEFAULT_NAME, DunningPolicy
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.meter import Meter
from chalicelib.domain.money import parse_unit_amount
from chalicelib.domain.pricing import Rate, rate
from chalicelib.domain.proration import Granularity
from chalicelib.domain.tax_rates import TaxTable


class SoldBy(StrEnum):
    """Which motion sells a plan: anybody alone, after a talk with sales, or only by a quote."""

    SELF_SERVE = "self_serve"
    SALES_ASSISTED = "sales_assisted"
    QUOTE_ONLY = "quote_only"


class TrialEnd(StrEnum):
    """What a trial without a payment method turns into."""

    CANCEL = "cancel"
    FALL_BACK = "fall_back"
    INVOICE = "invoice"


class Timing(StrEnum):
    """When a period is billed: as it begins, or once it is over."""

    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTerms:
    """`days` 1–90; `card_required`: a payment method is asked for at the start; `fall_back_plan` for FALL_BACK."""

    days: int
    card_required: bool = False
    on_end: TrialEnd = TrialEnd.CANCEL
    fall_back_plan: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What one interval of a plan or add-on costs in one currency. Immutable: a subscriber keeps a copy.

    `id` is unique in its catalog version (`pro_month_usd`); `rate` holds the model and its amounts.
    `plan` is the id of the plan or add-on that the price belongs to. `meter`: its quantity is what that meter read.
    `minimum` is a commitment for a full period, a decimal string of minor units: what the rate falls short of it is
    billed too.
    """

    id: str
    plan: str
    currency: str
    interval: Interval
    rate: Rate
    meter: str | None = None
    minimum: str | None = None
    timing: Timing = Timing.IN_ADVANCE
    grace_minutes: int = 0
    """How long after a period its usage may still be reported before it is billed, where it is metered."""
    bill_at: int | None = None
    """Minor units of usage at which it is billed within the period already, where it is metered."""

    def amount_for(self, quantity: int) -> Fraction:
        """What a full period costs: the rate, or the commitment where that is more; exact minor units."""
        amount = rate(self.rate, quantity).amount
        return amount if self.minimum is None else max(amount, parse_unit_amount(self.minimum))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """`rank` orders plans (higher is more). A plan with no prices is free unless it is quote-only.

    `quotas`: limits by name, None for unlimited; the product stops at those in `hard_quotas`. `per_seat` says
    whether quantity means seats.
    """

    id: str
    name: str
    rank: int
    description: str = ""
    sold_by: SoldBy = SoldBy.SELF_SERVE
    public: bool = True
    per_seat: bool = False
    features: tuple[str, ...] = ()
    quotas: Mapping[str, int | None] = field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    trial: TrialTerms | None = None
    dunning: DunningPolicy | None = None
    hard_quotas: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        return not self.prices and self.sold_by is SoldBy.SELF_SERVE


@dataclass(frozen=True, kw_only=True, slots=True)
class AddOn:
    """Something sold beside a plan; `plans` limits it to some plans (empty: any)."""

    id: str
    name: str
    description: str = ""
    features: tuple[str, ...] = ()
    quotas: Mapping[str, int | None] = field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    plans: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """A legal person as frozen on an invoice: seller or buyer."""

    name: str = ""
    email: str = ""
    address: tuple[str, ...] = ()
    country: str = ""
    tax_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """One published version. `default_currency` is what a price list shows when the wanted one is missing,
    `labels` what people read for the names of features and quotas. A quota whose name is a meter's id is counted
    by that meter.
    """

    version: int = 0
    default_currency: str = "USD"
    plans: tuple[Plan, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    proration: Granularity = Granularity.DAY
    dunning: DunningPolicy = DunningPolicy()
    dunning_by_segment: Mapping[str, DunningPolicy] = field(default_factory=dict)
    seller: Party = Party()
    labels: Mapping[str, str] = field(default_factory=dict)
    meters: tuple[Meter, ...] = ()
    large_upgrades: Mapping[str, int] = field(default_factory=dict)
    """Currency → increase of recurring revenue (minor units a month) from which sales are told of an upgrade."""
    tax: TaxTable = TaxTable()

    def plan(self, plan_id: str, *, path: str = "plan") -> Plan:
        """The plan, or ValidationError naming `path`."""
        for plan in self.plans:
            if plan.id == plan_id:
                return plan
        known = ", ".join(plan.id for plan in self.plans)
        raise ValidationError(f"there is no plan {plan_id!r}", field=path, fix=f"use one of: {known}")

    def dunning_of(self, plan_id: str, segment: str = "") -> tuple[str, DunningPolicy]:
        """The plan's own policy, else that of the customer's segment, else the catalog's, with the name that reports
        give it: `plan:<id>`, `segment:<name>` or `default`. What this version does not know has the last.
        """
        own = next((plan.dunning for plan in self.plans if plan.id == plan_id), None)
        if own is not None:
            return f"plan:{plan_id}", own
        if segment in self.dunning_by_segment:
            return f"segment:{segment}", self.dunning_by_segment[segment]
        return DEFAULT_NAME, self.dunning

    def add_on(self, add_on_id: str, *, path: str = "add_on") -> AddOn:
        for add_on in self.add_ons:
            if add_on.id == add_on_id:
                return add_on
        known = ", ".join(add_on.id for add_on in self.add_ons) or "none are published"
        raise ValidationError(f"there is no add-on {add_on_id!r}", field=path, fix=f"use one of: {known}")


def price_of(product: Plan | AddOn, interval: Interval, currency: str, *, path: str = "interval") -> Price:
    """What the product itself costs for this interval and currency, or ValidationError listing what exists."""
    own = [price for price in product.prices if price.meter is None]
    for price in own:
        if price.interval == interval and price.currency == currency:
            return price
    offered = ", ".join(f"{price.interval} {price.currency}" for price in own) or "none"
    raise ValidationError(
        f"{product.name} has no price per {interval} in {currency}", field=path, fix=f"offered: {offered}"
    )


def metered_prices_of(product: Plan | AddOn, interval: Interval, currency: str) -> tuple[Price, ...]:
    """What its usage costs beside it, one price per meter."""
    return tuple(
        price
        for price in product.prices
        if price.meter is not None and price.interval == interval and price.currency == currency
    )
