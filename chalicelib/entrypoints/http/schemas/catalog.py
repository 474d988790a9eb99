"""The catalog document, what publishing it answers, and the public price list."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from chalicelib.domain.calendar import IntervalUnit
from chalicelib.domain.catalog import SoldBy, Timing, TrialEnd
from chalicelib.domain.catalog_difference import ChangedObject, ChangeKind
from chalicelib.domain.dunning_policy import EndState, HardDecline, StageMail
from chalicelib.domain.meter import Aggregation
from chalicelib.domain.pricing import PricingModel
from chalicelib.domain.proration import Granularity
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.catalog_tax import TaxSchema

Name = Annotated[str, Field(min_length=1, max_length=64, examples=["pro"])]
Text = Annotated[str, Field(max_length=1000)]
Quotas = Annotated[
    dict[str, int | None],
    Field(
        max_length=100,
        description="Limits by name; null is unlimited.",
        examples=[{"projects": 10, "seats": None}],
    ),
]
UnitAmount = Annotated[
    str,
    Field(
        max_length=32,
        description='Decimal string of minor units, up to 12 places: "1900" is 19.00 USD, "0.25" a quarter cent.',
        examples=["1900"],
    ),
]
CurrencyCode = Annotated[str, Field(min_length=3, max_length=3, description="ISO 4217.", examples=["USD"])]


class Tier(Schema):
    up_to: int | None = Field(default=None, description="The last unit of the tier; null for no end.")
    unit_amount: UnitAmount
    flat_amount: UnitAmount = "0"


class PriceSchema(Schema):
    """What one interval costs in one currency.

    `flat`: the amount, whatever the quantity. `per_unit`: of each unit. `package`: of each begun package. `percentage`:
    per cent of a quantity that is in minor units. `graduated`: each unit at its tier's price. `volume`: all at the
    price of the tier that the quantity reaches.
    """

    id: Name | None = Field(default=None, description="`<plan>_<interval>_<currency>` if left out.")
    interval: IntervalUnit
    interval_count: int = Field(default=1, description="3 with `month` is a quarter.")
    currency: CurrencyCode
    model: PricingModel
    unit_amount: UnitAmount | None = Field(
        default=None, description="With `percentage` the per cent, such as 2.5."
    )
    tiers: list[Tier] = Field(
        default=[],
        max_length=100,
        description="For `graduated` and `volume`, ascending; the last without an end.",
    )
    package_size: int = Field(default=1, description="Units in a package.")
    billing_unit: int = Field(default=1, description="The quantity is rounded up to whole ones first.")
    included: int = Field(default=0, description="Units that cost nothing; they come off first.")
    minimum: UnitAmount | None = Field(
        default=None, description="A commitment for a full period: a second line bills what is missing to it."
    )
    timing: Timing = Field(
        default=Timing.IN_ADVANCE, description="`in_arrears`: each period is billed once it is over."
    )
    meter: Name | None = Field(
        default=None,
        description="What this costs is usage, as the meter read it; billed once the period is over.",
    )
    grace_minutes: int = Field(
        default=0, ge=0, le=10_080, description="How long usage of a period may be late before it is billed."
    )
    bill_at: int | None = Field(
        default=None, description="Minor units of usage at which it is billed within the period already."
    )


class TrialSchema(Schema):
    days: int = Field(description="1 to 90.", examples=[14])
    card_required: bool = False
    on_end: TrialEnd = Field(default=TrialEnd.CANCEL, description="What happens at the end without a card.")
    fall_back_plan: Name | None = None


class DunningSchema(Schema):
    """How arrears are collected."""

    days: list[int] = Field(
        default=[0, 2, 7, 14, 21], max_length=20, description="Attempts, counted from the first failure."
    )
    hard_decline: HardDecline = Field(
        default=HardDecline.LAST_DAY, description="What a definite refusal of the card does."
    )
    quiet_from: int = Field(default=0, description="Hour from which nothing is tried; the customer's zone.")
    quiet_until: int = 0
    grace_days: int | None = Field(
        default=None, description="Access is kept so long; null: for the whole run."
    )
    end: EndState = EndState.CANCEL
    free_plan: Name | None = None
    mails: list[StageMail] = Field(
        default=[],
        max_length=20,
        description="The letter after each failed attempt but the last, in the order of days; a hard decline sends"
        " the last of them. Empty: a reminder after each. Quiet hours hold letters back.",
        examples=[["reminder", "none", "urgent", "final"]],
    )
    end_mail: bool = Field(default=True, description="Whether the end of the run is written about.")
    grace_mail: bool = Field(default=False, description="Whether the end of the grace is written about.")
    attempts_per_card: int = Field(
        default=15,
        description="1 to 20: how often one card is tried without success in 30 days, over all of a customer's"
        " invoices. After that it is declined with `card_attempt_limit` without asking the bank.",
    )
    access_while_disputed: bool = Field(
        default=True, description="Whether who disputes a payment keeps access until that is decided."
    )


class ProductSchema(Schema):
    id: Name
    name: str = Field(max_length=100, examples=["Pro"])
    description: Text = ""
    features: list[Name] = Field(default=[], max_length=200)
    quotas: Quotas = {}
    prices: list[PriceSchema] = Field(default=[], max_length=500)


class PlanSchema(ProductSchema):
    rank: int = Field(description="Orders plans: higher is more. Every plan has its own.", examples=[20])
    sold_by: SoldBy = SoldBy.SELF_SERVE
    public: bool = Field(default=True, description="Whether price lists show it.")
    per_seat: bool = False
    hard_quotas: list[Name] = Field(
        default=[], max_length=100, description="Quotas at which the product stops; the others only tell."
    )
    trial: TrialSchema | None = None
    dunning: DunningSchema | None = Field(
        default=None, description="Left out: that of the customer's segment, or the catalog's."
    )


class AddOnSchema(ProductSchema):
    plans: list[Name] = Field(
        default=[], max_length=100, description="Plans that it goes with; empty for any."
    )


class SellerSchema(Schema):
    """The seller as every invoice names it."""

    name: str = Field(max_length=200, examples=["Acme Ltd"])
    email: str = Field(default="", max_length=254)
    address: list[Text] = Field(default=[], max_length=6)
    country: str = Field(default="", max_length=2, examples=["IE"])
    tax_ids: list[Annotated[str, Field(max_length=40)]] = Field(default=[], max_length=10)


class MeterSchema(Schema):
    """How reported events become a quantity. A quota whose name is a meter's id is counted by it."""

    id: Name
    name: str = Field(default="", max_length=100, description="Its id, if left out.")
    event: Name | None = Field(
        default=None, description="Name of the events that it reads; its id, if left out."
    )
    aggregation: Aggregation = Aggregation.SUM
    property: Name | None = Field(
        default=None,
        description="The event's property that holds the value; the event's `value`, if left out.",
    )
    filters: dict[str, list[Annotated[str, Field(max_length=100)]]] = Field(
        default={}, max_length=20, description="Only events whose property has one of these values count."
    )
    alerts: list[int] = Field(
        default=[], max_length=20, description="Quantities whose passing is told, once per period each."
    )


class CatalogRequest(Schema):
    """The whole catalog. What is not in it is not sold any more; who bought it keeps it."""

    default_currency: CurrencyCode = "USD"
    proration: Granularity = Granularity.DAY
    dunning: DunningSchema = DunningSchema()
    dunning_by_segment: dict[Name, DunningSchema] = Field(
        default={},
        max_length=50,
        description="For customers of a segment (see the customer's `segment`). A plan's own policy goes before its"
        " customer's segment's, and that before the catalog's.",
    )
    seller: SellerSchema
    labels: dict[str, Text] = Field(
        default={}, max_length=500, description="What people read for the names of features and quotas."
    )
    plans: list[PlanSchema] = Field(min_length=1, max_length=100)
    add_ons: list[AddOnSchema] = Field(default=[], max_length=100)
    meters: list[MeterSchema] = Field(default=[], max_length=100)
    large_upgrades: dict[CurrencyCode, int] = Field(
        default={},
        max_length=200,
        description="Currency → rise of monthly recurring revenue from which `subscription.large_upgrade` is told.",
    )
    tax: TaxSchema = TaxSchema()


class CatalogView(CatalogRequest):
    version: int = Field(ge=1)


class PublishQuery(Schema):
    dry_run: bool = Field(default=False, description="Only answer what would change.")


class ChangeView(View):
    kind: ChangeKind
    object: ChangedObject
    path: str = Field(examples=["plans[pro].prices[pro_month_usd].unit_amount"])
    before: Any = None
    after: Any = None


class PublicationView(View):
    version: int = Field(description="The version that is current now, or that a dry run would make.")
    published: bool = Field(
        description="False for a dry run, and when nothing differs from the current version."
    )
    changes: list[ChangeView]


class PlansQuery(Schema):
    country: str | None = Field(
        default=None, max_length=2, examples=["DE"], description="The visitor's, for what prices say of tax."
    )
    state: str | None = Field(default=None, max_length=200)
    currency: CurrencyCode | None = Field(
        default=None, description="The catalog's default currency if left out."
    )
    language: str | None = Field(
        default=None, max_length=35, examples=["de"], description="Of formatted amounts."
    )


class LabelView(View):
    id: str
    label: str


class QuotaView(LabelView):
    limit: int | None = Field(description="null is unlimited.")


class OfferedTierView(View):
    up_to: int | None
    unit_amount: UnitAmount
    flat_amount: UnitAmount
    formatted: str = Field(description="For people.", examples=["1 – 10: €10.00 each"])


class OfferedPriceView(View):
    id: str
    interval: IntervalUnit
    interval_count: int
    model: PricingModel
    currency: str
    unit_amount: UnitAmount | None = Field(description="null where there are tiers.")
    tiers: list[OfferedTierView]
    package_size: int
    billing_unit: int
    included: int
    minimum: UnitAmount | None
    timing: Timing
    formatted: str = Field(
        description="For people, with all digits; of tiers the least.", examples=["€19.00", "from €8.00"]
    )
    notes: list[str] = Field(description="What else belongs to the price, for people.")


class ProductView(View):
    id: str
    name: str
    description: str
    features: list[LabelView]
    quotas: list[QuotaView]
    currency: str = Field(description="Of its prices: the wanted one, or the default one as a fallback.")
    fallback: bool = Field(description="Whether it has no price in the wanted currency.")
    prices: list[OfferedPriceView]
    yearly_saving_percent: int | None = Field(
        description="What a year saves against twelve months, rounded down."
    )


class TrialView(View):
    days: int
    card_required: bool
    on_end: TrialEnd
    fall_back_plan: str | None


class PlanView(ProductView):
    rank: int
    sold_by: SoldBy
    free: bool
    per_seat: bool
    trial: TrialView | None


class AddOnView(ProductView):
    plans: list[str]


class PriceListView(View):
    catalog_version: int
    tax: str | None = Field(
        default=None,
        description="What the prices say of tax where the visitor is, for people.",
        examples=["plus 19 % VAT"],
    )
    currency: str = Field(description="As wanted, or the default one.")
    default_currency: str
    currencies: list[str] = Field(description="In which something is sold.")
    plans: list[PlanView]
    add_ons: list[AddOnView]
