"""The customer's own confirmation of a payment that their bank held back: the link, the button, the way back.

A link is bound to one attempt of one invoice, and so to one payment at the processor. Whoever has it can see the
invoice's number and amount, and can do no more than confirm that payment at the cardholder's own bank.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlencode

from chalicelib.application import collection
from chalicelib.application.context import Context, deciding
from chalicelib.domain import ids, pending
from chalicelib.domain.credentials import entropy_of
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.payment import Attempt
from chalicelib.domain.subscription import Subscription

PATH = "/confirm"
RETURN_PATH = "/confirm/return"


class Standing(StrEnum):
    """What a link finds: WAITING can be confirmed, PENDING is under way, CLOSED was given up for something else."""

    WAITING = "waiting"
    PENDING = "pending"
    PAID = "paid"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What an address names; `token` proves that it came from us."""

    invoice_id: str
    attempt: int
    token: str


def link_of(ctx: Context, invoice: Invoice) -> str | None:
    """Where the customer confirms the invoice's payment; None unless it waits for them."""
    attempt = invoice.attempt
    if invoice.status is not InvoiceStatus.OPEN or attempt is None or not attempt.awaits_customer:
        return None
    return link_to(ctx, invoice.id, attempt.number)


def link_to(ctx: Context, invoice_id: str, attempt: int) -> str:
    """The link of this attempt, whatever has become of it: its page says that."""
    token = _token(ctx, invoice_id, attempt)
    return address(ctx, Link(invoice_id=invoice_id, attempt=attempt, token=token))


def address(ctx: Context, link: Link, path: str = PATH) -> str:
    """The link's page, or another page about the same."""
    query = {"env": ctx.env, "invoice": link.invoice_id, "attempt": link.attempt, "token": link.token}
    return f"{ctx.services.public_url}{path}?{urlencode(query)}"


def find(ctx: Context, link: Link) -> tuple[Invoice, Attempt]:
    """The invoice and the attempt of a link; NotFoundError for one that we did not make. No read before that."""
    ids.require("inv", link.invoice_id)
    token = _token(ctx, link.invoice_id, link.attempt)
    if not hmac.compare_digest(token.encode(), link.token.encode()):
        raise NotFoundError("no such page", id=link.invoice_id)
    invoice, _ = collection.load(ctx, link.invoice_id)
    attempt = next((each for each in invoice.attempts if each.number == link.attempt), None)
    if attempt is None:
        raise NotFoundError("no such page", id=link.invoice_id)
    return invoice, attempt


def standing_of(invoice: Invoice, attempt: Attempt) -> Standing:
    """What there is to say to whoever has the link of this attempt."""
    if invoice.status is InvoiceStatus.PAID:
        return Standing.PAID
    if invoice.status is not InvoiceStatus.OPEN or attempt != invoice.attempt or not attempt.is_open:
        return Standing.CLOSED
    return Standing.WAITING if attempt.awaits_customer else Standing.PENDING


def confirm(ctx: Context, link: Link) -> str | None:
    """The customer is there and wants to confirm: the address of their bank's page; None where nothing is asked.

    Safe to run any number of times and at once: it is one payment at the processor, which takes money once. Each
    run is counted and written down first, so that none is answered with the page of an earlier one, which may be
    over. What the processor says at once is settled.
    """
    find(ctx, link)
    claimed = deciding(lambda: _claimed(ctx, link))
    if claimed is None:
        return None
    invoice, subscription = claimed
    request = collection.charge_request(ctx, invoice, invoice.attempts[-1])
    answer = ctx.gateway.confirm_charge(request, return_url=address(ctx, link, RETURN_PATH))
    if answer.url is None:
        collection.settle(ctx, invoice, subscription, answer.result)
    return answer.url


def look_up(ctx: Context, link: Link) -> tuple[Invoice, Attempt]:
    """Ask the processor what became of it, and settle that. Moves no money; safe to run any number of times."""
    invoice, attempt = find(ctx, link)
    if attempt != invoice.attempt or not attempt.is_open:
        return invoice, attempt
    invoice, subscription = collection.load(ctx, link.invoice_id)
    result = ctx.gateway.find_charge(collection.charge_request(ctx, invoice, attempt))
    if result is not None:
        collection.settle(ctx, invoice, subscription, result)
    return find(ctx, link)


def _claimed(ctx: Context, link: Link) -> tuple[Invoice, Subscription] | None:
    invoice, subscription = collection.load(ctx, link.invoice_id)
    attempt = invoice.attempt
    if attempt is None or attempt.number != link.attempt or not attempt.awaits_customer:
        return None
    if invoice.status is not InvoiceStatus.OPEN:
        return None
    counted = pending.confirming(invoice)
    ctx.store.commit(ctx.env, counted)
    return replace(counted, version=counted.version + 1), subscription


def _token(ctx: Context, invoice_id: str, attempt: int) -> str:
    entropy = entropy_of(ctx.services.pepper, "confirm", ctx.env, invoice_id, str(attempt))
    return base64.urlsafe_b64encode(entropy).decode().rstrip("=")
