"""Coupons: never more than there are, had once by a customer, spent on no more periods than they have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from chalicelib.domain.coupon import CouponCount, CouponUse
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.subscription import Status, Subscription
from tests.simulation.shop import COUPONS
from tests.simulation.world import World


def coupons(world: World) -> Iterator[str]:
    yield from _counted(world)
    yield from _held(world)
    yield from _spent(world)


def _counted(world: World) -> Iterator[str]:
    had = Counter(use.coupon for use in world.records(CouponUse) if use.returned_at is None)
    counts: Counter[str] = Counter()
    for count in world.records(CouponCount):
        counts[count.coupon] += count.redeemed
    for coupon in COUPONS:
        if had[coupon.id] != counts[coupon.id]:
            yield f"{coupon.id} is counted {counts[coupon.id]} times and had by {had[coupon.id]}"
        if coupon.max_redemptions is not None and had[coupon.id] > coupon.max_redemptions:
            yield f"{coupon.id} is had by {had[coupon.id]} of at most {coupon.max_redemptions}"


def _held(world: World) -> Iterator[str]:
    """Whoever has it on a subscription has redeemed it there, and who never became a subscriber has not."""
    uses = {(use.customer_id, use.coupon): use for use in world.records(CouponUse)}
    for subscription in world.records(Subscription):
        pending = subscription.pending.adds if subscription.pending else ()
        for redemption in (*subscription.redemptions, *pending):
            use = uses.get((subscription.customer_id, redemption.coupon.id))
            if use is None or use.returned_at is not None or use.subscription_id != subscription.id:
                yield f"{subscription.id} has {redemption.coupon.id} that was not redeemed for it"
    gone = {each.id for each in world.records(Subscription) if each.status is Status.INCOMPLETE_EXPIRED}
    for use in uses.values():
        if use.returned_at is None and use.subscription_id in gone:
            yield f"{use.coupon} was not given back by {use.subscription_id}"


def _spent(world: World) -> Iterator[str]:
    """The periods that a coupon was spent on, by the invoices that stand."""
    spent: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for invoice in world.records(Invoice):
        if invoice.status is not InvoiceStatus.VOID and invoice.period is not None:
            for share in (share for line in invoice.lines for share in line.discounts):
                spent[invoice.subscription_id, share.coupon].add(invoice.period.start.isoformat())
    limits = {coupon.id: coupon.periods or (1 if coupon.duration == "once" else None) for coupon in COUPONS}
    for (subscription_id, code), periods in spent.items():
        limit = limits[code]
        if limit is not None and len(periods) > limit:
            yield f"{subscription_id} had {code} in {len(periods)} periods: {sorted(periods)}"
