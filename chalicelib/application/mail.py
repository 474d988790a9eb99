"""Sending a letter: look the customer up, write it, send it, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.application import confirmation, document_links
from chalicelib.application.context import Context
from chalicelib.application.ops import Document, Ops
from chalicelib.application.ports import Letter, Mailer
from chalicelib.application.records import Key, account_key, child_key, customer_key
from chalicelib.domain.catalog import Party
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.subscription import Status, Subscription

LEASE = timedelta(seconds=60)
KEPT = timedelta(days=60)
"""How long a sent letter is remembered: longer than a message or a stream record can come back."""
CONFIRM = "payment_confirm"
_WITH_DOCUMENT = {"receipt", "invoice", "invoice_overdue"}
_ABOUT_OPEN_INVOICE = {
    "payment_failed",
    "payment_missing",
    "payment_urgent",
    "payment_final",
    "payment_confirm",
    "invoice",
    "invoice_overdue",
    "unpaid",
    "grace_ended",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressee:
    """Everything that a letter may want to know of whom it goes to."""

    customer: Customer
    seller: Party
    account: Account | None = None
    subscription: Subscription | None = None
    invoice: Invoice | None = None
    confirmation_url: str | None = None
    """Where the payment that the letter is about waits for them."""
    document_url: str | None = None
    """Where the invoice that the letter is about can be read as PDF."""

    @property
    def zone(self) -> str:
        return self.subscription.zone if self.subscription else self.customer.zone


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


Render = Callable[[Letter, Addressee], Rendered]


def send_letter(ctx: Context, ops: Ops, mailer: Mailer, render: Render, letter: Letter) -> bool:
    """Send the letter unless it went out before, or its matter has been settled meanwhile; answers whether.

    May run twice and at once: a claim with a lease lets one send, and a mark remembers that it did. A process
    that dies after the mail was taken and before the mark is written sends it again once the lease has run out:
    that window of milliseconds, and an answer of the mail service that got lost. ConflictError while another
    holds the lease.
    """
    addressee = _addressee(ctx, letter)
    if addressee is None or _is_moot(letter, addressee):
        return False
    claim = _claim(ops, letter, ctx.machine_now)
    if claim is None:
        return False
    try:
        mail = render(letter, addressee)
        to = letter.to or addressee.customer.billing_email or addressee.customer.email
        mailer.send(to=to, subject=mail.subject, html=mail.html, text=mail.text, reference=letter.id)
    except BaseException:
        ops.delete(claim.pk, claim.sk)  # nothing went out: whoever gets the message next need not wait
        raise
    ops.put(claim.pk, claim.sk, {"sent": ctx.machine_now.isoformat()}, expires_at=ctx.machine_now + KEPT)
    return True


def _addressee(ctx: Context, letter: Letter) -> Addressee | None:
    """One BatchGet. None when the customer is gone or has no address."""
    subscription_id, invoice_id = letter.data.get("subscription"), letter.data.get("invoice")
    keys: list[Key[Any]] = [
        customer_key(ctx.env, letter.customer_id),
        account_key(ctx.env, letter.customer_id),
    ]
    if subscription_id:
        keys.append(child_key(Subscription, ctx.env, subscription_id))
    if invoice_id:
        keys.append(child_key(Invoice, ctx.env, invoice_id))
    found: dict[type, Any] = {
        type(record): record for record in ctx.store.get_many(keys) if record is not None
    }
    customer = found.get(Customer)
    if customer is None or not (letter.to or customer.billing_email or customer.email):
        return None
    subscription, invoice = found.get(Subscription), found.get(Invoice)
    return Addressee(
        customer=customer,
        account=found.get(Account),
        subscription=subscription,
        invoice=invoice,
        seller=invoice.seller if invoice else _seller(ctx, subscription),
        confirmation_url=_confirmation_url(ctx, letter),
        document_url=_document_url(ctx, letter),
    )


def _confirmation_url(ctx: Context, letter: Letter) -> str | None:
    if letter.template != CONFIRM:
        return None
    return confirmation.link_to(ctx, letter.data["invoice"], letter.data["attempt"])


def _document_url(ctx: Context, letter: Letter) -> str | None:
    invoice_id = letter.data.get("invoice")
    if letter.template not in _WITH_DOCUMENT or invoice_id is None:
        return None
    return document_links.link_to(ctx, invoice_id)


def _seller(ctx: Context, subscription: Subscription | None) -> Party:
    if subscription is None:
        return Party()
    return ctx.catalogs.version(ctx.env, subscription.catalog_version).seller


def _is_moot(letter: Letter, addressee: Addressee) -> bool:
    """Whether things have moved on since: mail comes in any order, and must not contradict what is so now.

    Not in a sandbox, whose clock runs ahead of its mail: there every letter shows that it would have gone out.
    """
    subscription, invoice = addressee.subscription, addressee.invoice
    if letter.template == "trial_will_end" and subscription is not None:
        cancellation = subscription.cancellation
        if cancellation is not None and cancellation.requested_at <= _happened(letter):
            return True
    if letter.env != LIVE:
        return False
    if letter.template in _ABOUT_OPEN_INVOICE:
        if invoice is None:
            return False
        return invoice.status is not InvoiceStatus.OPEN or not _still_waits(letter, invoice)
    if letter.template == "win_back":
        return subscription is not None and subscription.status is not Status.CANCELED
    if letter.template == "trial_will_end" and subscription is not None:
        trial = subscription.trial
        moved = trial is not None and trial.ends_at.isoformat() != letter.data.get("trial_end")
        return subscription.status is not Status.TRIALING or moved
    return False


def _still_waits(letter: Letter, invoice: Invoice) -> bool:
    """A letter with a link to confirm a payment is true for as long as that is the one that waits."""
    if letter.template != CONFIRM:
        return True
    attempt = invoice.attempt
    return attempt is not None and attempt.awaits_customer and attempt.number == letter.data["attempt"]


def _happened(letter: Letter) -> datetime:
    return datetime.fromisoformat(letter.data["happened_at"])


def _claim(ops: Ops, letter: Letter, machine_now: datetime) -> Document | None:
    """The right to send it; None when it is sent."""
    pk, lease = f"mail#{letter.env}#{letter.id}", {"lease": (machine_now + LEASE).isoformat()}
    claim = ops.create(pk, "0", lease, expires_at=machine_now + KEPT)
    if claim is not None:
        return claim
    there = ops.get(pk)
    if there is not None and "sent" in there.data:
        return None
    if there is not None and datetime.fromisoformat(there.data["lease"]) <= machine_now:
        claim = ops.replace(there, lease, expires_at=machine_now + KEPT)
    if claim is None:
        raise ConflictError("somebody else is sending this letter", fix="look again later", letter=letter.id)
    return claim
