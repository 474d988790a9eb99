"""Customers over HTTP."""

from __future__ import annotations

from dataclasses import asdict

from chalice.app import Blueprint

from chalicelib.application import customers as use_cases
from chalicelib.application import erasure
from chalicelib.domain.customer import Customer
from chalicelib.domain.errors import (
    AlreadyExistsError,
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.domain.tax_ids import type_of
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.customers import (
    AddressView,
    CustomerPage,
    CustomerPatch,
    CustomerQuery,
    CustomerRequest,
    CustomerView,
    TaxIdView,
    TermsView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/customers",
    body=CustomerRequest,
    answer=CustomerView,
    status=201,
    scope=Scope.WRITE,
    tag="Customers",
    summary="Create a customer",
    errors=(ValidationError, AlreadyExistsError),
)
def create_customer(call: Call[CustomerRequest]) -> CustomerView:
    return customer_view(use_cases.create_customer(call.ctx, call.body.model_dump(exclude_unset=True)))


@endpoint(
    bp,
    "GET",
    "/v1/customers",
    query=CustomerQuery,
    answer=CustomerPage,
    scope=Scope.READ,
    tag="Customers",
    summary="List customers, newest first, or find one by its external id",
    errors=(ValidationError,),
)
def list_customers(call: Call[None]) -> CustomerPage:
    page = use_cases.list_customers(
        call.ctx, limit=call.query.limit, cursor=call.query.cursor, external_id=call.query.external_id
    )
    return CustomerPage(data=[customer_view(each) for each in page.records], next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}",
    answer=CustomerView,
    scope=Scope.READ,
    tag="Customers",
    summary="Get a customer",
    errors=(NotFoundError,),
)
def get_customer(call: Call[None]) -> CustomerView:
    return customer_view(use_cases.get_customer(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "PATCH",
    "/v1/customers/{id}",
    body=CustomerPatch,
    answer=CustomerView,
    scope=Scope.WRITE,
    tag="Customers",
    summary="Change what is sent of a customer",
    errors=(NotFoundError, ValidationError, AlreadyExistsError, InvalidStateError),
)
def update_customer(call: Call[CustomerPatch]) -> CustomerView:
    changes = call.body.model_dump(exclude_unset=True)
    return customer_view(use_cases.update_customer(call.ctx, call.path["id"], changes))


@endpoint(
    bp,
    "POST",
    "/v1/customers/{id}/erase",
    answer=CustomerView,
    scope=Scope.ADMIN,
    tag="Customers",
    summary="Erase the person behind a customer for good; invoices and books stay",
    errors=(NotFoundError, InvalidStateError, ConflictError, GatewayUnavailableError),
)
def erase_customer(call: Call[None]) -> CustomerView:
    return customer_view(erasure.erase_customer(call.ctx, call.path["id"]))


def customer_view(customer: Customer) -> CustomerView:
    return CustomerView(
        id=customer.id,
        created_at=customer.created_at,
        erased_at=customer.erased_at,
        email=customer.email,
        name=customer.name,
        legal_name=customer.legal_name,
        external_id=customer.external_id,
        billing_email=customer.billing_email,
        address=AddressView(**asdict(customer.address)),
        tax_ids=[TaxIdView(type=type_of(each), value=each) for each in customer.tax_ids],
        tax_exempt=customer.tax_exempt,
        language=customer.language,
        currency=customer.currency,
        time_zone=customer.zone,
        company_size=customer.company_size,
        domain=customer.domain,
        terms=TermsView(**asdict(customer.terms)),
        owner=customer.owner,
        segment=customer.segment,
        metadata=dict(customer.metadata),
    )
