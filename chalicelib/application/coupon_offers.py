"""Coupons as they are offered: made, listed, and archived."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import Page
from chalicelib.application.records import child_key
from chalicelib.domain import ids
from chalicelib.domain.coupon import CouponCount, OfferedCoupon, counts_owner, coupon_id, read_code
from chalicelib.domain.discount import Coupon
from chalicelib.domain.errors import AlreadyExistsError, NotFoundError, ValidationError


def create_coupon(ctx: Context, coupon: Coupon) -> OfferedCoupon:
    """Offer a coupon. ValidationError for a plan that is not in the catalog, AlreadyExistsError for a code that is
    taken. Safe to run twice: the same request finds what it made.
    """
    for index, plan in enumerate(coupon.plans):
        if all(each.id != plan for each in current_catalog(ctx).plans):
            raise ValidationError(f"there is no plan {plan!r}", field=f"plans[{index}]")
    request = ids.token("coupon", ctx.request_key, ctx.request_print)
    offered = OfferedCoupon(
        id=coupon_id(read_code(coupon.id, field="id")), coupon=coupon, created_at=ctx.now, request=request
    )

    def decide() -> OfferedCoupon:
        existing = ctx.store.get(child_key(OfferedCoupon, ctx.env, offered.id))
        if existing is not None and existing.request != request:
            raise AlreadyExistsError(f"there is a coupon {coupon.id}", field="id", fix="choose another code")
        if existing is None:
            ctx.store.commit(ctx.env, offered)
        return existing or replace(offered, version=1)

    return deciding(decide)


def archive_coupon(ctx: Context, code: str) -> OfferedCoupon:
    """Nobody redeems it any more; who has it keeps it. Safe to run twice."""

    def decide() -> OfferedCoupon:
        offered = get_coupon(ctx, code)
        if offered.archived_at is not None:
            return offered
        archived = replace(offered, archived_at=ctx.now)
        ctx.store.commit(ctx.env, archived)
        return replace(archived, version=archived.version + 1)

    return deciding(decide)


def get_coupon(ctx: Context, code: str) -> OfferedCoupon:
    """By its code, in whatever case; NotFoundError."""
    offered = find(ctx, code)
    if offered is None:
        raise NotFoundError("no such coupon", id=code)
    return offered


def list_coupons(ctx: Context, *, limit: int, cursor: str | None = None) -> Page:
    """Newest first."""
    return ctx.store.listing(OfferedCoupon, ctx.env, limit=limit, cursor=cursor)


def times_redeemed(ctx: Context, offered: OfferedCoupon) -> int:
    """Less what was given back."""
    return sum(count.redeemed for count in counts_of(ctx, read_code(offered.coupon.id)))


def find(ctx: Context, code: str) -> OfferedCoupon | None:
    """By its code; None also for what cannot be one."""
    try:
        wanted = read_code(code)
    except ValidationError:
        return None
    return ctx.store.get(child_key(OfferedCoupon, ctx.env, coupon_id(wanted)))


def counts_of(ctx: Context, code: str) -> list[CouponCount]:
    """Of the coupon with this code (see `read_code`): those that are above zero, or were."""
    return ctx.store.children(CouponCount, ctx.env, counts_owner(code))
