"""Entitlements over HTTP: what the product asks on every page."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application.entitlements import get_entitlements as read
from chalicelib.domain.entitlement import Entitlements
from chalicelib.domain.errors import NotFoundError
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.entitlements import EntitlementsView, GrantView, MeteredView

bp = Blueprint(__name__)


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}/entitlements",
    answer=EntitlementsView,
    scope=Scope.READ,
    tag="Customers",
    summary="What a customer may use now: features, quotas, status, until when",
    errors=(NotFoundError,),
)
def get_entitlements(call: Call[None]) -> EntitlementsView:
    return entitlements_view(read(call.ctx, call.path["id"]))


def entitlements_view(entitlements: Entitlements) -> EntitlementsView:
    return EntitlementsView(
        customer=entitlements.customer_id,
        active=entitlements.active,
        status=entitlements.status,
        plan=entitlements.plan,
        features=list(entitlements.features),
        quotas=dict(entitlements.quotas),
        seats=entitlements.seats,
        until=entitlements.until,
        credits=dict(entitlements.credits),
        subscriptions=[
            GrantView(
                subscription=grant.subscription_id,
                plan=grant.plan,
                status=grant.status,
                features=list(grant.features),
                quotas=dict(grant.quotas),
                seats=grant.seats,
                until=grant.until,
                usage=[
                    MeteredView(
                        meter=metered.meter,
                        used=metered.used,
                        limit=metered.limit,
                        hard=metered.hard,
                        exceeded=metered.exceeded,
                        resets_at=metered.resets_at,
                    )
                    for metered in grant.metered
                ],
            )
            for grant in entitlements.grants
        ],
    )
