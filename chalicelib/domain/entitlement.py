"""What a customer may use right now: derived from subscriptions and catalog at every read, never stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.domain.catalog import AddOn, Catalog, Plan
from chalicelib.domain.dunning import has_access
from chalicelib.domain.subscription import ENTITLED, ItemKind, Status, Subscription
from chalicelib.domain.usage import Usage, usage_period

Quotas = Mapping[str, int | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metered:
    """How much of a quota is used in the period up to `resets_at`. A `hard` limit asks the product to stop there."""

    meter: str
    used: int
    limit: int | None
    hard: bool
    resets_at: datetime

    @property
    def exceeded(self) -> bool:
        return self.limit is not None and self.used >= self.limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What one subscription gives. `until` is when it ends or must be paid again; None: no end in sight.

    `rank` is the plan's place in its catalog: of several the highest names the customer's plan.
    """

    subscription_id: str
    plan: str
    rank: int
    status: Status
    features: tuple[str, ...]
    quotas: Quotas
    seats: int | None
    until: datetime | None
    metered: tuple[Metered, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Entitlements:
    """All grants together. `status` is the best of the subscriptions', None when there is none.

    Features unite. Of two plans' quotas the larger counts (None: unlimited); an add-on's add to its plan's.
    """

    customer_id: str
    status: Status | None
    active: bool
    plan: str | None
    features: tuple[str, ...]
    quotas: Quotas
    seats: int
    until: datetime | None
    grants: tuple[Grant, ...] = field(default=())
    credits: Mapping[str, int] = field(default_factory=dict)
    """Prepaid credits that may be drawn now: currency → minor units."""


_BEST_FIRST = (
    Status.ACTIVE,
    Status.TRIALING,
    Status.PAST_DUE,
    Status.UNPAID,
    Status.PAUSED,
    Status.INCOMPLETE,
    Status.CANCELED,
    Status.INCOMPLETE_EXPIRED,
)


def entitlements(
    customer_id: str,
    subscriptions: Iterable[Subscription],
    catalog_of: Callable[[int], Catalog],
    now: datetime,
    usage: Sequence[Usage] = (),
    suspended: Sequence[str] = (),
) -> Entitlements:
    """Merge what each entitled subscription grants at `now`; `catalog_of` answers an immutable catalog version.

    A cancellation takes effect at its instant, however late the job that writes it down; a renewal or the end of
    a trial that is late takes nothing away. One in arrears grants until its grace is over; paying restores it at
    the same instant. What is `suspended` grants nothing.
    """
    owned = sorted(subscriptions, key=lambda subscription: _BEST_FIRST.index(subscription.status))
    grants = [
        _grant(subscription, catalog_of(subscription.catalog_version), now, usage)
        for subscription in owned
        if subscription.status in ENTITLED
        and not _is_over(subscription, now)
        and subscription.id not in suspended
    ]
    best = max(grants, key=lambda grant: grant.rank, default=None)
    ends = [grant.until for grant in grants]
    return Entitlements(
        customer_id=customer_id,
        status=owned[0].status if owned else None,
        active=bool(grants),
        plan=best.plan if best else None,
        features=tuple(sorted({feature for grant in grants for feature in grant.features})),
        quotas=_largest(grant.quotas for grant in grants),
        seats=sum(grant.seats or 0 for grant in grants),
        until=None if None in ends else max((end for end in ends if end), default=None),
        grants=tuple(grants),
    )


def quotas_of(subscription: Subscription, catalog: Catalog, now: datetime) -> Quotas:
    """The limits that a subscription grants by name: its plan's and, added, its add-ons'. None is unlimited."""
    return _added(_products(subscription, catalog, now))


def _is_over(subscription: Subscription, now: datetime) -> bool:
    canceled = subscription.cancellation is not None and subscription.cancellation.at <= now
    return canceled or not has_access(subscription, now)


def _grant(subscription: Subscription, catalog: Catalog, now: datetime, usage: Sequence[Usage]) -> Grant:
    plan = catalog.plan(subscription.plan.product)
    products = _products(subscription, catalog, now)
    quotas = _added(products)
    return Grant(
        subscription_id=subscription.id,
        plan=plan.id,
        rank=plan.rank,
        status=subscription.status,
        features=tuple(sorted({feature for product, _ in products for feature in product.features})),
        quotas=quotas,
        seats=subscription.plan.quantity if plan.per_seat else None,
        until=_until(subscription),
        metered=tuple(_metered(subscription, catalog, plan, quotas, usage, now)),
    )


def _metered(
    subscription: Subscription,
    catalog: Catalog,
    plan: Plan,
    quotas: Quotas,
    usage: Sequence[Usage],
    now: datetime,
) -> Iterator[Metered]:
    """The meters that have a quota, with what was used of it."""
    period = usage_period(subscription, now)
    own = {each.meter: each for each in usage if each.subscription_id == subscription.id}
    for meter in catalog.meters:
        if meter.id in quotas:
            used = own.get(meter.id)
            yield Metered(
                meter=meter.id,
                used=used.quantity(period, meter.aggregation) if used else 0,
                limit=quotas[meter.id],
                hard=meter.id in plan.hard_quotas,
                resets_at=period.end,
            )


def _products(subscription: Subscription, catalog: Catalog, now: datetime) -> list[tuple[Plan | AddOn, int]]:
    """Plan and add-ons that are in force, with how often each counts."""
    return [
        (catalog.plan(subscription.plan.product), 1),
        *(
            (catalog.add_on(item.product), item.quantity)
            for item in subscription.items
            if item.kind is ItemKind.ADD_ON and (item.ends_at is None or now < item.ends_at)
        ),
    ]


def _until(subscription: Subscription) -> datetime | None:
    if subscription.cancellation is not None:
        return subscription.cancellation.at
    if subscription.status is Status.TRIALING and subscription.trial is not None:
        return subscription.trial.ends_at
    if subscription.dunning is not None and subscription.dunning.grace_until is not None:
        return subscription.dunning.grace_until
    return subscription.period.end if subscription.period is not None else None


def _added(products: Iterable[tuple[Plan | AddOn, int]]) -> Quotas:
    total: dict[str, int | None] = {}
    for product, quantity in products:
        for name, limit in product.quotas.items():
            so_far = total.get(name, 0)
            total[name] = None if limit is None or so_far is None else so_far + limit * quantity
    return total


def _largest(quotas: Iterable[Quotas]) -> Quotas:
    merged: dict[str, int | None] = {}
    for each in quotas:
        for name, limit in each.items():
            known = merged.get(name, 0)
            merged[name] = None if limit is None or known is None else max(known, limit)
    return merged
