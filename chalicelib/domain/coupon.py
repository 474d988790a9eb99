"""What is stored of coupons: the offer, how often it was taken, and by whom. What one does is in `discount.py`.

Takings are counted on several records, each with a share of the limit: who redeem at once rarely meet on one,
and none of them can exceed its share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from chalicelib.domain import ids
from chalicelib.domain.discount import Coupon
from chalicelib.domain.errors import ValidationError

SHARDS = 8
OWNER = f"cus_{ids.token('coupons')}"
"""Nobody's customer id: the partition in which an environment's coupons lie."""
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedCoupon:
    """A coupon that may be redeemed until it is archived. Its code is the coupon's id, in whatever case."""

    id: str
    coupon: Coupon
    created_at: datetime
    archived_at: datetime | None = None
    request: str = ""
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CouponCount:
    """How often a coupon was redeemed, less what was given back: one of SHARDS records."""

    coupon: str
    shard: int
    redeemed: int = 0
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CouponUse:
    """A customer has redeemed a coupon, on this subscription; `returned_at`: and it was given back."""

    id: str
    customer_id: str
    coupon: str
    subscription_id: str
    shard: int
    at: datetime
    first_time: bool = False
    returned_at: datetime | None = None
    version: int = 0


def read_code(text: str, *, field: str = "coupon") -> str:
    """The code as it is compared: case and surrounding spaces do not matter. ValidationError for what is none."""
    code = text.strip()
    if not _CODE.fullmatch(code):
        raise ValidationError(
            "a code has up to 40 letters, digits, - and _", field=field, fix="check the spelling"
        )
    return code.upper()


def coupon_id(code: str) -> str:
    """Where the coupon with this code (see `read_code`) is kept."""
    return ids.child_id("cpn", OWNER, code)


def counts_owner(code: str) -> str:
    """Counts have a partition per coupon, so that one that is much asked for slows no other down."""
    return f"cus_{ids.token('coupon counts', code)}"


def use_id(customer_id: str, code: str) -> str:
    return ids.child_id("cru", customer_id, code)


def share_of(limit: int | None, shard: int) -> int | None:
    """How many of the limit this shard may give out; None without a limit."""
    if limit is None:
        return None
    whole, rest = divmod(limit, SHARDS)
    return whole + (1 if shard < rest else 0)


def first_shard(customer_id: str) -> int:
    """Where a customer begins to look for one that is left."""
    return int(ids.token("shard", customer_id, length=2), 36) % SHARDS
