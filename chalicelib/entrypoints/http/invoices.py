"""Invoices over HTTP."""

from __future__ import annotations

from datetime import datetime

from chalice.app import Blueprint

from chalicelib.application import confirmation, document_links
from chalicelib.application import invoices as use_cases
from chalicelib.application.context import Context
from chalicelib.application.explanations import explained_to
from chalicelib.domain import ids
from chalicelib.domain.calendar import next_day_start
from chalicelib.domain.catalog import Party
from chalicelib.domain.contact import language_tag
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.errors import (
    ConflictError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    RateLimitedError,
    ValidationError,
)
from chalicelib.domain.invoice import DiscountShare, Invoice, InvoiceStatus, Line, Reversal
from chalicelib.domain.payment import Attempt
from chalicelib.entrypoints.http.disputes import dispute_views
from chalicelib.entrypoints.http.explanation_view import explanation_view
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.limiting import payment
from chalicelib.entrypoints.http.schemas.invoices import (
    AttemptPage,
    AttemptView,
    DiscountView,
    ExplainQuery,
    ExplanationView,
    InvoicePage,
    InvoicePaymentView,
    InvoiceQuery,
    InvoiceView,
    LineView,
    PartyView,
    PayRequest,
    ReversalView,
    StepView,
)
from chalicelib.entrypoints.http.schemas.subscriptions import CollectionView, period_view

bp = Blueprint(__name__)


@endpoint(
    bp,
    "GET",
    "/v1/invoices",
    query=InvoiceQuery,
    answer=InvoicePage,
    scope=Scope.READ,
    tag="Invoices",
    summary="List the invoices of a customer or of one subscription, newest first",
    errors=(NotFoundError, ValidationError),
)
def list_invoices(call: Call[None]) -> InvoicePage:
    query = call.query
    page = use_cases.list_invoices(
        call.ctx,
        customer_id=query.customer,
        subscription_id=query.subscription,
        limit=query.limit,
        cursor=query.cursor,
    )
    data = [invoice_view(call.ctx, invoice) for invoice in page.records]
    return InvoicePage(data=data, next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/invoices/{id}",
    answer=InvoiceView,
    scope=Scope.READ,
    tag="Invoices",
    summary="Get an invoice with the inputs of every line",
    errors=(NotFoundError,),
)
def get_invoice(call: Call[None]) -> InvoiceView:
    return invoice_view(call.ctx, use_cases.get_invoice(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "GET",
    "/v1/invoices/{id}/explain",
    query=ExplainQuery,
    answer=ExplanationView,
    scope=Scope.READ,
    tag="Invoices",
    summary="Compute an invoice again from its lines, with a sentence for each",
    errors=(NotFoundError, ValidationError),
)
def explain_invoice(call: Call[None]) -> ExplanationView:
    invoice, customer = explained_to(call.ctx, call.path["id"])
    wanted = call.query.language
    language = language_tag(wanted, field="language") if wanted else customer.language
    return explanation_view(invoice, language)


@endpoint(
    bp,
    "GET",
    "/v1/invoices/{id}/attempts",
    answer=AttemptPage,
    scope=Scope.READ,
    tag="Invoices",
    summary="List the attempts to collect an invoice",
    errors=(NotFoundError,),
)
def list_attempts(call: Call[None]) -> AttemptPage:
    invoice = use_cases.get_invoice(call.ctx, call.path["id"])
    return AttemptPage(data=[_attempt(attempt) for attempt in invoice.attempts])


@endpoint(
    bp,
    "POST",
    "/v1/invoices/{id}/pay",
    body=PayRequest,
    answer=InvoiceView,
    scope=Scope.WRITE,
    tag="Invoices",
    summary="Collect an open invoice now",
    errors=(
        NotFoundError,
        InvalidStateError,
        ValidationError,
        ConflictError,
        PaymentDeclinedError,
        PaymentPendingError,
        RateLimitedError,
    ),
)
def pay_invoice(call: Call[PayRequest]) -> InvoiceView:
    invoice_id = ids.require("inv", call.path["id"])
    method = call.body.payment_method
    with payment(call, ids.customer_of(invoice_id), new_method=method is not None) as ctx:
        paid = use_cases.pay_invoice(ctx, invoice_id, payment_method=method)
    return invoice_view(call.ctx, paid)


def invoice_view(ctx: Context, invoice: Invoice) -> InvoiceView:
    """`overdue` is derived: open, sent to the customer, and from the day after its due date."""
    noted = {each.line_id: each.total for each in invoice.line_credits}
    return InvoiceView(
        id=invoice.id,
        customer=invoice.customer_id,
        subscription=invoice.subscription_id,
        number=invoice.number,
        status=invoice.status,
        cause=invoice.cause.kind,
        currency=invoice.currency,
        period=period_view(invoice.period),
        issued_at=invoice.issued_at,
        due_at=invoice.due_at,
        overdue=_is_overdue(invoice, ctx.now),
        collection=CollectionView(method=invoice.terms.method, net_days=invoice.terms.net_days),
        seller=_party(invoice.seller),
        buyer=_party(invoice.buyer),
        lines=[_line(line, noted.get(line.id, 0)) for line in invoice.lines],
        total=invoice.total,
        tax=invoice.tax,
        credit_applied=invoice.credit_applied,
        carried_in=invoice.carried_in,
        carried_out=invoice.carried_out,
        credit_granted=invoice.credit_granted,
        amount_due=invoice.amount_due,
        amount_paid=invoice.amount_paid,
        credited=invoice.credited,
        returned=invoice.returned,
        amount_remaining=invoice.amount_remaining,
        amount_refunded=invoice.amount_refunded,
        attempts=[_attempt(attempt) for attempt in invoice.attempts],
        confirmation_url=confirmation.link_of(ctx, invoice),
        document_url=document_links.link_to(ctx, invoice.id) if invoice.version else None,
        payments=[
            InvoicePaymentView(
                id=payment.id,
                amount=payment.amount,
                at=payment.at,
                kind=payment.kind,
                disputes=dispute_views(payment),
            )
            for payment in invoice.payments
        ],
        paid_at=invoice.paid_at,
        closed_at=invoice.closed_at,
    )


def _is_overdue(invoice: Invoice, now: datetime) -> bool:
    sent = invoice.terms.method is CollectionMethod.SEND_INVOICE
    return (
        invoice.status is InvoiceStatus.OPEN and sent and now >= next_day_start(invoice.due_at, invoice.zone)
    )


def _line(line: Line, credited: int) -> LineView:
    return LineView(
        id=line.id,
        kind=line.kind,
        description=line.description,
        product=line.product,
        price=line.price_id,
        model=line.model,
        quantity=line.quantity,
        included=line.included,
        billing_unit=line.billing_unit,
        package_size=line.package_size,
        steps=[
            StepView(
                quantity=step.quantity,
                unit_amount=step.unit_amount,
                flat_amount=step.flat_amount,
                per=step.per,
                up_to=step.up_to,
            )
            for step in line.steps
        ],
        numerator=line.numerator,
        denominator=line.denominator,
        unit=line.unit,
        minimum=line.minimum,
        reversal=_reversal(line.reversal) if line.reversal else None,
        period=period_view(line.period),
        amount=line.amount,
        discount=line.discount,
        discounts=[_discount(share) for share in line.discounts],
        tax_rate=line.tax_rate,
        tax_inclusive=line.tax_inclusive,
        tax_note=line.tax_note,
        net=line.net,
        tax=line.tax,
        total=line.total,
        credited=credited,
    )


def _discount(share: DiscountShare) -> DiscountView:
    return DiscountView(
        coupon=share.coupon,
        order=share.order,
        percent=share.percent,
        fixed=share.fixed or None,
        amount=share.amount,
    )


def _reversal(reversal: Reversal) -> ReversalView:
    return ReversalView(
        invoice=reversal.invoice_id,
        line=reversal.line_id,
        net=reversal.net,
        tax=reversal.tax,
        credited=reversal.credited,
        credited_tax=reversal.credited_tax,
    )


def _party(party: Party) -> PartyView:
    return PartyView(
        name=party.name,
        email=party.email,
        address=list(party.address),
        country=party.country,
        tax_ids=list(party.tax_ids),
    )


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        status=attempt.status,
        amount=attempt.amount,
        at=attempt.at,
        settled_at=attempt.settled_at,
        payment_method=attempt.method or None,
        decline_code=attempt.decline.code if attempt.decline else None,
        decline_kind=attempt.decline.kind if attempt.decline else None,
    )
