"""What somebody wants to subscribe to, and the items, trial and draft that this makes under a catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.calendar import Interval, calendar_anchor
from chalicelib.domain.catalog import (
    AddOn,
    Catalog,
    Plan,
    Price,
    SoldBy,
    TrialTerms,
    metered_prices_of,
    price_of,
)
from chalicelib.domain.customer import Customer, Terms
from chalicelib.domain.errors import QuoteRequiredError, ValidationError
from chalicelib.domain.lifecycle import RELEASE_AFTER
from chalicelib.domain.money import parse_unit_amount
from chalicelib.domain.pricing import PricingModel
from chalicelib.domain.subscription import Billing, Item, ItemKind, Phase, Status, Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What somebody wants to subscribe to, by names of the catalog. `add_ons`: (id, quantity) pairs.

    `trial_days`: None takes the plan's terms, 0 declines the trial. `coupon`: the code of one to redeem.
    """

    plan: str
    currency: str
    interval: Interval | None = None
    quantity: int = 1
    add_ons: tuple[tuple[str, int], ...] = ()
    trial_days: int | None = None
    terms: Terms | None = None
    billing: Billing = Billing.ANNIVERSARY
    channel: str = "self_serve"
    unit_amounts: tuple[tuple[str, str], ...] = ()
    """(plan or add-on, decimal string of minor units): what this customer pays instead of the catalog's price."""
    ramp: tuple[tuple[int, str], ...] = ()
    """(periods, what the plan costs in them): so many periods each, in order; after them the usual price."""
    coupon: str | None = None


def require_self_serve(plan: Plan, order: Order) -> None:
    """QuoteRequiredError unless the plan may be bought without sales."""
    if plan.sold_by is SoldBy.QUOTE_ONLY and order.channel == "self_serve":
        raise QuoteRequiredError(
            f"{plan.name} is sold by quote", field="plan", fix="contact sales for an offer", plan=plan.id
        )


def draft(
    order: Order, catalog: Catalog, customer: Customer, subscription_id: str, now: datetime
) -> Subscription:
    """The subscription that this order makes, not yet started: INCOMPLETE, anchored at `now`.

    Items hold copies of the catalog's prices. ValidationError names the field of the order that is wrong.
    """
    plan = catalog.plan(order.plan)
    require_self_serve(plan, order)
    usual = order_items(order, catalog, plan, now)
    items, phases = ramped(usual, order.ramp)
    interval = items[0].price.interval if items[0].price else None
    anchor = now
    if order.billing is Billing.CALENDAR and interval is not None:
        anchor = calendar_anchor(now, customer.zone, interval)
    return Subscription(
        id=subscription_id,
        customer_id=customer.id,
        payer_id=customer.id,
        status=Status.INCOMPLETE,
        currency=order.currency,
        catalog_version=catalog.version,
        items=items,
        phases=phases,
        zone=customer.zone,
        anchor=anchor,
        created_at=now,
        interval=interval,
        billing=order.billing,
        terms=order.terms or customer.terms,
        channel=order.channel,
        release_at=now + RELEASE_AFTER,
    )


def trial_terms(order: Order, plan: Plan) -> TrialTerms | None:
    """The trial that this order starts with: the plan's, with the days asked for; None without one."""
    if plan.trial is None or order.trial_days == 0:
        if order.trial_days:
            raise ValidationError(f"{plan.name} has no trial", field="trial_days", fix="leave it out")
        return None
    days = plan.trial.days if order.trial_days is None else order.trial_days
    if not 1 <= days <= plan.trial.days:
        raise ValidationError(
            f"the trial of {plan.name} has at most {plan.trial.days} days",
            field="trial_days",
            fix="ask for fewer",
        )
    return replace(plan.trial, days=days)


def ramped(
    usual: tuple[Item, ...], ramp: Sequence[tuple[int, str]]
) -> tuple[tuple[Item, ...], tuple[Phase, ...]]:
    """The items of the first stretch, and the phases that follow it; the last has the usual price."""
    cycle, starts = 0, []
    for periods, unit_amount in ramp:
        starts.append((cycle, (_priced(usual[0], unit_amount, "ramp"), *usual[1:])))
        cycle += periods
    if not starts:
        return usual, ()
    later = [Phase(from_cycle=start, items=items) for start, items in starts[1:]]
    return starts[0][1], (*later, Phase(from_cycle=cycle, items=usual))


def _priced(item: Item, unit_amount: str, field: str) -> Item:
    """The item at another price. ValidationError where its price is not a single amount."""
    if item.price is None or item.price.rate.model not in (PricingModel.FLAT, PricingModel.PER_UNIT):
        raise ValidationError(
            f"{item.name} has no single price that could be another", field=field, fix="leave it out"
        )
    parse_unit_amount(unit_amount)
    rate = replace(item.price.rate, unit_amount=unit_amount)
    return replace(item, source="negotiated", price=replace(item.price, rate=rate))


def order_items(order: Order, catalog: Catalog, plan: Plan, now: datetime) -> tuple[Item, ...]:
    """The items of an order of this plan, with copies of the catalog's prices: the plan's first.

    ValidationError names the field of the order that is wrong.
    """
    if order.quantity < 1:
        raise ValidationError("at least one is needed", field="quantity", fix="send 1 or more")
    if order.quantity > 1 and not plan.per_seat:
        raise ValidationError(f"{plan.name} is not sold per seat", field="quantity", fix="leave quantity out")
    if plan.is_free:
        if order.add_ons:
            raise ValidationError(
                f"{plan.name} is free and takes no add-ons", field="add_ons", fix="choose a plan"
            )
        return (_item("plan", ItemKind.PLAN, plan, order.quantity, None, order, now),)
    interval = order.interval or Interval.of("month")
    items = [_item("plan", ItemKind.PLAN, plan, order.quantity, interval, order, now)]
    sold: list[Plan | AddOn] = [plan]
    for index, (name, quantity) in enumerate(order.add_ons):
        add_on = catalog.add_on(name, path=f"add_ons[{index}].id")
        if add_on.plans and plan.id not in add_on.plans:
            raise ValidationError(
                f"{add_on.name} is not sold with {plan.name}",
                field=f"add_ons[{index}].id",
                fix="leave it out",
            )
        items.append(_item(add_on.id, ItemKind.ADD_ON, add_on, quantity, interval, order, now))
        sold.append(add_on)
    own = dict(order.unit_amounts)
    for name in own.keys() - {item.product for item in items}:
        raise ValidationError(f"{name!r} is not part of the order", field="unit_amounts", fix="leave it out")
    items = [
        _priced(item, own[item.product], "unit_amounts") if item.product in own else item for item in items
    ]
    meters = {meter.id: meter.name for meter in catalog.meters}
    return (
        *items,
        *(
            _metered_item(product, price, meters, now)
            for product in sold
            for price in metered_prices_of(product, interval, order.currency)
        ),
    )


def _metered_item(product: Plan | AddOn, price: Price, meters: Mapping[str, str], now: datetime) -> Item:
    """What the product's usage on one meter costs, named as people read the meter."""
    assert price.meter is not None
    return Item(
        id=f"{product.id}.{price.meter}",
        kind=ItemKind.METERED,
        product=product.id,
        name=meters.get(price.meter, price.meter),
        quantity=0,
        price=price,
        starts_at=now,
    )


def _item(
    id_: str,
    kind: ItemKind,
    product: Plan | AddOn,
    quantity: int,
    interval: Interval | None,
    order: Order,
    now: datetime,
) -> Item:
    price = price_of(product, interval, order.currency) if interval is not None else None
    return Item(
        id=id_,
        kind=kind,
        product=product.id,
        name=product.name,
        quantity=quantity,
        price=price,
        starts_at=now,
    )
