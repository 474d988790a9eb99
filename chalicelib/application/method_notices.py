"""Notices of customers at the processor and their saved means of payment, of which only the default concerns us."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import decisions, dunning, payment_methods
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import CustomerGone, ProcessorNotice
from chalicelib.application.records import account_key
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.journal import Fact


def refresh_method(ctx: Context, notice: ProcessorNotice) -> None:
    """The network (or somebody at the processor) changed the card's details: they are taken over, and what is in
    arrears is tried with it.
    """
    account = _account_with(ctx, notice)
    if account is None or account.processor_customer is None:
        return
    try:
        fresh = ctx.gateway.attach_method(account.processor_customer, notice.reference)
    except CustomerGone:
        return  # that is told by a notice of its own
    payment_methods.remember(ctx, account.customer_id, fresh)
    dunning.try_new_method(ctx, account.customer_id)


def forget_customer(ctx: Context, notice: ProcessorNotice) -> None:
    """Deleted at the processor, which is never undone there: the next payment method makes a new one."""
    assert notice.customer_id is not None
    payment_methods.forget_processor_customer(ctx, notice.customer_id, notice.reference)


def forget_method(ctx: Context, notice: ProcessorNotice) -> None:
    """It was taken off at the processor: the customer has no default any more, and no other card takes its place."""

    def decide() -> None:
        account = _account_with(ctx, notice)
        if account is None:
            return
        decision = Decision(
            cause=f"detached:{notice.reference}:{account.version}",
            account=replace(account, payment_method=None),
            facts=(
                Fact("payment_method.detached", account.customer_id, {"payment_method": notice.reference}),
            ),
        )
        decisions.commit(ctx, account.customer_id, decision)

    deciding(decide)


def _account_with(ctx: Context, notice: ProcessorNotice) -> Account | None:
    """The customer's account if the notice's method is its default."""
    assert notice.customer_id is not None
    account = ctx.store.get(account_key(ctx.env, notice.customer_id))
    method = account.payment_method if account else None
    return account if method is not None and method.id == notice.reference else None
