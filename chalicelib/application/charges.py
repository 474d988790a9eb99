"""One-off charges by request."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import card_limits, collection, decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.invoices import refuse_unpaid
from chalicelib.application.records import child_key
from chalicelib.application.subscription_records import get_subscription, load_buyer, occasion, require_method
from chalicelib.domain import billing, ids, one_off
from chalicelib.domain.card_limit import admitted
from chalicelib.domain.collection import begin_attempt
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.decision import Decision
from chalicelib.domain.invoice import Invoice, InvoiceStatus, invoice_id
from chalicelib.domain.money import parse_unit_amount
from chalicelib.domain.subscription import Charge, Subscription


def charge_next(
    ctx: Context, subscription_id: str, *, description: str, unit_amount: str, quantity: int
) -> Subscription:
    """Put a charge on the subscription's next invoice. Safe to run twice: its id derives from the request."""
    charge = _charge(ctx, subscription_id, description, unit_amount, quantity)

    def decide() -> Subscription:
        subscription = get_subscription(ctx, subscription_id)
        if charge.id in {each.id for each in subscription.charges}:
            return subscription
        one_off.require_chargeable(subscription, on_next=True)
        return _stored(ctx, one_off.added(subscription, charge), f"charge:{charge.id}")

    return deciding(decide)


def charge_now(
    ctx: Context, subscription_id: str, *, description: str, unit_amount: str, quantity: int
) -> Invoice:
    """Bill a charge at once on an invoice of its own, and collect it; answers the invoice.

    PaymentDeclinedError leaves the invoice open, payable later; the subscription goes on as it is.
    PaymentPendingError: the outcome is unknown. Safe to run twice: the invoice's id derives from the request.
    """
    charge = _charge(ctx, subscription_id, description, unit_amount, quantity)
    key = child_key(Invoice, ctx.env, invoice_id(subscription_id, one_off.cause_of(charge)))

    def decide() -> Invoice:
        subscription = get_subscription(ctx, subscription_id)
        existing = ctx.store.get(key)
        if existing is not None:
            return existing
        one_off.require_chargeable(subscription, on_next=False)
        stored = decisions.commit(ctx, subscription.customer_id, _opened(ctx, subscription, charge))
        assert stored.invoice is not None
        return stored.invoice

    opened = deciding(decide)
    invoice = collection.collect(ctx, opened, get_subscription(ctx, subscription_id))
    automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and invoice.status is InvoiceStatus.OPEN:
        refuse_unpaid(ctx, invoice)
    return invoice


def take_charge_back(ctx: Context, subscription_id: str, charge_id: str) -> Subscription:
    """Remove a charge that waits for the next invoice; NotFoundError."""

    def decide() -> Subscription:
        subscription = get_subscription(ctx, subscription_id)
        return _stored(ctx, one_off.removed(subscription, charge_id), f"uncharge:{charge_id}")

    return deciding(decide)


def _opened(ctx: Context, subscription: Subscription, charge: Charge) -> Decision:
    buyer = load_buyer(ctx, subscription.customer_id)
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    due = occasion(ctx, subscription, buyer.customer, catalog)
    opened = billing.open_invoice(
        replace(subscription, redemptions=()),  # coupons are for the invoices of its periods
        card_limits.with_room(ctx, buyer.account, due.attempts_per_card),
        one_off.lines_of((charge,)),
        cause=one_off.cause_of(charge),
        period=None,
        occasion=due,
    )
    invoice, account = opened.invoice, opened.account
    automatic = subscription.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
    if automatic and invoice.status is InvoiceStatus.OPEN:
        require_method(subscription, buyer.account)
        invoice = begin_attempt(invoice, account, collection.instants(ctx))
        invoice, account = admitted(invoice, account, due.attempts_per_card, ctx.now)
    return Decision(
        cause=f"charge:{charge.id}",
        account=account,
        invoice=invoice,
        facts=opened.facts,
        postings=opened.postings,
    )


def _charge(ctx: Context, subscription_id: str, description: str, unit_amount: str, quantity: int) -> Charge:
    parse_unit_amount(unit_amount)
    id_ = ids.token("charge", subscription_id, ctx.request_key, length=ids.CHILD_LENGTH)
    return Charge(id=id_, description=description, unit_amount=unit_amount, at=ctx.now, quantity=quantity)


def _stored(ctx: Context, charged: one_off.Charged, cause: str) -> Subscription:
    after = charged.subscription
    decision = Decision(cause=f"{cause}:{after.version}", subscription=after, facts=charged.facts)
    stored = decisions.commit(ctx, after.customer_id, decision)
    assert stored.subscription is not None
    return stored.subscription
