"""A change as somebody asks for it: what is sold by quote makes them a lead."""

from __future__ import annotations

from contextlib import suppress

from chalicelib.application import decisions
from chalicelib.application.changes import change_subscription
from chalicelib.application.context import Context
from chalicelib.application.ports import VersionConflict
from chalicelib.application.subscription_records import load_buyer
from chalicelib.domain import ids
from chalicelib.domain.change import ChangeOrder
from chalicelib.domain.customer import Lead
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import QuoteRequiredError
from chalicelib.domain.journal import Fact
from chalicelib.domain.signup_rules import Reason
from chalicelib.domain.subscription import Subscription


def change_or_lead(ctx: Context, subscription_id: str, order: ChangeOrder) -> Subscription:
    """`changes.change_subscription`; a plan that is sold by quote is refused, and sales hear of who wanted it.

    QuoteRequiredError names the lead. Safe to run twice: one lead per request.
    """
    try:
        return change_subscription(ctx, subscription_id, order)
    except QuoteRequiredError as refused:
        lead = _routed(ctx, subscription_id, order)
        raise QuoteRequiredError(
            refused.message, field=refused.field, fix=refused.fix, **refused.ids, lead=lead.id
        ) from None


def _routed(ctx: Context, subscription_id: str, order: ChangeOrder) -> Lead:
    customer = load_buyer(ctx, ids.customer_of(subscription_id)).customer
    lead = Lead(
        id=ids.child_id("led", customer.id, subscription_id, ctx.request_key),
        customer_id=customer.id,
        at=ctx.now,
        reason=Reason.QUOTE_ONLY_PLAN,
        email=customer.email,
        name=customer.name,
        company=customer.legal_name,
        country=customer.address.country,
        plan=order.plan or "",
        quantity=order.quantity or 1,
        source=subscription_id,
    )
    data = {"reason": lead.reason, "plan": lead.plan, "subscription": subscription_id}
    fact = Fact("lead.created", lead.id, data)
    with suppress(VersionConflict):
        decisions.commit(ctx, customer.id, Decision(cause=f"lead:{lead.id}", also=(lead,), facts=(fact,)))
    return lead
