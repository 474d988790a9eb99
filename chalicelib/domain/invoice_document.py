"""What an invoice says on paper: coupons as they stacked, tax per rate, what is due and what was paid of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chalicelib.domain.document import Document, DocumentKind, Entry, Standing, Sum, SumKind
from chalicelib.domain.explanation import CouponUse, explain
from chalicelib.domain.invoice import Invoice, InvoiceStatus, Line
from chalicelib.domain.payment import Payment
from chalicelib.domain.tax import TaxSum


def document_of(invoice: Invoice) -> Document:
    """The invoice as it stands: lines and totals never change once it opened, what was paid and credited does."""
    explained = explain(invoice)
    standing = _standing(invoice)
    paid = standing is Standing.PAID
    is_taxed = bool(explained.taxes)
    return Document(
        kind=DocumentKind.INVOICE,
        standing=standing,
        id=invoice.id,
        number=invoice.number,
        reference=invoice.customer_id,
        currency=invoice.currency,
        zone=invoice.zone,
        issued_at=invoice.issued_at,
        due_at=invoice.due_at,
        period=invoice.period,
        amount=invoice.amount_paid if paid else _open_amount(invoice, standing),
        at=_day_of(invoice, standing),
        seller=invoice.seller,
        buyer=invoice.buyer,
        entries=tuple(_entry(line, is_taxed=is_taxed) for line in invoice.lines),
        sums=(
            *_charged(invoice, explained.coupons, explained.taxes),
            *_to_pay(invoice, standing),
            *_settled(invoice, standing),
        ),
        tax_notes=tuple(dict.fromkeys(tax.note for tax in explained.taxes if tax.note)),
    )


def _standing(invoice: Invoice) -> Standing:
    if invoice.status is InvoiceStatus.DRAFT:
        return Standing.DRAFT
    if invoice.status is InvoiceStatus.VOID:
        return Standing.VOID
    if invoice.amount_remaining > 0:
        return Standing.OPEN
    return Standing.PAID if invoice.amount_paid > 0 else Standing.SETTLED


def _open_amount(invoice: Invoice, standing: Standing) -> int:
    return invoice.amount_remaining if standing is Standing.OPEN else invoice.amount_due


def _day_of(invoice: Invoice, standing: Standing) -> datetime:
    if standing is Standing.PAID:
        return invoice.paid_at or max(payment.at for payment in invoice.payments)
    return invoice.issued_at if standing is Standing.DRAFT else invoice.due_at


def _entry(line: Line, *, is_taxed: bool) -> Entry:
    counts = line.reversal is None and line.minimum is None and all(step.per == 1 for step in line.steps)
    return Entry(
        title=line.description,
        amount=line.amount,
        quantity=line.quantity if counts else None,
        tax_rate=line.tax_rate if is_taxed else None,
        line=line,
    )


def _charged(invoice: Invoice, coupons: tuple[CouponUse, ...], taxes: tuple[TaxSum, ...]) -> Iterator[Sum]:
    """From the entries to the total: coupons as they stacked, tax per rate."""
    added = [tax for tax in taxes if not tax.inclusive]
    if coupons or added or invoice.credit_granted:
        yield Sum(kind=SumKind.SUBTOTAL, amount=sum(line.amount for line in invoice.lines))
    for use in coupons:
        share = use.share
        yield Sum(
            kind=SumKind.DISCOUNT,
            amount=-use.amount,
            name=share.coupon,
            order=share.order if len(coupons) > 1 else 0,
            percent=share.percent,
        )
    for tax in added:
        yield Sum(kind=SumKind.TAX, amount=tax.tax, percent=tax.rate, base=tax.base)
    if invoice.credit_granted:
        yield Sum(kind=SumKind.CREDIT_GRANTED, amount=invoice.credit_granted)
    yield Sum(kind=SumKind.TOTAL, amount=invoice.total)
    for tax in taxes:
        if tax.inclusive:
            yield Sum(kind=SumKind.TAX_INCLUDED, amount=tax.tax, percent=tax.rate, base=tax.base)


def _to_pay(invoice: Invoice, standing: Standing) -> Iterator[Sum]:
    """From the total to what is due; of a void invoice nothing is."""
    parts = (
        (SumKind.CREDIT_APPLIED, -invoice.credit_applied),
        (SumKind.CARRIED_IN, invoice.carried_in),
        (SumKind.CARRIED_OUT, -invoice.carried_out),
    )
    yield from (Sum(kind=kind, amount=amount) for kind, amount in parts if amount)
    if standing is not Standing.VOID:
        yield Sum(kind=SumKind.DUE, amount=invoice.amount_due)


def _settled(invoice: Invoice, standing: Standing) -> Iterator[Sum]:
    """What has been paid and given up of it, and what is left."""
    for payment in invoice.payments:
        yield _paid(invoice, payment)
        if payment.refunded:
            yield Sum(kind=SumKind.REFUND, amount=payment.refunded)
    taken_back = sum(_share(invoice, payment) for payment in invoice.payments) - invoice.amount_paid
    if taken_back > 0:
        yield Sum(kind=SumKind.TAKEN_BACK, amount=taken_back)
    if invoice.returned:
        yield Sum(kind=SumKind.RETURNED, amount=invoice.returned)
    if invoice.credited:
        yield Sum(kind=SumKind.GIVEN_UP, amount=-invoice.credited)
    if (invoice.payments or invoice.credited) and standing is not Standing.VOID:
        yield Sum(kind=SumKind.REMAINING, amount=invoice.amount_remaining)


def _paid(invoice: Invoice, payment: Payment) -> Sum:
    method = payment.method
    return Sum(
        kind=SumKind.PAYMENT,
        amount=-_share(invoice, payment),
        at=payment.at,
        name=(method.brand or method.kind) if method else payment.kind,
        last4=method.last4 if method else "",
    )


def _share(invoice: Invoice, payment: Payment) -> int:
    return sum(part.amount for part in payment.allocations if part.invoice_id == invoice.id)
