"""Customers: creating, reading, revising and listing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from chalicelib.application.context import Context, create_once, deciding
from chalicelib.application.ports import Page, VersionConflict
from chalicelib.application.records import claim_key, customer_key
from chalicelib.domain import ids
from chalicelib.domain.customer import Account, Claim, Customer
from chalicelib.domain.erasure import refuse_erased
from chalicelib.domain.errors import AlreadyExistsError, NotFoundError
from chalicelib.domain.journal import Fact, JournalEntry, entry
from chalicelib.domain.profile import changed_fields, revised

EXTERNAL_ID: Final = "external_id"
LARGEST_PAGE: Final = 100


def create_customer(ctx: Context, profile: Mapping[str, Any]) -> Customer:
    """A customer with an empty account. `profile` as `profile.revised` takes it.

    Safe to run twice: the id follows from the request, and the second run answers what the first one made.
    InvalidDocumentError, AlreadyExistsError (external id), IdempotencyMismatchError.
    """
    blank = Customer(
        id=ids.customer_id(ctx.env, ctx.request_key), created_at=ctx.now, email="", request=ctx.request_print
    )
    customer = revised(blank, profile)
    created = _journal(ctx, customer, "customer.created", {})

    def decide() -> Customer:
        try:
            return create_once(
                ctx, customer, Account(customer_id=customer.id), *claims_of(ctx, customer), created
            )
        except VersionConflict:
            _require_unclaimed(ctx, customer)
            raise

    return deciding(decide)


def get_customer(ctx: Context, customer_id: str) -> Customer:
    """NotFoundError for a malformed, missing or foreign id alike."""
    customer = ctx.store.get(customer_key(ctx.env, ids.require("cus", customer_id)))
    if customer is None:
        raise NotFoundError("there is no such customer", id=customer_id)
    return customer


def update_customer(ctx: Context, customer_id: str, changes: Mapping[str, Any]) -> Customer:
    """Apply `changes` as `profile.revised` does. Safe to run twice: a second run finds nothing to change."""

    def decide() -> Customer:
        old = get_customer(ctx, customer_id)
        refuse_erased(old)
        new = revised(old, changes)
        changed = changed_fields(old, new)
        if not changed:
            return old
        updated = _journal(ctx, old, f"customer.updated:{old.version}", {"changed": list(changed)})
        is_renamed = EXTERNAL_ID in changed
        taken = claims_of(ctx, new) if is_renamed else ()
        released = claims_of(ctx, old) if is_renamed else ()
        keys = [claim_key(ctx.env, claim.kind, claim.value) for claim in released]
        try:
            ctx.store.commit(ctx.env, new, updated, *taken, delete=keys)
        except VersionConflict:
            _require_unclaimed(ctx, new)
            raise
        return replace(new, version=old.version + 1)

    return deciding(decide)


def list_customers(
    ctx: Context, *, limit: int = 20, cursor: str | None = None, external_id: str | None = None
) -> Page:
    """Newest first. With `external_id`, the one customer that has it, by two keyed reads, or an empty page."""
    if external_id is None:
        return ctx.store.listing(Customer, ctx.env, limit=min(limit, LARGEST_PAGE), cursor=cursor)
    claim = ctx.store.get(claim_key(ctx.env, EXTERNAL_ID, external_id))
    customer = ctx.store.get(customer_key(ctx.env, claim.owner)) if claim else None
    return Page((customer,) if customer else ())


def claims_of(ctx: Context, customer: Customer) -> tuple[Claim, ...]:
    """What must be stored in the transaction that creates this customer, so that nobody else has the same."""
    if customer.external_id is None:
        return ()
    return (Claim(kind=EXTERNAL_ID, value=customer.external_id, owner=customer.id, at=ctx.now),)


def _require_unclaimed(ctx: Context, customer: Customer) -> None:
    for claim in claims_of(ctx, customer):
        held = ctx.store.get(claim_key(ctx.env, claim.kind, claim.value))
        if held is not None and held.owner != customer.id:
            raise AlreadyExistsError(
                "another customer has this external id",
                field=EXTERNAL_ID,
                fix="use another one, or find its customer with GET /v1/customers?external_id=",
                customer=held.owner,
            )


def _journal(ctx: Context, customer: Customer, cause: str, data: dict[str, Any]) -> JournalEntry:
    fact = Fact(cause.partition(":")[0], customer.id, data)
    return entry(customer.id, at=ctx.now, actor=ctx.actor, cause=cause, facts=(fact,), channel=ctx.channel)
