"""A refund, a cancellation, a new plan, a new card and the renewal of one subscription, in any interleaving.

One of them is under way; at one of its boundaries (before or after a write or a call to the processor) the others
happen, whole and in some order. Whatever the order, the end is one of these states, and nothing else:

- The refunded invoice stays paid, its totals as they were; exactly the amount asked for went back, once. A refund
  neither ends nor changes a subscription, and no cancellation takes a refund back.
- The subscription is cancelled. If the renewal was written down first there is a cycle invoice: it was charged once
  and is paid, and the service ends all the same. If the cancellation came first there is none.
- If the change of plan was written down before the cancellation, its invoice is paid (charged once, or nothing was
  left of the period to pay for) and the plan is the new one. If the cancellation came first, the change is refused and
  the plan is the old one.
- What was charged was charged to the card that was the default when its attempt was written down: the old one or the
  new one, never both, and never another.
- Account credit is as it was; the ledger balances and is what the invoices and the processor say.
- Afterwards nothing more is charged or refunded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from chalicelib.application import changes, payment_methods, refunds, subscriptions
from chalicelib.application.records import environment_key
from chalicelib.application.renewals import renew_subscription
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.errors import (
    ConflictError,
    InvalidStateError,
    PaymentDeclinedError,
    PaymentPendingError,
)
from chalicelib.domain.payment import Outcome
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.test_crashes import paid_starter
from tests.scenario.world import World, assert_books

Act = Callable[[World, str], None]
CALLS = ("charge", "find_charge", "refund", "refunds_of", "attach_method", "cancel_charge", "ensure_customer")


def refund(world: World, subscription_id: str) -> None:
    payment = world.invoices(world.parts.store.records(Subscription)[0])[0].payments[0]
    refunds.refund_payment(world.ctx("refund"), payment.id, amount=700)


def cancel(world: World, subscription_id: str) -> None:
    subscriptions.cancel_subscription(world.ctx("cancel"), subscription_id, at_period_end=False, reason="")


def new_card(world: World, subscription_id: str) -> None:
    (sub,) = world.parts.store.records(Subscription)
    payment_methods.attach(world.ctx("card"), sub.customer_id, "pm_card_mastercard")


def renew(world: World, subscription_id: str) -> None:
    renew_subscription(world.ctx(), subscription_id)


def change(world: World, subscription_id: str) -> None:
    """As the refusal asks for: once the next period has begun."""
    renew(world, subscription_id)
    with suppress(InvalidStateError, ConflictError, PaymentDeclinedError, PaymentPendingError):
        changes.change_subscription(world.ctx("change"), subscription_id, ChangeOrder(plan="pro"))


ACTS: tuple[Act, ...] = (refund, cancel, new_card, renew, change)


class Interrupted:
    """At its `at`-th boundary the act is interrupted by the others, whole and in their order."""

    def __init__(self, world: World, at: int, others: Callable[[], None]) -> None:
        self.passed, self.at, self.reached = 0, at, False
        self._others = others
        world.parts.store.before_commit = world.parts.store.after_commit = lambda *_: self.boundary()
        gateway, outer = world.parts.gateway, self

        class Watched:
            def __getattr__(self, name: str) -> Any:
                found = getattr(gateway, name)
                if name not in CALLS:
                    return found

                def call(*args: Any, **kwargs: Any) -> Any:
                    outer.boundary()
                    answer = found(*args, **kwargs)
                    outer.boundary()
                    return answer

                return call

        world.parts.gateway = Watched()

    def boundary(self) -> None:
        self.passed += 1
        if self.passed == self.at and not self.reached:
            self.reached = True
            self._others()


def interrupted(act: Act, others: tuple[Act, ...], at: int) -> tuple[World, bool]:
    """The end of it, and whether the act had so many boundaries."""
    world = World(start="2026-03-31T12:00:00+00:00")
    subscription_id = paid_starter(world)
    world.edit(world.parts.store.get(environment_key(world.env)), clock=world.now.replace(month=4, day=30))

    def the_others() -> None:
        for other in others:
            other(world, subscription_id)

    trap = Interrupted(world, at, the_others)
    act(world, subscription_id)
    reached, trap.reached = trap.reached, True
    if not reached:
        the_others()
    return world, reached


def orders(acts: list[Act]) -> Iterator[tuple[Act, ...]]:
    """Each of them first and last, before and after each other."""
    for turn in range(len(acts)):
        turned = (*acts[turn:], *acts[:turn])
        yield turned
        yield turned[::-1]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_every_interleaving_ends_in_a_documented_state(act: Act) -> None:
    ends = set()
    for others in orders([other for other in ACTS if other is not act]):
        for at in range(1, 60):
            world, reached = interrupted(act, others, at)
            ends.add(assert_documented(world))
            if not reached:
                assert at > 2, "nothing was interrupted: the test proves nothing"
                break
    assert len(ends) >= 2, "the order did not matter: the test proves nothing"


def succeeded(world: World, invoice_id: str) -> list[Any]:
    return [
        each for each in world.parts.gateway.charges(invoice_id) if each.result.outcome is Outcome.SUCCEEDED
    ]


def assert_documented(world: World) -> tuple[str, ...]:
    """Which invoices there are beside the first one."""
    (sub,) = world.parts.store.records(Subscription)
    first, *others = world.invoices(sub)
    more = [invoice for invoice in others if invoice.status != "void"]
    assert sub.status is Status.CANCELED
    assert (first.status, first.total, first.amount_paid, first.amount_refunded) == ("paid", 1900, 1900, 700)
    given_up = [charge for each in others if each not in more for charge in succeeded(world, each.id)]
    assert world.parts.gateway.refunded("USD") == 700 + sum(charge.amount for charge in given_up)
    causes = tuple(sorted(str(invoice.cause.kind) for invoice in more))
    assert causes in {(), ("cycle",), ("change",), ("change", "cycle")}
    assert sub.plan.product == ("pro" if "change" in causes else "starter")
    for invoice in more:
        assert invoice.status == "paid"
        assert len(world.parts.gateway.charges(invoice.id)) == (1 if invoice.amount_due else 0)
        assert {attempt.method.partition("card_")[2] for attempt in invoice.attempts} <= {
            "visa",
            "mastercard",
        }
    account = world.account(sub.customer_id)
    assert (account.payment_method.fingerprint, account.credits) == ("print_pm_card_mastercard", ())
    charged = sum(1 for invoice in more if invoice.amount_due)
    assert len(world.parts.gateway.payments) == 1 + charged + len(given_up)
    assert_books(world)
    calls = {name: world.parts.gateway.calls[name] for name in ("charge", "refund")}
    world.advance(days=70)
    assert {name: world.parts.gateway.calls[name] for name in calls} == calls
    return causes
