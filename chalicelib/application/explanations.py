"""What an invoice's explanation needs besides the invoice."""

from __future__ import annotations

from chalicelib.application.context import Context
from chalicelib.application.invoices import get_invoice
from chalicelib.application.records import customer_key
from chalicelib.domain.customer import Customer
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.invoice import Invoice


def explained_to(ctx: Context, invoice_id: str) -> tuple[Invoice, Customer]:
    """The invoice, and its customer as they are today; NotFoundError."""
    invoice = get_invoice(ctx, invoice_id)
    customer = ctx.store.get(customer_key(ctx.env, invoice.customer_id))
    if customer is None:
        raise NotFoundError("no such customer", id=invoice.customer_id)
    return invoice, customer
