"""An invoice's explanation as answered."""

from __future__ import annotations

from chalicelib.domain.explanation import CouponUse, explain
from chalicelib.domain.invoice import Invoice, Line
from chalicelib.domain.tax import TaxSum
from chalicelib.entrypoints.explaining import Writer
from chalicelib.entrypoints.http.schemas.invoices import (
    CouponUseView,
    ExplainedLineView,
    ExplanationView,
    TaxSumView,
)


def explanation_view(invoice: Invoice, language: str) -> ExplanationView:
    found, writer = explain(invoice), Writer.of(invoice, language)
    return ExplanationView(
        invoice=invoice.id,
        number=invoice.number,
        currency=invoice.currency,
        language=language,
        matches=not found.differences,
        differences=list(found.differences),
        lines=[_line(line, writer) for line in found.lines],
        coupons=[_coupon(use) for use in found.coupons],
        taxes=[tax_view(tax) for tax in found.taxes],
        total=found.total,
        tax=found.tax,
        credit_applied=invoice.credit_applied,
        carried_in=invoice.carried_in,
        carried_out=invoice.carried_out,
        credit_granted=invoice.credit_granted,
        amount_due=found.amount_due,
        formatted=writer.money(found.amount_due),
    )


def _line(line: Line, writer: Writer) -> ExplainedLineView:
    return ExplainedLineView(
        id=line.id,
        sentence=writer.sentence(line),
        formatted=writer.money(line.amount),
        amount=line.amount,
        discount=line.discount,
        net=line.net,
        tax=line.tax,
        total=line.total,
    )


def _coupon(use: CouponUse) -> CouponUseView:
    return CouponUseView(
        coupon=use.share.coupon,
        order=use.share.order,
        percent=use.share.percent,
        fixed=use.share.fixed or None,
        base=use.base,
        amount=use.amount,
    )


def tax_view(tax: TaxSum) -> TaxSumView:
    return TaxSumView(rate=tax.rate, inclusive=tax.inclusive, note=tax.note, base=tax.base, tax=tax.tax)
