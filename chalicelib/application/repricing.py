"""Moving subscribers to the prices of the current catalog, many at a time, each at the end of their period."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.application.catalog import current_catalog
from chalicelib.application.changes import change_subscription
from chalicelib.application.context import Context
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.change import ChangeOrder, When, is_same, target_of
from chalicelib.domain.errors import DomainError
from chalicelib.domain.metrics import recurring
from chalicelib.domain.subscription import Status, Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Repriced:
    """One subscriber: what they pay a month now and will (minor units, recurring), or why they were left out."""

    subscription: Subscription
    mrr_before: int
    mrr_after: int
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor` asks for the next part, None at the end."""

    rows: tuple[Repriced, ...]
    cursor: str | None
    catalog_version: int


def reprice(ctx: Context, *, plan: str, limit: int, cursor: str | None = None, dry: bool = False) -> Page:
    """Plan the current prices for the plan's subscribers among the next `limit` subscriptions; dry, only say what
    that would be. Who has them already is not listed.

    Safe to run twice: whose change is planned is left as it is, and each change's id derives from the catalog's
    version. What cannot be changed now (arrears, another change to come) is listed with the reason, and left out.
    """
    current = current_catalog(ctx)
    current.plan(plan)
    found = ctx.store.listing(Subscription, ctx.env, limit=limit, cursor=cursor)
    rows = [_repriced(ctx, each, current, dry=dry) for each in found.records if _is_meant(each, plan)]
    return Page(tuple(row for row in rows if row is not None), found.cursor, current.version)


def _is_meant(subscription: Subscription, plan: str) -> bool:
    running = subscription.is_running and subscription.status is not Status.TRIALING
    return subscription.plan.product == plan and running and subscription.period is not None


def _repriced(ctx: Context, subscription: Subscription, current: Catalog, *, dry: bool) -> Repriced | None:
    order = ChangeOrder(reprice=True, at=When.PERIOD_END)
    bought = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    before = recurring(subscription)
    try:
        target = target_of(subscription, order, bought=bought, current=current, now=ctx.now)
        after = recurring(replace(subscription, items=target.items))
        if is_same(subscription, target):
            return None
        if subscription.pending is not None:
            return Repriced(
                subscription=subscription,
                mrr_before=before,
                mrr_after=before,
                skipped="another change is to come",
            )
        if not dry:
            named = replace(ctx, request_key=f"reprice:{current.version}")
            subscription = change_subscription(named, subscription.id, order)
    except DomainError as refused:
        return Repriced(
            subscription=subscription, mrr_before=before, mrr_after=before, skipped=refused.message
        )
    return Repriced(subscription=subscription, mrr_before=before, mrr_after=after)
