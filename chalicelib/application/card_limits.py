"""Room for another try of a card: which of those on record were no setback is read only when it matters."""

from __future__ import annotations

from chalicelib.application.context import Context
from chalicelib.application.records import child_key
from chalicelib.domain import card_limit
from chalicelib.domain.customer import Account
from chalicelib.domain.invoice import Invoice


def with_room(ctx: Context, account: Account, limit: int) -> Account:
    """The account as `card_limit.admitted` wants it. Only where its card seems to be at the limit are the invoices
    of those tries read (one BatchGet), and the tries that succeeded dropped.
    """
    method = account.payment_method
    tries = card_limit.tries_on(method, account, ctx.now) if method else ()
    if len(tries) < limit:
        return account
    names = sorted({each.invoice for each in tries})
    found = ctx.store.get_many([child_key(Invoice, ctx.env, name) for name in names])
    invoices = {invoice.id: invoice for invoice in found if invoice is not None}
    return card_limit.without_successes(account, invoices, ctx.now)
