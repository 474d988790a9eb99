"""Erasing a person: what is left of each record that names one.

What is left can be billed from no more, and counted still. Invoices keep what bookkeeping and tax law want, the
buyer's name, address and tax ids; an e-mail address is not among it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.customer import Account, Customer, Lead
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.subscription import Status, Subscription

_OVER = {Status.CANCELED, Status.INCOMPLETE_EXPIRED}
_UNSETTLED = {InvoiceStatus.DRAFT, InvoiceStatus.OPEN}


def refuse_while_billed(subscriptions: Iterable[Subscription], invoices: Iterable[Invoice]) -> None:
    """InvalidStateError while anything may still be billed or collected: it needs to know whom."""
    for subscription in subscriptions:
        if subscription.status not in _OVER:
            raise InvalidStateError(
                f"a subscription is {subscription.status}",
                fix=f"POST /v1/subscriptions/{subscription.id}/cancel first",
                subscription=subscription.id,
            )
    for invoice in invoices:
        if invoice.status in _UNSETTLED or (invoice.attempt is not None and invoice.attempt.is_open):
            raise InvalidStateError(
                f"invoice {invoice.number} is not settled",
                fix=f"collect it, or POST /v1/invoices/{invoice.id}/mark_uncollectible",
                invoice=invoice.id,
            )
        if any(dispute.is_pending for payment in invoice.payments for dispute in payment.disputes):
            raise InvalidStateError(
                f"a payment of invoice {invoice.number} is disputed",
                fix="wait until the dispute is closed: it is answered with what is known of the customer",
                invoice=invoice.id,
            )


def refuse_erased(customer: Customer) -> None:
    """Nothing new is begun for somebody who was erased."""
    if customer.erased_at is not None:
        raise InvalidStateError("this customer was erased", fix="create a new customer", customer=customer.id)


def erased_customer(customer: Customer, now: datetime) -> Customer:
    """The profile without the person. Not even the digest of the request that created it is left."""
    return Customer(
        id=customer.id,
        created_at=customer.created_at,
        email="",
        currency=customer.currency,
        zone=customer.zone,
        terms=customer.terms,
        erased_at=now,
        version=customer.version,
    )


def erased_account(account: Account) -> Account:
    """Without the card; invoice numbers and credit stay."""
    return replace(account, payment_method=None)


def erased_signup(session: SignupSession) -> SignupSession:
    return replace(session, email="", name="", company="", country="", note="", request="")


def erased_lead(lead: Lead) -> Lead:
    return replace(lead, email="", name="", company="", country="", note="")


def erased_invoice(invoice: Invoice) -> Invoice:
    """Where no name was known, the e-mail address stood in for it: then nothing is left."""
    buyer = invoice.buyer
    return replace(invoice, buyer=replace(buyer, email="", name="" if "@" in buyer.name else buyer.name))
