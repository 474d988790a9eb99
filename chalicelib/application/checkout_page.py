"""The processor's page of a checkout session: opened once, however often it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chalicelib.application.checkout import get_checkout
from chalicelib.application.context import Context, deciding
from chalicelib.application.ports import CheckoutItem, CheckoutPage, CheckoutRequest
from chalicelib.application.records import Key, account_key, child_key, customer_key
from chalicelib.domain import checkout_rules
from chalicelib.domain.checkout import CheckoutSession, CheckoutStatus
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.return_urls import with_session
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A session that waits for its page, with all that the page shows. `invoice` is None when nothing is due."""

    session: CheckoutSession
    subscription: Subscription
    account: Account
    customer: Customer
    invoice: Invoice | None = None


def ensure_page(ctx: Context, session: CheckoutSession) -> CheckoutSession:
    """The session with the address of its page, opened at the processor if that has not happened yet."""
    if session.url is not None or session.status is not CheckoutStatus.OPEN:
        return session
    return open_page(ctx, _load(ctx, session))


def open_page(ctx: Context, waiting: Waiting) -> CheckoutSession:
    """Open the page and write its address down.

    Safe to run twice: the processor answers our ids with the same customer and page. A session that was given up
    meanwhile gets its page closed again, so nobody can pay for nothing.
    """
    session = waiting.session
    if session.expires_at - ctx.machine_now < checkout_rules.SHORTEST_PAGE:
        raise InvalidStateError(
            "this checkout session was not opened in time",
            fix="start a new one with a new Idempotency-Key",
            checkout_session=session.id,
        )
    known = waiting.account.processor_customer
    customer = known or ctx.gateway.ensure_customer(ctx.env, waiting.customer)
    page = ctx.gateway.open_checkout(_page_request(ctx, waiting, customer))
    opened = _keep(ctx, waiting, customer, page)
    if opened.status is not CheckoutStatus.OPEN:
        ctx.gateway.close_checkout(page.reference)
    return opened


def _keep(ctx: Context, waiting: Waiting, customer: str, page: CheckoutPage) -> CheckoutSession:
    """Session and account with what the processor calls them, in one transaction."""
    fresh: tuple[CheckoutSession, Account] | None = (waiting.session, waiting.account)

    def decide() -> CheckoutSession:
        nonlocal fresh
        session, account = fresh or _reload(ctx, waiting.session)
        fresh = None
        if session.reference is not None:
            return session
        opened = replace(session, reference=page.reference, url=page.url)
        records: tuple[object, ...] = (opened,)
        if account.processor_customer is None:
            records = (opened, replace(account, processor_customer=customer))
        ctx.store.commit(ctx.env, *records)
        return replace(opened, version=opened.version + 1)

    return deciding(decide)


def _reload(ctx: Context, session: CheckoutSession) -> tuple[CheckoutSession, Account]:
    account = ctx.store.get(account_key(ctx.env, session.customer_id))
    assert account is not None
    return get_checkout(ctx, session.id), account


def _load(ctx: Context, session: CheckoutSession) -> Waiting:
    keys: list[Key[Any]] = [
        child_key(Subscription, ctx.env, session.subscription_id),
        account_key(ctx.env, session.customer_id),
        customer_key(ctx.env, session.customer_id),
    ]
    if session.invoice_id is not None:
        keys.append(child_key(Invoice, ctx.env, session.invoice_id))
    subscription, account, customer, *invoice = ctx.store.get_many(keys)
    assert subscription is not None
    assert account is not None
    assert customer is not None
    return Waiting(
        session=session,
        subscription=subscription,
        account=account,
        customer=customer,
        invoice=invoice[0] if invoice else None,
    )


def _page_request(ctx: Context, waiting: Waiting, processor_customer: str) -> CheckoutRequest:
    """The same for every repetition: all of it is frozen in session and invoice."""
    session, invoice = waiting.session, waiting.invoice
    return CheckoutRequest(
        key=session.id,
        env=ctx.env,
        customer_id=session.customer_id,
        processor_customer=processor_customer,
        subscription_id=session.subscription_id,
        checkout_id=session.id,
        invoice_id=session.invoice_id,
        currency=waiting.subscription.currency,
        amount=invoice.amount_due if invoice else 0,
        items=_items(invoice) if invoice else (),
        return_url=f"{ctx.services.public_url}/checkout/return?env={ctx.env}&session={session.id}",
        cancel_url=with_session(session.cancel_url, session.id),
        expires_at=session.expires_at,
        language=session.language,
    )


def _items(invoice: Invoice) -> tuple[CheckoutItem, ...]:
    """The invoice's lines; one item where credit or a carried amount makes the sum another one."""
    if invoice.amount_due == invoice.total:
        return tuple(CheckoutItem(name=line.description, amount=line.total) for line in invoice.lines)
    names = ", ".join(line.description for line in invoice.lines)
    return (CheckoutItem(name=f"{names} (after account credit)", amount=invoice.amount_due),)
