"""Coupons over HTTP: offered, archived, and on subscriptions."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import coupon_offers, coupons
from chalicelib.domain import ids
from chalicelib.domain.calendar import require_utc
from chalicelib.domain.coupon import OfferedCoupon
from chalicelib.domain.discount import Coupon
from chalicelib.domain.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidStateError,
    NotFoundError,
    ValidationError,
)
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.coupons import CouponPage, CouponQuery, CouponRequest, CouponView
from chalicelib.entrypoints.http.schemas.subscriptions import ApplyCouponRequest, SubscriptionView
from chalicelib.entrypoints.http.subscriptions import subscription_view

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/coupons",
    body=CouponRequest,
    answer=CouponView,
    status=201,
    scope=Scope.WRITE,
    tag="Coupons",
    summary="Offer a coupon; its terms stay as they are",
    errors=(ValidationError, NotFoundError, AlreadyExistsError, ConflictError),
)
def create_coupon(call: Call[CouponRequest]) -> CouponView:
    return _view(coupon_offers.create_coupon(call.ctx, _coupon(call)), redeemed=0)


@endpoint(
    bp,
    "GET",
    "/v1/coupons",
    query=CouponQuery,
    answer=CouponPage,
    scope=Scope.READ,
    tag="Coupons",
    summary="List coupons, newest first",
    errors=(ValidationError,),
)
def list_coupons(call: Call[None]) -> CouponPage:
    page = coupon_offers.list_coupons(call.ctx, limit=call.query.limit, cursor=call.query.cursor)
    return CouponPage(data=[_view(each) for each in page.records], next_cursor=page.cursor)


@endpoint(
    bp,
    "GET",
    "/v1/coupons/{id}",
    answer=CouponView,
    scope=Scope.READ,
    tag="Coupons",
    summary="Get a coupon by its code, with how often it was redeemed",
    errors=(NotFoundError,),
)
def get_coupon(call: Call[None]) -> CouponView:
    offered = coupon_offers.get_coupon(call.ctx, call.path["id"])
    return _view(offered, redeemed=coupon_offers.times_redeemed(call.ctx, offered))


@endpoint(
    bp,
    "POST",
    "/v1/coupons/{id}/archive",
    answer=CouponView,
    scope=Scope.WRITE,
    tag="Coupons",
    summary="Let nobody redeem it any more; who has it keeps it",
    errors=(NotFoundError, ConflictError),
)
def archive_coupon(call: Call[None]) -> CouponView:
    offered = coupon_offers.archive_coupon(call.ctx, call.path["id"])
    return _view(offered, redeemed=coupon_offers.times_redeemed(call.ctx, offered))


@endpoint(
    bp,
    "POST",
    "/v1/subscriptions/{id}/coupons",
    body=ApplyCouponRequest,
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Coupons",
    summary="Redeem one more coupon, from the next invoice on",
    errors=(NotFoundError, ValidationError, InvalidStateError, ConflictError),
)
def apply_coupon(call: Call[ApplyCouponRequest]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    return subscription_view(coupons.apply_coupon(call.ctx, subscription_id, call.body.coupon))


@endpoint(
    bp,
    "DELETE",
    "/v1/subscriptions/{id}/coupons/{coupon}",
    answer=SubscriptionView,
    scope=Scope.WRITE,
    tag="Coupons",
    summary="Take a coupon off: the next invoice is without it",
    errors=(NotFoundError, ValidationError, InvalidStateError, ConflictError),
)
def remove_coupon(call: Call[None]) -> SubscriptionView:
    subscription_id = ids.require("sub", call.path["id"])
    return subscription_view(coupons.remove_coupon(call.ctx, subscription_id, call.path["coupon"]))


def _coupon(call: Call[CouponRequest]) -> Coupon:
    """The terms; without a code one that follows from the request, so that the same request makes the same."""
    body = call.body
    return Coupon(
        id=body.id.strip() if body.id else ids.token("code", call.ctx.request_key, length=10).upper(),
        name=body.name,
        percent=body.percent,
        amount=body.amount,
        currency=body.currency,
        duration=body.duration,
        periods=body.periods,
        valid_from=require_utc(body.valid_from) if body.valid_from else None,
        valid_until=require_utc(body.valid_until) if body.valid_until else None,
        max_redemptions=body.max_redemptions,
        plans=tuple(body.plans),
        first_time=body.first_time,
    )


def _view(offered: OfferedCoupon, redeemed: int | None = None) -> CouponView:
    coupon = offered.coupon
    return CouponView(
        id=coupon.id,
        name=coupon.name,
        percent=coupon.percent,
        amount=coupon.amount,
        currency=coupon.currency,
        duration=coupon.duration,
        periods=coupon.periods,
        valid_from=coupon.valid_from,
        valid_until=coupon.valid_until,
        max_redemptions=coupon.max_redemptions,
        redeemed=redeemed,
        plans=list(coupon.plans),
        first_time=coupon.first_time,
        created_at=offered.created_at,
        archived_at=offered.archived_at,
    )
