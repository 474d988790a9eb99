"""Payments over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from chalice.app import Blueprint

from chalicelib.application import payments as use_cases
from chalicelib.application import refunds
from chalicelib.domain.errors import (
    ConflictError,
    CurrencyMismatchError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.refund import Refund
from chalicelib.entrypoints.http.disputes import dispute_views
from chalicelib.entrypoints.http.kit import Call, Reply, Scope, endpoint
from chalicelib.entrypoints.http.schemas.payments import (
    AllocationView,
    PaidWithView,
    PaymentPage,
    PaymentQuery,
    PaymentRequest,
    PaymentView,
    RefundRequest,
    RefundView,
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
    known = refunds.list_refunds(call.ctx, query.customer)
    return PaymentPage(data=[payment_view(each, known) for each in page.records], next_cursor=page.cursor)


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
    payment = use_cases.get_payment(call.ctx, call.path["id"])
    return payment_view(payment, refunds.list_refunds(call.ctx, payment.customer_id))


@endpoint(
    bp,
    "POST",
    "/v1/payments/{id}/refunds",
    body=RefundRequest,
    answer=RefundView,
    status=201,
    also={202: "On record; its outcome is not known yet"},
    scope=Scope.REFUND,
    tag="Payments",
    summary="Return a payment, or part of it",
    errors=(NotFoundError, ValidationError, InvalidStateError, ConflictError, GatewayUnavailableError),
)
def refund_payment(call: Call[RefundRequest]) -> Reply:
    body = call.body
    refund = refunds.refund_payment(
        call.ctx,
        call.path["id"],
        amount=body.amount,
        reason=body.reason,
        invoice_id=body.invoice,
        from_credit=body.from_credit,
    )
    return Reply(content=refund_view(refund), status=202 if refund.is_open else 201)


def refund_view(refund: Refund) -> RefundView:
    return RefundView(
        id=refund.id,
        payment=refund.payment_id,
        amount=refund.amount,
        currency=refund.currency,
        status=refund.status,
        reason=refund.reason,
        failure=refund.failure or None,
        allocations=_allocations(refund.allocations),
        reference=refund.reference,
        at=refund.at,
        settled_at=refund.settled_at,
    )


def payment_view(payment: Payment, known: Sequence[Refund] = ()) -> PaymentView:
    """`known` are the customer's refunds."""
    method = payment.method
    return PaymentView(
        id=payment.id,
        customer=payment.customer_id,
        amount=payment.amount,
        currency=payment.currency,
        at=payment.at,
        kind=payment.kind,
        reference=payment.reference,
        allocations=_allocations(payment.allocations),
        credited=payment.credited,
        refunded=payment.refunded,
        refunding=payment.refunding,
        refunds=[refund_view(each) for each in known if each.payment_id == payment.id],
        payment_method=PaidWithView(id=method.id, brand=method.brand, last4=method.last4) if method else None,
        disputes=dispute_views(payment),
    )


def _allocations(allocations: Sequence[Allocation]) -> list[AllocationView]:
    return [AllocationView(invoice=each.invoice_id, amount=each.amount) for each in allocations]
