"""What customers and merchants ask for: each answers what to call in a context, or None when there is nothing to
ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.application import (
    changes,
    checkout,
    checkout_opening,
    coupons,
    customers,
    erasure,
    payment_methods,
    signup,
    signup_completion,
    subscriptions,
    trial_changes,
)
from chalicelib.application.context import Context
from chalicelib.application.subscription_records import default_currency
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.checkout import CheckoutSession, SignupSession
from chalicelib.domain.ordering import Order
from chalicelib.domain.subscription import Billing, Status, Subscription
from tests.simulation.shop import interval_of, place_of

if TYPE_CHECKING:
    from tests.simulation.world import World
from tests.simulation.paying import confirm, confirm_return, grace, pay, record, refund, retry, write_off
from tests.simulation.people import named, of, pick

SHOP = "https://shop.example/back"


def customer(
    world: World, *, zone: str, currency: str, card: str | None, net_days: int | None, segment: str = ""
) -> Any:
    number = len(world.customers)
    email = f"ada{number}@example.com"  # a trial is had once per mailbox
    profile: dict[str, Any] = {"email": email, "time_zone": zone, "currency": currency, "segment": segment}
    profile |= place_of(currency, number)
    if net_days is not None:
        profile["terms"] = {"method": "send_invoice", "net_days": net_days}

    def act(ctx: Context) -> None:
        made = customers.create_customer(ctx, profile)
        if made.id not in world.customers:
            world.customers.append(made.id)
        if card is not None:
            payment_methods.attach(ctx, made.id, named(card, number))

    return act


def subscribe(world: World, *, who: int, **order: Any) -> Any:
    if not world.customers:
        return None
    owner = of(world, who)
    return lambda ctx: subscriptions.create_subscription(ctx, owner, _order(ctx, owner, order))


def open_page(world: World, *, who: int, **order: Any) -> Any:
    if not world.customers:
        return None
    owner = of(world, who)

    def act(ctx: Context) -> object:
        purchase = checkout_opening.Purchase(
            order=_order(ctx, owner, order), success_url=SHOP, cancel_url=SHOP, customer_id=owner
        )
        return checkout_opening.open_checkout(ctx, purchase)

    return act


def sign_up(
    world: World, *, zone: str, currency: str, mailbox: int = 0, trial_days: int | None = None, **cart: Any
) -> Any:
    changes = {
        **cart, "time_zone": zone, "currency": currency, "email": f"grace{mailbox or ''}@example.com",
        "success_url": SHOP, "cancel_url": SHOP, "trial": None if trial_days is None else False,
    }  # fmt: skip
    changes["interval"] = interval_of(cart["interval"])
    return lambda ctx: signup.create_signup(ctx, changes)


def complete(world: World, *, which: int) -> Any:
    session = pick(world, SignupSession, which)

    def act(ctx: Context) -> None:
        signup_completion.complete_signup(ctx, session.id)
        if session.customer_id not in world.customers and world.account(session.customer_id):
            world.customers.append(session.customer_id)

    return act if session else None


def attach(world: World, *, who: int, card: str) -> Any:
    if not world.customers:
        return None
    return lambda ctx: payment_methods.attach(ctx, of(world, who), named(card, who % len(world.customers)))


def cancel(world: World, *, which: int, at_end: bool) -> Any:
    sub = pick(world, Subscription, which)
    return sub and (
        lambda ctx: subscriptions.cancel_subscription(ctx, sub.id, at_period_end=at_end, reason="")
    )


def undo(world: World, *, which: int) -> Any:
    sub = pick(world, Subscription, which)
    return sub and (lambda ctx: subscriptions.undo_cancellation(ctx, sub.id))


def change(world: World, *, which: int, at: str | None, interval: str | None, **to: Any) -> Any:
    """Another plan, interval or quantity; now, later, or when its direction says."""
    sub = pick(world, Subscription, which, lambda each: each.status is not Status.TRIALING)
    order = ChangeOrder(
        at=When(at) if at else None, interval=interval_of(interval) if interval else None, **to
    )
    return sub and (lambda ctx: changes.change_subscription(ctx, sub.id, order))


def coupon(world: World, *, which: int, code: str) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.is_running)
    return sub and (lambda ctx: coupons.apply_coupon(ctx, sub.id, code))


def uncoupon(world: World, *, which: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: bool(each.redemptions))
    return sub and (lambda ctx: coupons.remove_coupon(ctx, sub.id, sub.redemptions[0].coupon.id))


def revoke(world: World, *, which: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.pending is not None)
    return sub and (lambda ctx: changes.revoke_change(ctx, sub.id))


def reactivate(world: World, *, which: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.status is Status.CANCELED)
    return sub and (lambda ctx: subscriptions.reactivate_subscription(ctx, sub.id))


def extend_trial(world: World, *, which: int, days: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.status is Status.TRIALING)
    return sub and (lambda ctx: trial_changes.extend_trial(ctx, sub.id, days))


def end_trial(world: World, *, which: int) -> Any:
    sub = pick(world, Subscription, which, lambda each: each.trial is not None)
    return sub and (lambda ctx: trial_changes.end_trial_early(ctx, sub.id))


def page_return(world: World, *, which: int) -> Any:
    session = pick(world, CheckoutSession, which)
    return session and (lambda ctx: checkout.complete_checkout(ctx, session.id))


def page_expire(world: World, *, which: int) -> Any:
    session = pick(world, CheckoutSession, which)
    return session and (lambda ctx: checkout.expire_checkout(ctx, session.id))


def profile(world: World, *, who: int, zone: str) -> Any:
    if not world.customers:
        return None
    return lambda ctx: customers.update_customer(ctx, of(world, who), {"time_zone": zone})


def erase(world: World, *, who: int) -> Any:
    if not world.customers:
        return None
    return lambda ctx: erasure.erase_customer(ctx, of(world, who))


REQUESTS: dict[str, Callable[..., Any]] = {
    "customer": customer, "subscribe": subscribe, "checkout": open_page, "signup": sign_up, "complete": complete,
    "attach": attach, "cancel": cancel, "undo": undo,
    "change": change, "coupon": coupon, "uncoupon": uncoupon, "revoke": revoke,
    "reactivate": reactivate, "extend_trial": extend_trial, "end_trial": end_trial,
    "pay": pay, "retry": retry, "write_off": write_off, "grace": grace, "record": record,
    "page_return": page_return, "page_expire": page_expire, "profile": profile,
    "confirm": confirm, "confirm_return": confirm_return, "erase": erase, "refund": refund,
}  # fmt: skip


def _order(ctx: Context, customer_id: str, order: Mapping[str, Any]) -> Order:
    values = dict(order)
    values["interval"] = interval_of(values["interval"])
    values["billing"] = Billing(values.get("billing", "anniversary"))
    channel = "sales" if values["plan"] == "business" else "self_serve"
    return Order(currency=default_currency(ctx, customer_id), channel=channel, **values)
