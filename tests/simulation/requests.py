"""What customers and merchants ask for: each answers what to call in a context, or None when there is nothing to
ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.application import (
    checkout,
    checkout_opening,
    confirmation,
    customers,
    dunning,
    erasure,
    invoices,
    payment_methods,
    payments,
    refunds,
    signup,
    signup_completion,
    subscriptions,
    trial_changes,
)
from chalicelib.application.context import Context
from chalicelib.domain.checkout import CheckoutSession, SignupSession
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.ordering import Order
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.subscription import Billing, Status, Subscription
from tests.simulation.plan import OWN
from tests.simulation.shop import interval_of

if TYPE_CHECKING:
    from tests.simulation.world import World

SHOP = "https://shop.example/back"


def customer(
    world: World, *, zone: str, currency: str, card: str | None, net_days: int | None, segment: str = ""
) -> Any:
    number = len(world.customers)
    email = f"ada{number}@example.com"  # a trial is had once per mailbox
    profile: dict[str, Any] = {"email": email, "time_zone": zone, "currency": currency, "segment": segment}
    if net_days is not None:
        profile["terms"] = {"method": "send_invoice", "net_days": net_days}

    def act(ctx: Context) -> None:
        made = customers.create_customer(ctx, profile)
        if made.id not in world.customers:
            world.customers.append(made.id)
        if card is not None:
            payment_methods.attach(ctx, made.id, _named(card, number))

    return act


def subscribe(world: World, *, who: int, **order: Any) -> Any:
    if not world.customers:
        return None
    owner = _of(world, who)
    return lambda ctx: subscriptions.create_subscription(ctx, owner, _order(ctx, owner, order))


def open_page(world: World, *, who: int, **order: Any) -> Any:
    if not world.customers:
        return None
    owner = _of(world, who)

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
    session = _pick(world, SignupSession, which)

    def act(ctx: Context) -> None:
        signup_completion.complete_signup(ctx, session.id)
        if session.customer_id not in world.customers and world.account(session.customer_id):
            world.customers.append(session.customer_id)

    return act if session else None


def attach(world: World, *, who: int, card: str) -> Any:
    if not world.customers:
        return None
    return lambda ctx: payment_methods.attach(ctx, _of(world, who), _named(card, who % len(world.customers)))


def cancel(world: World, *, which: int, at_end: bool) -> Any:
    sub = _pick(world, Subscription, which)
    return sub and (
        lambda ctx: subscriptions.cancel_subscription(ctx, sub.id, at_period_end=at_end, reason="")
    )


def undo(world: World, *, which: int) -> Any:
    sub = _pick(world, Subscription, which)
    return sub and (lambda ctx: subscriptions.undo_cancellation(ctx, sub.id))


def reactivate(world: World, *, which: int) -> Any:
    sub = _pick(world, Subscription, which, lambda each: each.status is Status.CANCELED)
    return sub and (lambda ctx: subscriptions.reactivate_subscription(ctx, sub.id))


def extend_trial(world: World, *, which: int, days: int) -> Any:
    sub = _pick(world, Subscription, which, lambda each: each.status is Status.TRIALING)
    return sub and (lambda ctx: trial_changes.extend_trial(ctx, sub.id, days))


def end_trial(world: World, *, which: int) -> Any:
    sub = _pick(world, Subscription, which, lambda each: each.trial is not None)
    return sub and (lambda ctx: trial_changes.end_trial_early(ctx, sub.id))


def pay(world: World, *, which: int, card: str | None) -> Any:
    invoice = _pick(world, Invoice, which, _is_open)
    if invoice is None:
        return None
    named = card and _named(card, _number(world, invoice.customer_id))
    return lambda ctx: invoices.pay_invoice(ctx, invoice.id, payment_method=named)


def confirm(world: World, *, which: int) -> Any:
    """The customer follows the link in their letter and wants to confirm."""
    link = _link(world, which)
    return link and (lambda ctx: confirmation.confirm(ctx, link))


def confirm_return(world: World, *, which: int) -> Any:
    """They are back from their bank, whatever they did there."""
    link = _link(world, which)
    return link and (lambda ctx: confirmation.look_up(ctx, link))


def retry(world: World, *, which: int) -> Any:
    sub = _pick(world, Subscription, which, lambda each: each.dunning is not None)
    return sub and (lambda ctx: dunning.retry_now(ctx, sub.id))


def write_off(world: World, *, which: int) -> Any:
    invoice = _pick(world, Invoice, which, _is_open)
    return invoice and (lambda ctx: dunning.mark_uncollectible(ctx, invoice.id))


def grace(world: World, *, which: int, days: int) -> Any:
    sub = _pick(world, Subscription, which, lambda each: each.dunning is not None)
    return sub and (lambda ctx: dunning.extend_grace(ctx, sub.id, days))


def record(world: World, *, which: int, percent: int) -> Any:
    invoice = _pick(world, Invoice, which, _is_open)
    if invoice is None:
        return None
    amount = max(1, invoice.amount_remaining * percent // 100)
    share = (Allocation(invoice.id, min(amount, invoice.amount_remaining)),)
    return lambda ctx: payments.record_payment(
        ctx, invoice.customer_id, amount=amount, currency=invoice.currency, kind="bank_transfer",
        reference=None, allocations=share,
    )  # fmt: skip


def page_return(world: World, *, which: int) -> Any:
    session = _pick(world, CheckoutSession, which)
    return session and (lambda ctx: checkout.complete_checkout(ctx, session.id))


def page_expire(world: World, *, which: int) -> Any:
    session = _pick(world, CheckoutSession, which)
    return session and (lambda ctx: checkout.expire_checkout(ctx, session.id))


def profile(world: World, *, who: int, zone: str) -> Any:
    if not world.customers:
        return None
    return lambda ctx: customers.update_customer(ctx, _of(world, who), {"time_zone": zone})


def refund(world: World, *, which: int, percent: int | None, from_credit: bool) -> Any:
    """Of a payment that an invoice took, or one of its own: a transfer, or money that came late."""
    shares = [share for invoice in world.records(Invoice) for share in invoice.payments]
    paid = {each.id: each for each in (*shares, *world.records(Payment))}
    if not paid:
        return None
    payment = sorted(paid.values(), key=lambda each: (each.at, each.id))[which % len(paid)]
    amount = None if percent is None else max(1, payment.amount * percent // 100)
    return lambda ctx: refunds.refund_payment(ctx, payment.id, amount=amount, from_credit=from_credit)


def erase(world: World, *, who: int) -> Any:
    if not world.customers:
        return None
    return lambda ctx: erasure.erase_customer(ctx, _of(world, who))


REQUESTS: dict[str, Callable[..., Any]] = {
    "customer": customer, "subscribe": subscribe, "checkout": open_page, "signup": sign_up, "complete": complete,
    "attach": attach, "cancel": cancel, "undo": undo, "reactivate": reactivate, "extend_trial": extend_trial,
    "end_trial": end_trial, "pay": pay, "retry": retry, "write_off": write_off, "grace": grace, "record": record,
    "page_return": page_return, "page_expire": page_expire, "profile": profile,
    "confirm": confirm, "confirm_return": confirm_return, "erase": erase, "refund": refund,
}  # fmt: skip


def _of(world: World, who: int) -> str:
    return world.customers[who % len(world.customers)]


def _number(world: World, customer_id: str) -> int:
    return world.customers.index(customer_id) if customer_id in world.customers else 0


def _named(card: str, number: int) -> str:
    return f"pm_own_{number}" if card == OWN else card


def _link(world: World, which: int) -> Any:
    """The newest attempt's link of an invoice that has ever waited for its customer."""
    invoice = _pick(world, Invoice, which, lambda each: any(a.decline and a.reference for a in each.attempts))
    if invoice is None:
        return None
    query = parse_qs(urlsplit(confirmation.link_to(world.ctx(), invoice.id, len(invoice.attempts))).query)
    return confirmation.Link(invoice_id=invoice.id, attempt=len(invoice.attempts), token=query["token"][0])


def _is_open(invoice: Invoice) -> bool:
    return invoice.status is InvoiceStatus.OPEN


def _pick(world: World, type_: type, which: int, where: Callable[[Any], bool] = lambda each: True) -> Any:
    found = sorted((each for each in world.records(type_) if where(each)), key=_age)
    return found[which % len(found)] if found else None


def _age(record: Any) -> tuple[datetime, str]:
    return getattr(record, "created_at", None) or record.issued_at, record.id


def _order(ctx: Context, customer_id: str, order: Mapping[str, Any]) -> Order:
    values = dict(order)
    values["interval"] = interval_of(values["interval"])
    values["billing"] = Billing(values.get("billing", "anniversary"))
    channel = "sales" if values["plan"] == "business" else "self_serve"
    return Order(currency=subscriptions.default_currency(ctx, customer_id), channel=channel, **values)
