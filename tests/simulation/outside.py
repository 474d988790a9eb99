"""What lies outside: time, banks, card networks, and customers at the processor's page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.checkout import CheckoutSession
from chalicelib.domain.dispute import DisputeStatus
from chalicelib.domain.environment import LIVE
from chalicelib.domain.payment import Outcome
from chalicelib.domain.refund import RefundStatus
from tests.simulation.steps import OWN

if TYPE_CHECKING:
    from tests.simulation.world import World

_UNDECIDED = (
    DisputeStatus.INQUIRY, DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW, DisputeStatus.LOST,
)  # fmt: skip


def wait(world: World, hours: float) -> None:
    world.clock += timedelta(hours=hours)
    world.gateway.housekeeping()


def behave(world: World, who: int, how: str) -> None:
    """From now on the customer's card answers so."""
    method = _card(world, who)
    if method is not None:
        world.processor.behave(method, how)


def detach(world: World, who: int) -> None:
    """Somebody takes the card off at the processor."""
    method = _card(world, who)
    if method is not None:
        world.processor.detach(method)


def network_update(world: World, who: int, pays: bool) -> None:
    """The bank issues a new card under the old one's name, and the network tells the processor."""
    method = _card(world, who)
    if method is None:
        return
    held = world.processor.methods[method]
    held.method = replace(held.method, last4="0005", exp_year=held.method.exp_year + 4)
    if pays:
        world.processor.behave(method, "ok")
    world.processor.notices.append(
        ProcessorNotice(
            id=f"evt_mem_{len(world.processor.notices) + 1}",
            kind="payment_method.automatically_updated",
            created=world.clock,
            reference=method,
            env=LIVE,
            customer_id=world.processor.customers[held.owner],
        )
    )


def bank(world: World, how: str) -> None:
    """Every debit under way comes through, or comes back."""
    for payment in list(world.processor.payments.values()):
        if payment.result.outcome is Outcome.PROCESSING:
            world.processor.settle(payment.reference, how)


def page_pay(world: World, which: int, card: str) -> None:
    told = {session.reference for session in world.records(CheckoutSession)}
    pages = [
        page
        for page in world.processor.pages.values()
        if page.state.payable and not page.state.complete and page.page.reference in told
    ]  # who was never told the address cannot pay there
    if pages:
        page = pages[which % len(pages)]
        under_way = page.payment is not None and page.payment.result.outcome is Outcome.PROCESSING
        if not under_way:
            own = f"pm_own_page_{page.request.customer_id}"
            world.processor.pay_checkout(page.page.reference, own if card == OWN else card)


def authenticate(world: World, which: int, passed: bool) -> None:
    """The customer does at their bank what it asks, or fails to."""
    asked = [p for p in world.processor.payments.values() if p.asked is not None]
    if asked:
        world.processor.authenticate(asked[which % len(asked)].reference, passed=passed)


def dashboard_refund(world: World, which: int, percent: int) -> None:
    """Somebody gives money back at the processor itself."""
    paid = [p for p in world.processor.charges() if p.refunded < p.amount and not p.disputes]
    if paid:
        payment = paid[which % len(paid)]
        asked = max(1, (payment.amount - payment.refunded) * percent // 100)
        amount = world.processor.movable(asked, payment.currency)
        if 0 < amount <= payment.amount - payment.refunded:
            world.processor.refund_in_dashboard(payment.reference, amount)


def refund_ends(world: World, which: int, outcome: str) -> None:
    """The bank's word on a refund that waits for it; a failure may come after a success."""
    known = [
        refund for refund in world.processor.refunds.values()
        if refund.result.status is RefundStatus.PENDING
        or (refund.result.status is RefundStatus.SUCCEEDED and outcome == RefundStatus.FAILED)
    ]  # fmt: skip
    if known:
        world.processor.settle_refund(known[which % len(known)].reference, outcome)


def dispute(world: World, which: int, percent: int, inquiry: bool) -> None:
    """A customer's bank claims a payment back, wholly or in part, or asks about it first."""
    paid = [p for p in world.processor.charges() if p.refunded < p.amount and not p.disputes]
    if paid:
        payment = paid[which % len(paid)]
        claimed = max(1, (payment.amount - payment.refunded) * percent // 100)
        world.processor.dispute_opens(payment.reference, claimed, inquiry=inquiry)


def decide(world: World, which: int, won: bool) -> None:
    """The bank moves: an inquiry becomes a dispute or is closed, a dispute is decided, a lost one won on appeal."""
    states = [state for payment in world.processor.payments.values() for state in payment.disputes.values()]
    open_ = [state for state in states if state.status in _UNDECIDED]
    if not open_:
        return
    state = open_[which % len(open_)]
    if state.status is DisputeStatus.INQUIRY and not won:
        world.processor.dispute_escalates(state.reference)
    elif state.status is not DisputeStatus.LOST or won:
        world.processor.dispute_closes(state.reference, won=won)


EVENTS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        wait,
        behave,
        detach,
        network_update,
        bank,
        page_pay,
        authenticate,
        dispute,
        decide,
        dashboard_refund,
        refund_ends,
    )
}


def _card(world: World, who: int) -> str | None:
    """The customer's card, if the processor still has it."""
    if not world.customers:
        return None
    account = world.account(world.customers[who % len(world.customers)])
    method = account.payment_method.id if account and account.payment_method else None
    return method if method in world.processor.methods else None
