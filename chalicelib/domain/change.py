"""Changing what a subscription holds: what was asked for, which way it goes, and when it takes effect.

A plan's rank decides the direction, then the interval, then the quantity, then what the add-ons cost. Up takes
effect now, down at the end of the period; either can be asked for otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog import AddOn, Catalog, Plan, SoldBy
from chalicelib.domain.customer import Member
from chalicelib.domain.errors import InvalidStateError, QuoteRequiredError, ValidationError
from chalicelib.domain.metrics import recurring
from chalicelib.domain.ordering import Order, order_items
from chalicelib.domain.subscription import Item, ItemKind, Status, Subscription


class When(StrEnum):
    NOW = "now"
    PERIOD_END = "period_end"


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    NONE = "none"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOrder:
    """What is to be different; None leaves it as it is. `add_ons`: all there are to be, as (id, quantity) pairs.

    `at`: an instant of the present period or later, None for what the direction says. Without `prorate` a change
    now is neither charged nor credited before the next period. `coupon`: a code to redeem with it.
    """

    plan: str | None = None
    interval: Interval | None = None
    quantity: int | None = None
    add_ons: tuple[tuple[str, int], ...] | None = None
    at: When | datetime | None = None
    prorate: bool = True
    billing_day: int | None = None
    """Day of the month on which periods begin, after the present one."""
    reprice: bool = False
    """What is kept is sold anew too, at the current catalog's prices."""
    coupon: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a change leads to: the items as they will be, the catalog that sells them, and which way that goes."""

    items: tuple[Item, ...]
    interval: Interval | None
    catalog_version: int
    direction: Direction

    @property
    def plan(self) -> Item:
        return self.items[0]


def target_of(
    subscription: Subscription, order: ChangeOrder, *, bought: Catalog, current: Catalog, now: datetime
) -> Target:
    """The items after the change. What is not touched keeps the price at which it was bought; what is new is sold
    by the `current` catalog.

    ValidationError names the field of the order that is wrong, QuoteRequiredError a plan that is sold by quote.
    """
    plan = _plan(subscription, order, bought=bought, current=current)
    moved = order.plan is not None and order.plan != subscription.plan.product
    interval = None if plan.is_free else order.interval or subscription.interval or Interval.of("month")
    longer = interval != subscription.interval
    unsold = longer and not _is_sold(bought, plan, interval, subscription)
    catalog = current if moved or order.reprice or unsold else bought
    whole = _as_order(subscription, order, plan, interval)
    items = order_items(whole, catalog, plan, now)
    if not order.reprice:
        items = tuple(_kept(item, subscription) for item in items)
    version = current.version if catalog is current else subscription.catalog_version
    return Target(
        items=items,
        interval=interval,
        catalog_version=version,
        direction=_direction(subscription, items, interval, plan, bought),
    )


def takes_effect(
    subscription: Subscription, order: ChangeOrder, target: Target, now: datetime
) -> datetime | None:
    """When: None for now. A change to come lies at the end of the period, or at an instant before it.

    A trial's end is the end of its period: what changes within it is not paid for, so it changes now.
    """
    period = subscription.period
    if order.billing_day is not None:
        _require_movable(subscription, order, target)
        assert period is not None
        return period.end
    if period is None or subscription.status is Status.TRIALING:
        if isinstance(order.at, datetime) or order.at is When.PERIOD_END:
            raise ValidationError("there is no period that could end first", field="at", fix="leave it out")
        return None
    if isinstance(order.at, datetime):
        if not now < order.at <= period.end:
            raise ValidationError(
                f"a change is planned for a time up to {period.end.isoformat()}",
                field="at",
                fix="send such a time",
            )
        return order.at
    if period.end <= now:  # its renewal waits for late usage: the change comes with that
        return period.end
    later = order.at is When.PERIOD_END or (order.at is None and target.direction is Direction.DOWN)
    return period.end if later else None


def require_changeable(subscription: Subscription, order: ChangeOrder, target: Target) -> None:
    """InvalidStateError unless the subscription runs, is not leaving or in arrears, no other change waits for its
    payment, and something would change.
    """
    if subscription.status not in (Status.ACTIVE, Status.TRIALING):
        raise InvalidStateError(
            f"a subscription that is {subscription.status} is not changed",
            fix="pay what is open first" if subscription.dunning is not None else None,
            subscription=subscription.id,
        )
    if subscription.cancellation is not None:
        raise InvalidStateError(
            "it is cancelled to the end of its period",
            fix="undo the cancellation first",
            subscription=subscription.id,
        )
    if subscription.dunning is not None:
        raise InvalidStateError("a payment is open", fix="pay it first", subscription=subscription.id)
    if subscription.pending is not None and subscription.pending.invoice_id is not None:
        raise InvalidStateError(
            "another change waits for its payment",
            fix="let it be confirmed, or take it back first",
            subscription=subscription.id,
            invoice=subscription.pending.invoice_id,
        )
    if order.coupon is None and order.billing_day is None and is_same(subscription, target):
        raise InvalidStateError("this is what the subscription has already", subscription=subscription.id)


def _require_movable(subscription: Subscription, order: ChangeOrder, target: Target) -> None:
    """ValidationError unless periods are of months, stay so long, and the day moves with their end."""
    period, interval = subscription.period, subscription.interval
    refusals = (
        (period is None or subscription.status is Status.TRIALING, "nothing is billed yet"),
        (interval is None or interval.months is None, "its periods are not of months"),
        (target.interval != interval, "another interval begins on its own day"),
        (order.at not in (None, When.PERIOD_END), "it moves at the end of the period"),
    )
    for refused, why in refusals:
        if refused:
            raise ValidationError(f"the billing day stays: {why}", field="billing_day", fix="leave it out")


def require_seats(target: Target, members: Sequence[Member], *, per_seat: bool) -> None:
    """InvalidStateError where more members have seats than would be left; it says who."""
    seated = sorted(member.email for member in members if member.seat)
    if per_seat and len(seated) > target.plan.quantity:
        raise InvalidStateError(
            f"{len(seated)} seats are assigned and {target.plan.quantity} would be left: {', '.join(seated)}",
            field="quantity",
            fix=f"free {len(seated) - target.plan.quantity} first, or keep {len(seated)}",
        )


def is_large(subscription: Subscription, target: Target, catalog: Catalog) -> bool:
    """Whether recurring revenue rises by as much as sales want to hear of."""
    least = catalog.large_upgrades.get(subscription.currency)
    rise = recurring(replace(subscription, items=target.items)) - recurring(subscription)
    return least is not None and rise >= least


def is_same(subscription: Subscription, target: Target) -> bool:
    """Whether nothing would be different."""
    return target.interval == subscription.interval and _bare(target.items) == _bare(subscription.items)


def _bare(items: Sequence[Item]) -> list[Item]:
    return [replace(item, starts_at=None) for item in items]


def _plan(subscription: Subscription, order: ChangeOrder, *, bought: Catalog, current: Catalog) -> Plan:
    if order.plan is None or order.plan == subscription.plan.product:
        return (current if order.reprice else bought).plan(subscription.plan.product)
    plan = current.plan(order.plan)
    if plan.sold_by is SoldBy.QUOTE_ONLY:
        raise QuoteRequiredError(
            f"{plan.name} is sold by quote", field="plan", fix="contact sales for an offer", plan=plan.id
        )
    return plan


def _as_order(subscription: Subscription, order: ChangeOrder, plan: Plan, interval: Interval | None) -> Order:
    """The whole as an order of today. Seats go along to a plan that has seats; add-ons to one that is not free."""
    quantity = order.quantity
    if quantity is None:
        quantity = subscription.plan.quantity if plan.per_seat else 1
    add_ons = order.add_ons
    if add_ons is None:
        held = [item for item in subscription.items if item.kind is ItemKind.ADD_ON]
        add_ons = () if plan.is_free else tuple((item.product, item.quantity) for item in held)
    return Order(
        plan=plan.id,
        currency=subscription.currency,
        interval=interval,
        quantity=quantity,
        add_ons=add_ons,
        channel=subscription.channel,
    )


def _kept(item: Item, subscription: Subscription) -> Item:
    """The item at the price at which it was bought, where it is neither another product nor another interval."""
    old = next((each for each in subscription.items if each.id == item.id), None)
    if old is None or old.product != item.product or old.price is None or item.price is None:
        return item
    if item.price.interval != old.price.interval:
        return item
    item = replace(item, price=old.price, name=old.name, source=old.source)
    return replace(item, starts_at=old.starts_at) if item.quantity == old.quantity else item


def _is_sold(catalog: Catalog, plan: Plan, interval: Interval | None, subscription: Subscription) -> bool:
    """Whether everything held has a price for this interval in the catalog that it was bought from."""
    products: list[Plan | AddOn] = [
        plan,
        *(catalog.add_on(i.product) for i in subscription.items if i.kind is ItemKind.ADD_ON),
    ]
    return all(
        any(
            price.interval == interval and price.currency == subscription.currency for price in product.prices
        )
        for product in products
    )


def _direction(
    subscription: Subscription,
    items: tuple[Item, ...],
    interval: Interval | None,
    plan: Plan,
    bought: Catalog,
) -> Direction:
    if items[0].product != subscription.plan.product:
        old = bought.plan(subscription.plan.product)
        return Direction.UP if plan.rank > old.rank else Direction.DOWN
    if interval != subscription.interval and interval is not None and subscription.interval is not None:
        if interval.is_longer_than(subscription.interval):
            return Direction.UP
        if subscription.interval.is_longer_than(interval):
            return Direction.DOWN
    if items[0].quantity != subscription.plan.quantity:
        return Direction.UP if items[0].quantity > subscription.plan.quantity else Direction.DOWN
    bare = replace(subscription, redemptions=())
    before, after = recurring(bare), recurring(replace(bare, items=items))
    if after == before:
        return Direction.NONE
    return Direction.UP if after > before else Direction.DOWN
