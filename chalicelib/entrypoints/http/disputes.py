"""Disputes over HTTP. They are answered at the payment provider; here they are shown and booked."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import disputes as use_cases
from chalicelib.domain.dispute import Dispute
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.payment import Payment
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.disputes import (
    DisputePage,
    DisputeQuery,
    DisputeView,
    PaymentDisputeView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "GET",
    "/v1/disputes",
    query=DisputeQuery,
    answer=DisputePage,
    scope=Scope.READ,
    tag="Payments",
    summary="List a customer's disputes, newest first",
    errors=(NotFoundError, ValidationError),
)
def list_disputes(call: Call[None]) -> DisputePage:
    query = call.query
    page = use_cases.list_disputes(call.ctx, query.customer, limit=query.limit, cursor=query.cursor)
    return DisputePage(
        data=[_listed(payment, dispute) for payment, dispute in page.records], next_cursor=page.cursor
    )


def dispute_views(payment: Payment) -> list[PaymentDisputeView]:
    """A payment's disputes, oldest first."""
    return [_view(dispute) for dispute in payment.disputes]


def _view(dispute: Dispute) -> PaymentDisputeView:
    state = dispute.state
    return PaymentDisputeView(
        reference=state.reference,
        status=state.status,
        reason=state.reason,
        amount=state.amount,
        currency=state.currency,
        withdrawn=state.withdrawn,
        fee=state.fee,
        fee_currency=state.fee_currency,
        evidence_due_at=state.evidence_due_at,
        opened_at=dispute.opened_at,
        closed_at=dispute.closed_at,
    )


def _listed(payment: Payment, dispute: Dispute) -> DisputeView:
    return DisputeView(
        **_view(dispute).model_dump(), payment=payment.id, invoice=payment.allocations[0].invoice_id
    )
