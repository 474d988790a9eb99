"""Invoices as answered: every line with the inputs that it can be recomputed from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.invoice import CauseKind, InvoiceStatus
from chalicelib.domain.payment import AttemptStatus, DeclineKind
from chalicelib.entrypoints.http.kit import Schema, View
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


class LineView(View):
    """amount = round(Σ steps × numerator ÷ denominator); net = amount − discount."""

    id: str
    kind: str
    description: str
    product: str
    price: str
    model: str
    quantity: int
    steps: list[StepView]
    numerator: int
    denominator: int
    period: PeriodView | None
    amount: int
    discount: int
    tax_rate: str
    tax_inclusive: bool
    net: int
    tax: int
    total: int


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
    amount_due: int
    amount_paid: int
    credited: int = Field(description="Given up with credit before it was paid: time that was not served.")
    amount_remaining: int
    attempts: list[AttemptView]
    payments: list[InvoicePaymentView]
    paid_at: datetime | None
    closed_at: datetime | None


class InvoicePage(View):
    data: list[InvoiceView]
    next_cursor: str | None


class AttemptPage(View):
    data: list[AttemptView]
