"""The means of payment on file: one default per customer, kept at the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.application import decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import CustomerGone
from chalicelib.application.records import account_key, customer_key
from chalicelib.domain import dunning, ids
from chalicelib.domain.customer import Account, PaymentMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.erasure import refuse_erased
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.journal import Fact
from chalicelib.domain.subscription import Subscription


def attach(ctx: Context, customer_id: str, method: str) -> PaymentMethod:
    """Attach the processor's payment method to the customer and make it the default for what comes.

    Safe to run twice: attaching again answers the same method, and a default that stands is not written. A customer
    who was deleted at the processor is made there anew.
    """
    try:
        saved = _attached(ctx, customer_id, method)
    except CustomerGone:
        saved = _attached(ctx, customer_id, method)
    if ctx.admit_method is not None:
        ctx.admit_method(saved)
    remember(ctx, customer_id, saved)
    return saved


def forget_processor_customer(ctx: Context, customer_id: str, reference: str) -> None:
    """The processor's customer is gone, and what was saved with it: whoever pays next is made there anew.

    Safe to run twice, and too late: another customer than `reference` stays.
    """

    def decide() -> None:
        account = ctx.store.get(account_key(ctx.env, customer_id))
        if account is None or account.processor_customer != reference:
            return
        decision = Decision(
            cause=f"processor_customer_deleted:{reference}",
            account=replace(account, processor_customer=None, payment_method=None),
            facts=(
                Fact("customer.processor_customer_deleted", customer_id, {"processor_customer": reference}),
            ),
        )
        decisions.commit(ctx, customer_id, decision)

    deciding(decide)


def default_method(ctx: Context, customer_id: str) -> PaymentMethod | None:
    """What is charged automatically, None where nothing is on file; NotFoundError."""
    account = ctx.store.get(account_key(ctx.env, ids.require("cus", customer_id)))
    if account is None:
        raise NotFoundError("no such customer", id=customer_id)
    return account.payment_method


def ensure_processor_customer(ctx: Context, customer_id: str) -> Account:
    """The account with its customer at the processor, created there on first need.

    Safe to run twice: the processor is asked with a key made of our id.
    """
    ids.require("cus", customer_id)
    account, customer = ctx.store.get_many(
        [account_key(ctx.env, customer_id), customer_key(ctx.env, customer_id)]
    )
    if account is None or customer is None:
        raise NotFoundError("no such customer", id=customer_id)
    refuse_erased(customer)
    if account.processor_customer is not None:
        return account  # type: ignore[no-any-return]
    reference = ctx.gateway.ensure_customer(ctx.env, customer)

    def decide() -> Account:
        current = ctx.store.get(account_key(ctx.env, customer_id))
        assert current is not None
        if current.processor_customer is None:
            current = replace(current, processor_customer=reference)
            ctx.store.commit(ctx.env, current)
            current = replace(current, version=current.version + 1)
        return current

    return deciding(decide)


def remember(ctx: Context, customer_id: str, method: PaymentMethod) -> None:
    """Make `method` the customer's default, noting the fact once. What is in dunning is tried with it at once."""

    def decide() -> None:
        standing = ctx.store.standing(ctx.env, customer_id)
        account = standing.account
        assert account is not None
        if account.payment_method != method:
            decision = attached(account, method, standing.subscriptions, ctx.now)
            decisions.commit(ctx, customer_id, decision)

    deciding(decide)


def attached(
    account: Account, method: PaymentMethod, subscriptions: Sequence[Subscription], now: datetime
) -> Decision:
    """The account with its new default method, and the dunning runs that go on with it."""
    data = {"brand": method.brand, "last4": method.last4, "kind": method.kind}
    hastened = [(each, dunning.with_new_method(each, now)) for each in subscriptions]
    return Decision(
        cause=f"method:{method.id}:{account.version}",
        account=replace(account, payment_method=method),
        also=tuple(after for before, after in hastened if after is not before),
        facts=(Fact("payment_method.attached", account.customer_id, data),),
    )


def _attached(ctx: Context, customer_id: str, method: str) -> PaymentMethod:
    """Attached to the processor's customer; one that is gone is forgotten first, and CustomerGone raised."""
    reference = ensure_processor_customer(ctx, customer_id).processor_customer
    assert reference is not None
    try:
        return ctx.gateway.attach_method(reference, method)
    except CustomerGone:
        forget_processor_customer(ctx, customer_id, reference)
        raise
