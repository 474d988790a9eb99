"""Trials are had once: by a customer (noted on the account), and by an e-mail address among those who sign up alone.

The note about an address is a claim of its own, made in the transaction that starts the trial. It outlives the
customer and holds a digest only.
"""

from __future__ import annotations

from chalicelib.application import subscriptions
from chalicelib.application.context import Context
from chalicelib.application.records import claim_key
from chalicelib.domain import ids
from chalicelib.domain.catalog import Catalog, TrialTerms
from chalicelib.domain.contact import mailbox
from chalicelib.domain.customer import Account, Claim
from chalicelib.domain.lifecycle import Order

KIND = "trial_email"


def trial_of(ctx: Context, order: Order, catalog: Catalog, account: Account, email: str) -> TrialTerms | None:
    """The trial that somebody with this address gets: none where another customer had one with it."""
    terms = subscriptions.trial_for(order, catalog, account)
    if terms is None or not email or _holder(ctx, email) in (None, account.customer_id):
        return terms
    return None


def claims_of(ctx: Context, customer_id: str, email: str) -> tuple[Claim, ...]:
    """What is stored with the start of a trial; nothing where the address has had one."""
    if _holder(ctx, email) is not None:
        return ()
    return (Claim(kind=KIND, value=_value(email), owner=customer_id, at=ctx.now),)


def _holder(ctx: Context, email: str) -> str | None:
    claim = ctx.store.get(claim_key(ctx.env, KIND, _value(email)))
    return claim.owner if claim else None


def _value(email: str) -> str:
    return ids.token("trial e-mail", mailbox(email))
