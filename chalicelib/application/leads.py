"""Leads: who was routed to sales, and why."""

from __future__ import annotations

from chalicelib.application.context import Context
from chalicelib.application.ports import Page
from chalicelib.application.records import child_key
from chalicelib.domain import ids
from chalicelib.domain.customer import Lead
from chalicelib.domain.errors import NotFoundError


def get_lead(ctx: Context, lead_id: str) -> Lead:
    """NotFoundError for a malformed, missing or foreign id alike."""
    lead = ctx.store.get(child_key(Lead, ctx.env, ids.require("led", lead_id)))
    if lead is None:
        raise NotFoundError("no such lead", id=lead_id)
    return lead


def list_leads(ctx: Context, *, limit: int, cursor: str | None = None) -> Page:
    """Newest first."""
    return ctx.store.listing(Lead, ctx.env, limit=limit, cursor=cursor)
