"""What a customer may use: one read, then pure derivation."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application.context import Context
from chalicelib.domain import ids
from chalicelib.domain.entitlement import Entitlements, entitlements
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.prepaid import balances


def get_entitlements(ctx: Context, customer_id: str) -> Entitlements:
    """One consistent Query over account and subscriptions; catalog versions come from the process's cache."""
    ids.require("cus", customer_id)
    standing = ctx.store.standing(ctx.env, customer_id)
    if standing.account is None:
        raise NotFoundError("no such customer", id=customer_id)
    found = entitlements(
        customer_id,
        standing.subscriptions,
        lambda version: ctx.catalogs.version(ctx.env, version),
        ctx.now,
        standing.usage,
        standing.account.suspended,
    )
    return replace(found, credits=balances(standing.account, ctx.now))
