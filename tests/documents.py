"""Invoices to print: made by the rules that make real ones, with whatever a test wants to see on paper."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.domain.billing import Occasion, open_invoice
from chalicelib.domain.catalog import Party
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.explanation import amount_of
from chalicelib.domain.invoice import Cause, CauseKind, Invoice, InvoiceStatus, Line
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.pricing import RatedStep
from chalicelib.domain.tax import TaxTerms
from chalicelib.domain.tax_rates import TaxRule
from tests import samples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SELLER = Party(
    name="Perennial Software GmbH",
    email="billing@perennial.test",
    address=("Torstraße 140", "10119 Berlin", "Germany"),
    country="DE",
    tax_ids=("DE123456789",),
)
BUYER = Party(
    name="Ada Lovelace Ltd",
    email="ada@example.com",
    address=("12 Analytical Row", "N1 7AA London", "GB"),
    country="GB",
    tax_ids=("GB123456789",),
)
VAT = TaxTerms(rules=(TaxRule(country="FR", rate="20"),))
NO_TAX = TaxTerms()
"""The sample's buyer is French where tax is concerned."""


def line(amount: str = "2900", quantity: int = 1, description: str = "Pro", **changes: Any) -> Line:
    made = Line(
        id=f"{description} {amount}",
        kind="recurring",
        description=description,
        product="pro",
        price_id="p",
        model="per_unit",
        quantity=quantity,
        steps=(RatedStep(quantity, amount),),
        period=samples.subscription().period,
    )
    made = replace(made, **changes)
    return replace(made, amount=amount_of(made))


def opened(
    *lines: Line, tax: TaxTerms = NO_TAX, redemptions: Any = (), credits: Any = (), **changes: Any
) -> Invoice:
    """An open invoice in dollars over these lines."""
    occasion = Occasion(now=NOW, customer=samples.customer(), seller=SELLER, minimum=0, tax=tax)
    drawn = open_invoice(
        samples.subscription(redemptions=redemptions),
        samples.account(credits=credits),
        lines or (line(),),
        cause=Cause(kind=CauseKind.CHANGE, reference="1"),
        period=samples.subscription().period,
        occasion=occasion,
    )
    return replace(drawn.invoice, **{"buyer": BUYER, "zone": "UTC", **changes})


def paid(invoice: Invoice, **changes: Any) -> Invoice:
    """Paid at once by card."""
    payment = Payment(
        id="pay_1",
        customer_id=invoice.customer_id,
        amount=invoice.amount_due,
        currency=invoice.currency,
        at=NOW,
        kind="card",
        allocations=(Allocation(invoice.id, invoice.amount_due),),
        method=PaymentMethod(id="pm_1", brand="visa", last4="4242"),
    )
    return replace(
        invoice,
        status=InvoiceStatus.PAID,
        amount_paid=invoice.amount_due,
        paid_at=NOW,
        payments=(replace(payment, **changes),),
    )
