"""Prepaid credits: given, bought, topped up, and written off when they expire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.application import card_limits, collection, decisions
from chalicelib.application.collection import account_of
from chalicelib.application.context import Context, deciding
from chalicelib.application.invoices import refuse_unpaid
from chalicelib.application.subscription_records import (
    Buyer,
    get_subscription,
    load_buyer,
    occasion,
    require_method,
)
from chalicelib.domain import ids, one_off, prepaid
from chalicelib.domain.billing import open_invoice
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.credit_grant import CreditGrant, TopUp
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.invoice import Cause, CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.subscription import Charge, Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Credits to give or buy: `amount` minor units of `currency`."""

    amount: int
    currency: str
    name: str = ""
    priority: int = 0
    expires_at: datetime | None = None


def give_credits(ctx: Context, customer_id: str, wanted: Wanted) -> CreditGrant:
    """Credits that cost nothing. Safe to run twice: the grant's id derives from the request."""
    id_ = ids.child_id("cgr", customer_id, ctx.request_key)
    _require_valid(wanted, ctx.now)

    def decide() -> CreditGrant:
        account = load_buyer(ctx, customer_id).account
        existing = _find(account, id_)
        if existing is not None:
            return existing
        grant = _grant(ctx, id_, wanted)
        fact = prepaid.granted_fact("credits.granted", customer_id, grant)
        granted = prepaid.with_grant(account, grant)
        decisions.commit(ctx, customer_id, Decision(cause=f"grant:{id_}", account=granted, facts=(fact,)))
        return grant

    return deciding(decide)


def buy_credits(ctx: Context, subscription_id: str, wanted: Wanted, *, price: int) -> CreditGrant:
    """Credits for `price` minor units, on an invoice of their own with the subscription's terms; there once it is
    paid. PaymentDeclinedError leaves the invoice open, payable later, and the credits waiting.

    Safe to run twice: grant and invoice derive their ids from the request.
    """
    _require_valid(wanted, ctx.now)
    id_ = ids.child_id("cgr", subscription_id, ctx.request_key)

    def decide() -> Invoice:
        subscription = get_subscription(ctx, subscription_id)
        buyer = load_buyer(ctx, subscription.customer_id)
        existing = _find(buyer.account, id_)
        if existing is not None and existing.invoice_id is not None:
            return collection.load(ctx, existing.invoice_id)[0]
        one_off.require_chargeable(subscription, on_next=False)
        require_method(subscription, buyer.account)
        _require_currency(subscription, wanted.currency)
        return _bought(ctx, subscription, buyer, _grant(ctx, id_, wanted), price=price)

    invoice = collection.collect(ctx, deciding(decide), get_subscription(ctx, subscription_id))
    if invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY and invoice.status is InvoiceStatus.OPEN:
        refuse_unpaid(ctx, invoice)
    grant = _find(account_of(ctx, invoice.customer_id), id_)
    assert grant is not None
    return grant


def set_top_up(ctx: Context, customer_id: str, wanted: TopUp | None) -> Account:
    """Buy credits by itself from now on, or (None) no more. What was bought this month still counts."""

    def decide() -> Account:
        account = load_buyer(ctx, customer_id).account
        before, top_up = account.top_up, wanted
        if top_up is not None:
            subscription = get_subscription(ctx, top_up.subscription_id)
            if subscription.customer_id != customer_id:
                raise ValidationError("it is another customer's", field="subscription")
            _require_currency(subscription, top_up.currency)
            if before is not None:
                top_up = replace(top_up, count=before.count, month=before.month, bought=before.bought)
        after = replace(account, top_up=top_up)
        if after != account:
            ctx.store.commit(ctx.env, after)
        return after

    return deciding(decide)


def read_account(ctx: Context, customer_id: str) -> Account:
    """The account with its grants; NotFoundError."""
    return load_buyer(ctx, customer_id).account


def settle_credits(ctx: Context, customer_id: str) -> None:
    """The due row of an account: write off what has expired, look after what waits for its payment, top up.

    Safe to run twice: the account says what is left to do, and is written with it.
    """

    def decide() -> None:
        account = account_of(ctx, customer_id)
        done = prepaid.expired(account, ctx.now)
        facts, postings = done.facts, done.postings
        for grant in account.grants:
            if grant.waits and grant.invoice_id and grant.look_at and grant.look_at <= ctx.now:
                invoice, _ = collection.load(ctx, grant.invoice_id)
                done = prepaid.settled(done.account, invoice, ctx.now)
                facts, postings = facts + done.facts, postings + done.postings
        if done.account != account:
            cause = f"credits:{customer_id}:{account.version}"
            decisions.commit(
                ctx, customer_id, Decision(cause=cause, account=done.account, facts=facts, postings=postings)
            )

    deciding(decide)
    _top_up(ctx, customer_id)


def _top_up(ctx: Context, customer_id: str) -> None:
    """Buy what the balance called for. The call is cleared with the invoice that answers it."""

    def decide() -> tuple[Invoice, Subscription] | None:
        buyer = load_buyer(ctx, customer_id)
        account, top_up = buyer.account, buyer.account.top_up
        if top_up is None or top_up.due_at is None or top_up.due_at > ctx.now:
            return None
        month = ctx.now.strftime("%Y-%m")
        bought = top_up.bought if top_up.month == month else 0
        subscription = get_subscription(ctx, top_up.subscription_id)
        low = prepaid.balance_of(account, top_up.currency, ctx.now) < top_up.below
        called = replace(top_up, due_at=None, month=month, bought=bought)
        if not low or bought >= top_up.most_per_month or not subscription.is_running:
            ctx.store.commit(ctx.env, replace(account, top_up=called))
            return None
        called = replace(called, count=top_up.count + 1, bought=bought + 1)
        id_ = ids.child_id("cgr", customer_id, "top_up", str(called.count))
        wanted = Wanted(amount=top_up.amount, currency=top_up.currency, name="Top-up")
        buyer = replace(buyer, account=replace(account, top_up=called))
        invoice = _bought(ctx, subscription, buyer, _grant(ctx, id_, wanted), price=top_up.price)
        return invoice, subscription

    opened = deciding(decide)
    if opened is not None:
        collection.collect(ctx, *opened)


def _bought(
    ctx: Context, subscription: Subscription, buyer: Buyer, grant: CreditGrant, *, price: int
) -> Invoice:
    """Commit the invoice of a purchase, with the grant that waits for it on the account."""
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    when = occasion(ctx, subscription, buyer.customer, catalog)
    charge = Charge(id=grant.id, description=grant.name or "Credits", unit_amount=str(price), at=ctx.now)
    account = card_limits.with_room(ctx, buyer.account, when.attempts_per_card)
    opened = open_invoice(
        replace(subscription, redemptions=()),  # coupons are for the invoices of its periods
        account,
        tuple(replace(line, kind=prepaid.PURCHASE) for line in one_off.lines_of((charge,))),
        cause=Cause(kind=CauseKind.ONE_OFF, reference=grant.id),
        period=None,
        occasion=when,
    )
    invoice, account = opened.invoice, opened.account
    is_open = invoice.status is InvoiceStatus.OPEN
    grant = replace(
        grant,
        deferred=sum(line.net for line in invoice.lines),
        invoice_id=invoice.id,
        waits=is_open,
        look_at=ctx.now + prepaid.LOOK_AGAIN if is_open else None,
    )
    facts = opened.facts
    if not is_open:
        facts += (prepaid.granted_fact("credits.granted", subscription.customer_id, grant),)
    if is_open and subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY:
        invoice = begin_attempt(invoice, account, collection.instants(ctx))
        invoice, account = admitted(invoice, account, when.attempts_per_card, ctx.now)
    decision = Decision(
        cause=f"grant:{grant.id}",
        account=prepaid.with_grant(account, grant),
        invoice=invoice,
        facts=facts,
        postings=opened.postings,
    )
    stored = decisions.commit(ctx, subscription.customer_id, decision)
    assert stored.invoice is not None
    return stored.invoice


def _grant(ctx: Context, id_: str, wanted: Wanted) -> CreditGrant:
    return CreditGrant(
        id=id_,
        currency=wanted.currency,
        amount=wanted.amount,
        balance=wanted.amount,
        at=ctx.now,
        name=wanted.name,
        priority=wanted.priority,
        expires_at=wanted.expires_at,
    )


def _find(account: Account, id_: str) -> CreditGrant | None:
    return next((grant for grant in account.grants if grant.id == id_), None)


def _require_valid(wanted: Wanted, now: datetime) -> None:
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise ValidationError("that is over already", field="expires_at", fix="send an instant to come")


def _require_currency(subscription: Subscription, currency: str) -> None:
    if subscription.currency != currency:
        raise ValidationError(
            f"the subscription is in {subscription.currency}",
            field="currency",
            fix=f"send {subscription.currency}",
        )
