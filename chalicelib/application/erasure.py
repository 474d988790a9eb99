"""Erasing a customer on request: the person goes, the books stay."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from chalicelib.application import customers, members
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import account_key, claim_key, key_of
from chalicelib.domain import erasure
from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.customer import Customer, Lead
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact, entry
from chalicelib.domain.subscription import Subscription

T = TypeVar("T")


def erase_customer(ctx: Context, customer_id: str) -> Customer:
    """Nothing that names the person is left in profile, account, members, sign-ups and leads, nor at the payment
    processor; invoices lose the e-mail address. Journal, feed and ledger hold ids and amounts only and stay, as do
    the digests that say that a trial was had. Answers stored for repeated requests expire within two days, printed
    documents that show the address within 30.

    InvalidStateError while a subscription runs, or an invoice is open or disputed. The profile goes first, with
    the fact, so nothing new is begun for the customer meanwhile. Safe to run twice, and to run again after a crash
    at any step: each step finds what is left to do.
    """
    customer = deciding(lambda: _erase_profile(ctx, customer_id))
    for member in members.all_members(ctx, customer_id):
        with suppress(NotFoundError):  # gone meanwhile
            members.remove_member(ctx, customer_id, member.id)
    _rewrite(ctx, customer_id, SignupSession, erasure.erased_signup)
    _rewrite(ctx, customer_id, Lead, erasure.erased_lead)
    _rewrite(ctx, customer_id, Invoice, erasure.erased_invoice)
    _forget_at_processor(ctx, customer_id)
    return customer


def _erase_profile(ctx: Context, customer_id: str) -> Customer:
    """One transaction: profile and card, the external id free for others, and the fact, once."""
    customer = customers.get_customer(ctx, customer_id)
    if customer.erased_at is not None:
        return customer
    erasure.refuse_while_billed(
        ctx.store.children(Subscription, ctx.env, customer_id),
        ctx.store.children(Invoice, ctx.env, customer_id),
    )
    account = ctx.store.get(account_key(ctx.env, customer_id))
    erased = erasure.erased_customer(customer, ctx.now)
    records: list[Any] = [erased, *([erasure.erased_account(account)] if account else [])]
    noted = entry(
        customer_id,
        at=ctx.now,
        actor=ctx.actor,
        cause="customer.erased",
        facts=(Fact("customer.erased", customer_id),),
        channel=ctx.channel,
    )
    claims = customers.claims_of(ctx, customer)
    released = [claim_key(ctx.env, claim.kind, claim.value) for claim in claims]
    ctx.store.commit(ctx.env, *records, noted, delete=released)
    return replace(erased, version=erased.version + 1)


def _rewrite(ctx: Context, customer_id: str, type_: type[T], erased: Callable[[T], T]) -> None:
    for record in ctx.store.children(type_, ctx.env, customer_id):
        if erased(record) != record:
            deciding(lambda record=record: _replace(ctx, record, erased))  # type: ignore[misc]


def _replace(ctx: Context, record: T, erased: Callable[[T], T]) -> None:
    current = ctx.store.get(key_of(ctx.env, record))
    if current is not None and erased(current) != current:
        ctx.store.commit(ctx.env, erased(current))


def _forget_at_processor(ctx: Context, customer_id: str) -> None:
    """The processor first, then our note of it: what broke off between is asked for again, which does no harm."""

    def decide() -> None:
        account = ctx.store.get(account_key(ctx.env, customer_id))
        if account is not None and account.processor_customer is not None:
            ctx.gateway.forget_customer(account.processor_customer)
            ctx.store.commit(ctx.env, replace(account, processor_customer=None, payment_method=None))

    deciding(decide)
