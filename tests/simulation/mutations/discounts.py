"""What coupons get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from chalicelib.application import coupons
from chalicelib.domain import redeeming
from chalicelib.domain.discount import Redemption
from tests.simulation.mutations.registry import planted


@planted
def coupon_without_a_limit() -> Iterator[None]:
    """It is redeemed as often as somebody asks."""
    with (
        patch.object(redeeming, "share_of", lambda limit, shard: None),
        patch.object(redeeming, "require_redeemable", lambda coupon, **more: None),
    ):
        yield


@planted
def coupon_of_who_never_paid_is_lost() -> Iterator[None]:
    """What was redeemed for a first payment that does not come is not given back."""

    def returned(ctx: Any, decision: Any, subscription: Any, redemptions: Any) -> Any:
        return decision

    with patch.object(coupons, "_returned", returned):
        yield


@planted
def coupon_that_is_never_used_up() -> Iterator[None]:
    """It is spent on every period."""
    with patch.object(Redemption, "is_used_up", False):
        yield
