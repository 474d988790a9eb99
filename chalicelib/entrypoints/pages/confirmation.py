"""The page behind a confirmation link: what is to be paid, one button, and the customer's own bank behind it.

Opening the page moves no money: whatever looks through mail for links may open it. The token in its address is all
that the button sends, and no cookie exists, so there is nothing to forge a request with.
"""

from __future__ import annotations

from contextlib import suppress

from chalice.app import Blueprint
from pydantic import BaseModel

from chalicelib.application import confirmation
from chalicelib.application.confirmation import Link, Standing
from chalicelib.application.context import Context
from chalicelib.domain.errors import ConflictError, GatewayUnavailableError, NotFoundError, RateLimitedError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Attempt
from chalicelib.entrypoints.formatting import format_amount
from chalicelib.entrypoints.http.kit import Call, Reply, endpoint
from chalicelib.entrypoints.http.limiting import count_return
from chalicelib.entrypoints.pages import page
from chalicelib.entrypoints.pages.checkout import gone
from chalicelib.entrypoints.pages.visitor import enter_by_link, page_language

bp = Blueprint(__name__)

SHEETS = ("base.css", "signup.css")
_NOTES = {
    "refused": "Your bank has not confirmed the payment, and nothing was charged. You can try again.",
    "busy": "This cannot be done right now, and nothing was charged. Please try again in some minutes.",
}


class ConfirmationQuery(BaseModel):
    """The link; `seen` names what just happened. The processor adds parameters of its own on the way back."""

    env: str = ""
    invoice: str = ""
    attempt: int = 0
    token: str = ""
    seen: str = ""


@endpoint(
    bp,
    "GET",
    confirmation.PATH,
    query=ConfirmationQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="Confirm a payment",
)
def show(call: Call[None]) -> Reply:
    """What there is to confirm, or what has become of it."""
    try:
        invoice, attempt = confirmation.find(_entered(call), _link(call))
    except NotFoundError:
        return gone()
    return _page(call, invoice, attempt)


@endpoint(
    bp,
    "POST",
    confirmation.PATH,
    query=ConfirmationQuery,
    raw=True,
    content_types=["application/x-www-form-urlencoded"],
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="On to the bank",
)
def confirm(call: Call[None]) -> Reply:
    """The button. A page that leads on by itself: a form may not be redirected to another origin by its policy."""
    try:
        ctx, link = _entered(call), _link(call)
        invoice, attempt = confirmation.find(ctx, link)
    except NotFoundError:
        return gone()
    if confirmation.standing_of(invoice, attempt) is not Standing.WAITING:
        return _page(call, invoice, attempt)
    try:
        count_return(call, ctx, invoice.id)
        url = confirmation.confirm(ctx, link)
    except ConflictError:  # pressed twice
        return _page(call, invoice, attempt, seen="busy", status=409)
    except (GatewayUnavailableError, RateLimitedError):
        return _page(call, invoice, attempt, seen="busy", status=503)
    if url is None:
        return _back_to_page(ctx, link)
    return page("to_bank.html", sheets=SHEETS, url=url, seller=invoice.seller)


@endpoint(
    bp,
    "GET",
    confirmation.RETURN_PATH,
    query=ConfirmationQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="Back from the bank",
)
def back(call: Call[None]) -> Reply:
    """Write down what the customer did, then show it at an address without what the processor added to this one."""
    try:
        ctx, link = _entered(call), _link(call)
        invoice, _ = confirmation.find(ctx, link)
    except NotFoundError:
        return gone()
    # Trouble of ours is not the customer's: the webhook settles it too.
    with suppress(GatewayUnavailableError, ConflictError, RateLimitedError):
        count_return(call, ctx, invoice.id)
        confirmation.look_up(ctx, link)
    return _back_to_page(ctx, link)


def _entered(call: Call[None]) -> Context:
    return enter_by_link(call, call.query.env)


def _link(call: Call[None]) -> Link:
    query = call.query
    return Link(invoice_id=query.invoice, attempt=query.attempt, token=query.token)


def _back_to_page(ctx: Context, link: Link) -> Reply:
    address = confirmation.address(ctx, link)
    if confirmation.standing_of(*confirmation.find(ctx, link)) is Standing.WAITING:
        address += "&seen=refused"
    return Reply(status=303, headers={"Location": address})


def _page(
    call: Call[None], invoice: Invoice, attempt: Attempt, *, seen: str | None = None, status: int = 200
) -> Reply:
    wanted = call.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
    language = page_language(wanted or None)
    return page(
        "confirm.html",
        sheets=SHEETS,
        status=status,
        standing=confirmation.standing_of(invoice, attempt),
        note=_NOTES.get(call.query.seen if seen is None else seen),
        number=invoice.number,
        amount=format_amount(str(attempt.amount), invoice.currency, language),
        seller=invoice.seller,
    )
