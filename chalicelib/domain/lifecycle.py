"""The life of a subscription: started, activated, cancelled, undone, ended, reactivated. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.domain.calendar import (
    Interval,
    Period,
    add_days,
    boundary,
    calendar_anchor,
    local_day,
    next_day_start,
)
from chalicelib.domain.catalog import AddOn, Catalog, Plan, SoldBy, TrialTerms, price_of
from chalicelib.domain.customer import Customer, Terms
from chalicelib.domain.errors import InvalidStateError, QuoteRequiredError, ValidationError
from chalicelib.domain.journal import Fact
from chalicelib.domain.schedule import REMINDER_DAYS, reminder_at
from chalicelib.domain.subscription import (
    Billing,
    Cancellation,
    Item,
    ItemKind,
    Status,
    Subscription,
    Trial,
    require_transition,
)

RELEASE_AFTER = timedelta(hours=23)
"""How long an unpaid first invoice may gate its subscription before it is given up."""
WIN_BACK_DAYS = 7
"""How many days after the end of a paid plan, or of its trial, the customer is asked back."""
MOST_TRIAL_DAYS = 730
"""How long a trial may become by extensions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What somebody wants to subscribe to, by names of the catalog. `add_ons`: (id, quantity) pairs.

    `trial_days`: None takes the plan's terms, 0 declines the trial.
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
    items = _items(order, catalog, plan, now)
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


def with_first_period(subscription: Subscription) -> Subscription:
    """The subscription in its first paid period: a stub from its creation where it bills on the calendar."""
    assert subscription.interval is not None
    full = full_period(subscription, 0)
    return replace(subscription, cycle=0, period=Period(max(full.start, subscription.created_at), full.end))


def full_period(subscription: Subscription, cycle: int) -> Period:
    """[boundary k, boundary k+1) counted from the anchor."""
    assert subscription.interval is not None
    anchor, zone, interval = subscription.anchor, subscription.zone, subscription.interval
    return Period(boundary(anchor, zone, interval, cycle), boundary(anchor, zone, interval, cycle + 1))


def activated(subscription: Subscription, now: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription in force: its first payment came, or none was needed."""
    require_transition(subscription.id, subscription.status, Status.ACTIVE)
    started = subscription.started_at or now
    active = replace(subscription, status=Status.ACTIVE, started_at=started, release_at=None)
    return active, (Fact("subscription.activated", active.id, subscription_data(active)),)


def trialing(
    subscription: Subscription, terms: TrialTerms, now: datetime
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The subscription in its trial of `terms.days` from `now`, to the same wall time."""
    require_transition(subscription.id, subscription.status, Status.TRIALING)
    trial = Trial(
        started_at=now,
        ends_at=add_days(now, terms.days, subscription.zone),
        on_end=terms.on_end,
        fall_back_plan=terms.fall_back_plan,
    )
    running = replace(
        subscription, status=Status.TRIALING, trial=trial, started_at=now, release_at=None, period=None
    )
    data = {**subscription_data(running), "trial_end": trial.ends_at.isoformat()}
    return running, (Fact("subscription.trial_started", running.id, data),)


def trial_extended(
    subscription: Subscription, days: int, now: datetime, request: str
) -> tuple[Subscription, tuple[Fact, ...]]:
    """The trial's end so many days later, at the same wall time; the reminders are those of the new end, without
    the ones whose time is past. The same `request` moves it once. InvalidStateError outside of a trial.
    """
    trial = _require_trial(subscription)
    if request in trial.extensions:
        return subscription, ()
    ends_at = add_days(trial.ends_at, days, subscription.zone)
    if ends_at > add_days(trial.started_at, MOST_TRIAL_DAYS, subscription.zone):
        raise ValidationError(
            f"a trial has at most {MOST_TRIAL_DAYS} days in all", field="days", fix="extend it by fewer"
        )
    longer = replace(trial, ends_at=ends_at, extensions=(*trial.extensions, request))
    past = tuple(day for day in REMINDER_DAYS if reminder_at(longer, day, subscription.zone) <= now)
    extended = replace(subscription, trial=replace(longer, reminded=past))
    data = {
        **subscription_data(extended),
        "days": days,
        "trial_end": ends_at.isoformat(),
        "previous_trial_end": trial.ends_at.isoformat(),
    }
    return extended, (Fact("subscription.trial_extended", extended.id, data),)


def trial_cut_short(subscription: Subscription, now: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """The trial with its end now, on request. InvalidStateError outside of a trial."""
    trial = _require_trial(subscription)
    cut = replace(subscription, trial=replace(trial, ends_at=min(now, trial.ends_at)))
    data = {**subscription_data(cut), "previous_trial_end": trial.ends_at.isoformat()}
    return cut, (Fact("subscription.trial_ended_early", cut.id, data),)


def scheduled_to_cancel(
    subscription: Subscription, now: datetime, reason: str
) -> tuple[Subscription, tuple[Fact, ...]]:
    """Cancelled at the end of what is paid for (or of the trial); at once where there is no such end."""
    _require_running(subscription)
    if subscription.status is Status.TRIALING and subscription.trial is not None:
        at = subscription.trial.ends_at
    elif subscription.period is not None and subscription.status is not Status.UNPAID:
        at = subscription.period.end
    else:
        return canceled(subscription, now, reason)
    cancellation = Cancellation(requested_at=now, at=at, reason=reason)
    data = {**subscription_data(subscription), "at": at.isoformat(), "reason": reason}
    fact = Fact("subscription.cancellation_scheduled", subscription.id, data)
    return replace(subscription, cancellation=cancellation), (fact,)


def cancellation_undone(subscription: Subscription) -> tuple[Subscription, tuple[Fact, ...]]:
    """A cancellation that has not taken effect, taken back."""
    if subscription.cancellation is None or not subscription.is_running:
        raise InvalidStateError("there is no pending cancellation", subscription=subscription.id)
    kept = replace(subscription, cancellation=None)
    return kept, (Fact("subscription.cancellation_undone", subscription.id, subscription_data(kept)),)


def canceled(subscription: Subscription, now: datetime, reason: str) -> tuple[Subscription, tuple[Fact, ...]]:
    """Ended now: add-ons with the plan, dunning stops, nothing renews."""
    _require_running(subscription)
    require_transition(subscription.id, subscription.status, Status.CANCELED)
    asked = subscription.cancellation
    ended = replace(
        subscription,
        status=Status.CANCELED,
        cancellation=Cancellation(requested_at=asked.requested_at if asked else now, at=now, reason=reason),
        ended_at=now,
        pending=None,
        dunning=None,
    )
    ended = asked_back(ended, now)
    data = {**subscription_data(ended), "reason": reason}
    return ended, (Fact("subscription.canceled", ended.id, data),)


def asked_back(ended: Subscription, now: datetime) -> Subscription:
    """The ended subscription with the time of its win-back letter, where it was one that is paid for."""
    if ended.plan.price is None:
        return ended
    return replace(ended, win_back_at=add_days(now, WIN_BACK_DAYS, ended.zone))


def expired(subscription: Subscription, now: datetime) -> tuple[Subscription, tuple[Fact, ...]]:
    """An incomplete subscription given up; one that had run before is canceled again."""
    status = Status.CANCELED if subscription.started_at else Status.INCOMPLETE_EXPIRED
    require_transition(subscription.id, subscription.status, status)
    gone = replace(subscription, status=status, ended_at=now, release_at=None, period=None)
    return gone, (Fact("subscription.expired", gone.id, subscription_data(gone)),)


def reactivated(subscription: Subscription, now: datetime) -> Subscription:
    """The ended subscription awaiting its first payment anew, re-anchored.

    A day that was paid for is never billed twice: ended today, the new time begins tomorrow.
    """
    if subscription.status is not Status.CANCELED:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} cannot be reactivated",
            subscription=subscription.id,
        )
    same_day = subscription.ended_at is not None and local_day(
        subscription.ended_at, subscription.zone
    ) == local_day(now, subscription.zone)
    start = next_day_start(now, subscription.zone) if same_day and subscription.had_revenue else now
    return replace(
        subscription,
        status=Status.INCOMPLETE,
        anchor=start,
        cycle=0,
        period=None,
        trial=None,
        cancellation=None,
        ended_at=None,
        win_back_at=None,
        release_at=now + RELEASE_AFTER,
        billing=Billing.ANNIVERSARY,
    )


def subscription_data(subscription: Subscription) -> dict[str, object]:
    """What events say of a subscription."""
    data: dict[str, object] = {
        "subscription": subscription.id,
        "status": str(subscription.status),
        "plan": subscription.plan.product,
        "plan_name": subscription.plan.name,
        "quantity": subscription.plan.quantity,
        "currency": subscription.currency,
    }
    if subscription.period is not None:
        data["period_end"] = subscription.period.end.isoformat()
    return data


def _require_trial(subscription: Subscription) -> Trial:
    """The trial that may be changed: it runs, and nobody has asked for its end."""
    if subscription.status is not Status.TRIALING or subscription.trial is None:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} has no trial to change",
            subscription=subscription.id,
        )
    if subscription.cancellation is not None:
        raise InvalidStateError(
            "it is cancelled to the end of its trial",
            fix="undo the cancellation first",
            subscription=subscription.id,
        )
    return subscription.trial


def _require_running(subscription: Subscription) -> None:
    if not subscription.is_running:
        raise InvalidStateError(
            f"a subscription that is {subscription.status} cannot be cancelled", subscription=subscription.id
        )


def _items(order: Order, catalog: Catalog, plan: Plan, now: datetime) -> tuple[Item, ...]:
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
    for index, (name, quantity) in enumerate(order.add_ons):
        add_on = catalog.add_on(name, path=f"add_ons[{index}].id")
        if add_on.plans and plan.id not in add_on.plans:
            raise ValidationError(
                f"{add_on.name} is not sold with {plan.name}",
                field=f"add_ons[{index}].id",
                fix="leave it out",
            )
        items.append(_item(add_on.id, ItemKind.ADD_ON, add_on, quantity, interval, order, now))
    return tuple(items)


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
