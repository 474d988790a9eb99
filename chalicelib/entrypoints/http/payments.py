"""Payments over HTTP."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import payments as use_cases
from chalicelib.domain.errors import (
    ConflictError,
    CurrencyMismatchError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.entrypoints.http.disputes import dispute_views
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.payments import (
    AllocationView,
    PaidWithView,
    PaymentPage,
    PaymentQuery,
    PaymentRequest,
    PaymentView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/payments",
    body=PaymentRequest,
    answer=PaymentView,
    status=201,
    scope=Scope.WRITE,
    tag="Payments",
    summary="Record a payment that came by transfer or cheque, and pay invoices with it",
    errors=(NotFoundError, ValidationError, InvalidStateError, CurrencyMismatchError, ConflictError),
)
def record_payment(call: Call[PaymentRequest]) -> PaymentView:
    body = call.body
    return payment_view(
        use_cases.record_payment(
            call.ctx,
            body.customer,
            amount=body.amount,
            currency=body.currency,
            kind=body.kind.value,
            reference=body.reference,
            allocations=[Allocation(each.invoice, each.amount) for each in body.allocations],
        )
    )


@endpoint(
    bp,
    "GET",
    "/v1/payments",
    query=PaymentQuery,
    answer=PaymentPage,
    scope=Scope.READ,
    tag="Payments",
    summary="List a customer's payments, newest first",
    errors=(NotFoundError, ValidationError),
)
def list_payments(call: Call[None]) -> PaymentPage:
    query = call.query
    page = use_cases.list_payments(call.ctx, query.customer, limit=query.limit, cursor=query.cursor)
    return PaymentPage(data=[payment_view(each) for each in page.records], next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/payments/{id}",
    answer=PaymentView,
    scope=Scope.READ,
    tag="Payments",
    summary="Get a payment",
    errors=(NotFoundError,),
)
def get_payment(call: Call[None]) -> PaymentView:
    return payment_view(use_cases.get_payment(call.ctx, call.path["id"]))


def payment_view(payment: Payment) -> PaymentView:
    method = payment.method
    return PaymentView(
        id=payment.id,
        customer=payment.customer_id,
        amount=payment.amount,
        currency=payment.currency,
        at=payment.at,
        kind=payment.kind,
        reference=payment.reference,
        allocations=[
            AllocationView(invoice=each.invoice_id, amount=each.amount) for each in payment.allocations
        ],
        credited=payment.credited,
        refunded=payment.refunded,
        payment_method=PaidWithView(id=method.id, brand=method.brand, last4=method.last4) if method else None,
        disputes=dispute_views(payment),
    )
