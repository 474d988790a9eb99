"""Payments as asked and as answered. Amounts are integer minor units of `currency`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chalicelib.domain.refund import RefundStatus
from chalicelib.entrypoints.http.kit import Schema, View
from chalicelib.entrypoints.http.schemas.disputes import PaymentDisputeView
from chalicelib.entrypoints.http.schemas.subscriptions import Currency, Id

Amount = Annotated[int, Field(ge=1, le=1_000_000_000_000)]


class ManualKind(StrEnum):
    TRANSFER = "transfer"
    CHEQUE = "cheque"
    CASH = "cash"
    OTHER = "other"


class AllocationRequest(Schema):
    invoice: Id
    amount: Amount


class PaymentRequest(Schema):
    customer: Id
    amount: Amount = Field(examples=[4900])
    currency: Currency
    kind: ManualKind = ManualKind.TRANSFER
    reference: str | None = Field(
        default=None, max_length=255, description="What the bank statement or the cheque says."
    )
    allocations: list[AllocationRequest] = Field(
        default_factory=list,
        max_length=25,
        description="What it pays. What is not allocated becomes account credit.",
    )


class PaymentQuery(Schema):
    customer: Id
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=512)] | None = None


class RefundRequest(Schema):
    amount: Amount | None = Field(default=None, examples=[500], description="What is left, when left out.")
    reason: str = Field(default="", max_length=500)
    invoice: Id | None = Field(
        default=None, description="Of a payment that paid several invoices, the one whose part is returned."
    )
    from_credit: bool = Field(
        default=False, description="Return what was paid over and is still account credit."
    )


class AllocationView(View):
    invoice: str
    amount: int


class PaidWithView(View):
    id: str
    brand: str
    last4: str


class RefundView(View):
    id: str
    payment: str
    amount: int
    currency: str
    status: RefundStatus = Field(
        description="in_flight: on record, its outcome not known yet. pending: the bank has not confirmed it. "
        "One that succeeded can fail later, when the bank sends the money back."
    )
    reason: str
    failure: str | None = Field(description="The payment provider's code for why it failed.")
    allocations: list[AllocationView] = Field(description="From which invoices; none: from account credit.")
    reference: str | None = Field(description="The payment provider's id.")
    at: datetime
    settled_at: datetime | None


class PaymentView(View):
    id: str
    customer: str
    amount: int
    currency: str
    at: datetime
    kind: str = Field(description="card, a kind of debit, or how it was recorded.", examples=["card"])
    reference: str | None
    allocations: list[AllocationView]
    credited: int = Field(description="Paid over: became account credit.")
    refunded: int = Field(description="What has gone back.")
    refunding: int = Field(description="What is on its way back.")
    refunds: list[RefundView]
    payment_method: PaidWithView | None
    disputes: list[PaymentDisputeView]


class PaymentPage(View):
    data: list[PaymentView]
    next_cursor: str | None
