"""A change that waits for its payment when its subscription ends, or is to end: it is given up with that."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import coupons
from chalicelib.application.context import Context
from chalicelib.application.metered_usage import usage_of
from chalicelib.application.records import account_key, child_key
from chalicelib.domain import billing, change_steps
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.metered import given_back
from chalicelib.domain.subscription import Subscription


def dropped(ctx: Context, before: Subscription, decision: Decision, *, closes: bool = False) -> Decision:
    """The decision that ends the subscription `before`, or lets it leave, without the change that it waited for: its
    invoice is void in the same transaction, so money that still comes for it goes back. Coupons that came with a
    change, planned or waiting, are given back.

    `closes`: a final invoice follows in this decision. ConflictError where it would bill the usage that the void
    one billed: which of them does is known once that payment is.
    """
    change, after = before.pending, decision.subscription
    if change is None or after is None:
        return decision
    if change.invoice_id is None:
        return decision if after.pending is not None else coupons.change_dropped(ctx, decision, before)
    decision = coupons.change_dropped(ctx, decision, before)
    invoice = ctx.store.get(child_key(Invoice, ctx.env, change.invoice_id))
    assert invoice is not None
    after, facts = change_steps.given_up(after, change)
    decision = replace(decision, subscription=after, facts=decision.facts + facts)
    if invoice.status is not InvoiceStatus.OPEN:
        return decision
    reopened = given_back(usage_of(ctx, before, change.items), invoice)
    if reopened and closes:
        raise ConflictError(
            "the payment of a change is under way",
            fix="repeat the request once it is settled",
            invoice=invoice.id,
        )
    account = decision.account or ctx.store.get(account_key(ctx.env, before.customer_id))
    assert account is not None
    voided = billing.void(invoice, account, ctx.now)
    return replace(
        decision,
        account=voided.account,
        also=(*decision.also, voided.invoice, *reopened),
        facts=decision.facts + voided.facts,
        postings=decision.postings + voided.postings,
    )
