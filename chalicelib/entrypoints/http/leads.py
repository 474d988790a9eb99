"""Leads over HTTP: who was routed to sales, and why."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import leads as use_cases
from chalicelib.domain.customer import Lead
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.signup import LeadPage, LeadQuery, LeadView

bp = Blueprint(__name__)


@endpoint(
    bp,
    "GET",
    "/v1/leads",
    query=LeadQuery,
    answer=LeadPage,
    scope=Scope.READ,
    tag="Leads",
    summary="List who was routed to sales, newest first",
    errors=(ValidationError,),
)
def list_leads(call: Call[None]) -> LeadPage:
    page = use_cases.list_leads(call.ctx, limit=call.query.limit, cursor=call.query.cursor)
    return LeadPage(data=[lead_view(lead) for lead in page.records], next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/leads/{id}",
    answer=LeadView,
    scope=Scope.READ,
    tag="Leads",
    summary="Get a lead",
    errors=(NotFoundError,),
)
def get_lead(call: Call[None]) -> LeadView:
    return lead_view(use_cases.get_lead(call.ctx, call.path["id"]))


def lead_view(lead: Lead) -> LeadView:
    return LeadView(
        id=lead.id,
        reason=lead.reason,
        at=lead.at,
        customer=lead.customer_id,
        email=lead.email,
        name=lead.name,
        company=lead.company,
        company_size=lead.company_size,
        country=lead.country,
        plan=lead.plan,
        quantity=lead.quantity,
        note=lead.note,
        source=lead.source,
    )
