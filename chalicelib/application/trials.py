"""Trials are had once: by a customer, by a mailbox and by a card.

The customer's is noted on the account. Mailbox and card are claims of their own, made in the transaction that
starts the trial, so of many at the same time one wins. They outlive customer and subscription, and hold digests
only. In a sandbox cards do not count: test cards are few, and everybody uses the same. Nothing is claimed for a
page that is merely open: only the account is reserved, until the page is given up.

Nobody pays in place of a trial they were promised. A page opened for somebody who has had one shows the price,
and is paid; what was promised and turns out to be had (the card is known only once it is saved) is refused, with
the reason, and costs nothing.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application.context import Context
from chalicelib.application.ports import VersionConflict
from chalicelib.application.records import claim_key
from chalicelib.application.subscription_records import Buyer
from chalicelib.domain import ids, lifecycle, ordering
from chalicelib.domain.catalog import Catalog, TrialTerms
from chalicelib.domain.contact import mailbox
from chalicelib.domain.customer import Account, Claim, Customer, PaymentMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.journal import Fact
from chalicelib.domain.ordering import Order
from chalicelib.domain.subscription import Subscription

EMAIL, CARD = "trial_email", "trial_card"
HAD_BY = {
    EMAIL: "somebody with this e-mail address has had a trial",
    CARD: "a trial was had with this payment method",
}


def trial_shown(
    ctx: Context, order: Order, catalog: Catalog, account: Account, email: str
) -> TrialTerms | None:
    """The trial that a page, which shows what is due, offers this customer: none where it was had.

    ValidationError where the order asks for its days.
    """
    terms = ordering.trial_terms(order, catalog.plan(order.plan))
    if terms is None or (not account.trial_used and had(ctx, account, email) is None):
        return terms
    if order.trial_days:
        raise ValidationError("this customer has had a trial", field="trial_days", fix="send 0")
    return None


def trial_to_start(
    ctx: Context, order: Order, catalog: Catalog, account: Account, customer: Customer
) -> TrialTerms | None:
    """The trial that starts without a page. None for a customer who has had one and comes back.

    ValidationError where the order asks for its days, and where somebody else has had it with this mailbox or
    card: who expects a trial is not charged in its place.
    """
    terms = ordering.trial_terms(order, catalog.plan(order.plan))
    if terms is None:
        return None
    if account.trial_used:
        return trial_shown(ctx, order, catalog, account, customer.email)
    reason = had(ctx, account, customer.email)
    if reason is not None:
        raise ValidationError(HAD_BY[reason], field="trial_days", fix="send 0 to start paying at once")
    return terms


def had(ctx: Context, account: Account, email: str, method: PaymentMethod | None = None) -> str | None:
    """What another customer has had a trial with, EMAIL or CARD; `method` where it is not on the account yet."""
    found = _claims(ctx, account, email, method)
    return next((kind for kind, _, claim in found if claim and claim.owner != account.customer_id), None)


def claims_of(
    ctx: Context, account: Account, email: str, method: PaymentMethod | None = None
) -> tuple[Claim, ...]:
    """What is stored in the transaction that starts a trial: the loser of a race meets it as a version conflict,
    in the commit, or here where the winner was there between `had` and this.
    """
    found = _claims(ctx, account, email, method)
    if any(claim is not None and claim.owner != account.customer_id for _, _, claim in found):
        raise VersionConflict
    return tuple(
        Claim(kind=kind, value=value, owner=account.customer_id, at=ctx.now)
        for kind, value, claim in found
        if claim is None
    )


def _claims(
    ctx: Context, account: Account, email: str, method: PaymentMethod | None
) -> list[tuple[str, str, Claim | None]]:
    """(kind, value, who holds it) in one request, or none."""
    card = method or account.payment_method
    values = []
    if email:
        values.append((EMAIL, ids.token("trial e-mail", mailbox(email))))
    if card is not None and card.fingerprint and ctx.env == LIVE:
        values.append((CARD, ids.token("trial card", card.fingerprint)))
    if not values:
        return []
    holders = ctx.store.get_many([claim_key(ctx.env, kind, value) for kind, value in values])
    return [(kind, value, claim) for (kind, value), claim in zip(values, holders, strict=True)]


def trial_begun(ctx: Context, draft: Subscription, buyer: Buyer, terms: TrialTerms) -> Decision:
    """The draft in its trial, with the customer's, the mailbox's and the card's one trial used up."""
    running, facts = lifecycle.trialing(draft, terms, ctx.now)
    created = Fact("subscription.created", running.id, lifecycle.subscription_data(running))
    return Decision(
        cause=f"trial:{running.id}",
        account=replace(buyer.account, trial_used=True),
        subscription=running,
        also=claims_of(ctx, buyer.account, buyer.customer.email),
        facts=(created, *facts),
    )
