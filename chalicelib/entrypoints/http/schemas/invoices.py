"""Invoices as answered: every line with the inputs that it can be recomputed from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.invoice import CauseKind, InvoiceStatus
from chalicelib.domain.payment import AttemptStatus, DeclineKind
from chalicelib.domain.proration import Granularity
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.disputes import PaymentDisputeView
from chalicelib.entrypoints.http.schemas.subscriptions import CollectionView, Id, PeriodView


class InvoiceQuery(Schema):
    """One of customer and subscription is needed."""

    customer: Id | None = None
    subscription: Id | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=512)] | None = None


class PayRequest(Schema):
    payment_method: str | None = Field(
        default=None, max_length=255, description="Saved as the customer's default first."
    )


class StepView(View):
    """quantity × unit_amount ÷ per + flat_amount; amounts are decimal strings in minor units."""

    quantity: int
    unit_amount: str
    flat_amount: str
    per: int
    up_to: int | None


class DiscountView(View):
    """What one coupon took from the line: its share of `percent`, or of `fixed` minor units, on the invoice."""

    coupon: str
    order: int = Field(description="Its place among the invoice's coupons, from 1.")
    percent: str | None
    fixed: int | None
    amount: int


class ReversalView(View):
    """The line that is given back, as it was billed, and what of it was given back before."""

    invoice: str
    line: str
    net: int
    tax: int
    credited: int
    credited_tax: int


class LineView(View):
    """amount = round(Σ steps × numerator ÷ denominator); net = amount − discount, less tax that is included.

    With a `minimum`, amount is what the commitment adds to the steps. With a `reversal`, it is what is given back.
    """

    id: str
    kind: str
    description: str
    product: str
    price: str
    model: str
    quantity: int
    included: int = Field(description="Units of the quantity that cost nothing; the rest is in the steps,")
    billing_unit: int = Field(description="rounded up to whole ones of these,")
    package_size: int = Field(description="and with `package` counted in packages of this size.")
    steps: list[StepView]
    numerator: int
    denominator: int
    unit: Granularity = Field(description="What numerator and denominator count.")
    minimum: str | None = Field(description="A commitment for a full period, as a decimal of minor units.")
    reversal: ReversalView | None
    period: PeriodView | None
    amount: int
    discount: int
    discounts: list[DiscountView]
    tax_rate: str
    tax_inclusive: bool
    tax_note: str = Field(description="`reverse_charge` or `exempt`, where no tax is due.")
    net: int
    tax: int
    total: int
    credited: int = Field(description="What credit notes gave back of it, with tax. The line stays as it is.")


class PartyView(View):
    name: str
    email: str
    address: list[str]
    country: str
    tax_ids: list[str]


class AttemptView(View):
    number: int
    status: AttemptStatus
    amount: int
    at: datetime
    settled_at: datetime | None
    payment_method: str | None
    decline_code: str | None
    decline_kind: DeclineKind | None


class InvoicePaymentView(View):
    id: str
    amount: int
    at: datetime
    kind: str
    disputes: list[PaymentDisputeView]


class InvoiceView(View):
    id: str
    customer: str
    subscription: str
    number: str
    status: InvoiceStatus
    cause: CauseKind
    currency: str
    period: PeriodView | None
    issued_at: datetime
    due_at: datetime
    overdue: bool
    collection: CollectionView
    seller: PartyView
    buyer: PartyView
    lines: list[LineView]
    total: int
    tax: int
    credit_applied: int
    carried_in: int = Field(description="Small amounts of earlier invoices, collected with this one.")
    carried_out: int = Field(description="Too small to charge: carried to the next invoice.")
    credit_granted: int = Field(
        description="What its lines give back beyond what they charge: account credit."
    )
    amount_due: int
    amount_paid: int
    credited: int = Field(
        description="What lowered the amount due: time that was not served and given up, and credit notes."
    )
    returned: int = Field(
        description="What credit notes gave back beyond that, as account credit or as refunds."
    )
    amount_remaining: int
    amount_refunded: int = Field(description="Returned of its payments. The invoice stays paid.")
    attempts: list[AttemptView]
    confirmation_url: str | None = Field(
        description="Where the customer confirms the latest attempt at their bank, while it waits for that."
    )
    document_url: str | None = Field(
        description="Where the customer reads it as PDF, without a key. None of a draft or preview."
    )
    payments: list[InvoicePaymentView]
    paid_at: datetime | None
    closed_at: datetime | None


class ExplainQuery(Schema):
    language: str | None = Field(
        default=None, max_length=35, examples=["de"], description="The customer's, if left out."
    )


class ExplainedLineView(View):
    """The line computed again from its inputs."""

    id: str
    sentence: str = Field(examples=["Pro, 11 of 31 days, Aug 21 – 31: 11 ÷ 31 × €29.00"])
    formatted: str = Field(description="Its amount before discount, for people.", examples=["€10.29"])
    amount: int
    discount: int
    net: int
    tax: int
    total: int


class CouponUseView(View):
    """A coupon on the whole invoice, in the order in which they apply."""

    coupon: str
    order: int
    percent: str | None
    fixed: int | None
    base: int = Field(description="What the coupons before it left of the lines that it counts for.")
    amount: int


class TaxSumView(View):
    rate: str
    inclusive: bool
    note: str
    base: int = Field(description="Before tax.")
    tax: int


class ExplanationView(View):
    """The invoice computed again from nothing but the inputs on its lines."""

    invoice: str
    number: str
    currency: str
    language: str
    matches: bool = Field(description="Whether the invoice says the same, to the last minor unit.")
    differences: list[str]
    lines: list[ExplainedLineView]
    coupons: list[CouponUseView]
    taxes: list[TaxSumView]
    total: int
    tax: int
    credit_applied: int
    carried_in: int
    carried_out: int
    credit_granted: int
    amount_due: int
    formatted: str = Field(description="The amount due, for people.", examples=["€34.80"])


class InvoicePage(View):
    data: list[InvoiceView]
    next_cursor: str | None


class AttemptPage(View):
    data: list[AttemptView]
