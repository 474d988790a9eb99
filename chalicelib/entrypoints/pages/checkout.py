"""The pages around the processor's payment page: the way there, and the way back."""

from __future__ import annotations

from contextlib import suppress

from chalice.app import Blueprint
from pydantic import BaseModel

from chalicelib.application import checkout
from chalicelib.application.catalog import current_catalog
from chalicelib.domain.checkout import CheckoutMode, CheckoutStatus
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    NotFoundError,
    RateLimitedError,
)
from chalicelib.entrypoints.http.kit import Call, Reply, endpoint
from chalicelib.entrypoints.http.limiting import count_return
from chalicelib.entrypoints.pages import page
from chalicelib.entrypoints.pages.visitor import enter_by_link

bp = Blueprint(__name__)

MOST_LOOKS = 40
"""How often the waiting page looks again by itself, ever more slowly: about eight minutes."""
_SLOWEST = 15


class CheckoutQuery(BaseModel):
    """`env` and `session` name the checkout; `look` counts the looks. Unknown parameters are not ours to refuse."""

    env: str = ""
    session: str = ""
    look: int = 0


@endpoint(
    bp,
    "GET",
    "/checkout/pay",
    query=CheckoutQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="On to the payment page",
)
def pay(call: Call[None]) -> Reply:
    """A page that leads on by itself: a form may not be redirected to another origin by its policy."""
    try:
        ctx = enter_by_link(call, call.query.env)
        session = checkout.get_checkout(ctx, call.query.session)
    except NotFoundError:
        return gone()
    if session.status is not CheckoutStatus.OPEN or session.url is None:
        return _seen(checkout.return_address(ctx, session) or session.cancel_url)
    return page(
        "leaving.html",
        sheets=("base.css", "signup.css"),
        url=session.url,
        setup=session.mode is CheckoutMode.SETUP,
        seller=current_catalog(ctx).seller,
    )


@endpoint(
    bp,
    "GET",
    "/checkout/return",
    query=CheckoutQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="Back from the payment page",
)
def back(call: Call[None]) -> Reply:
    """Write down what the customer did, then send them on. Nothing here is taken from the address but the id."""
    try:
        ctx = enter_by_link(call, call.query.env)
        session = checkout.get_checkout(ctx, call.query.session)
    except NotFoundError:
        return gone()
    # Trouble of ours is not the customer's: the page looks again, and the webhook may be faster.
    with suppress(GatewayUnavailableError, ConflictError, RateLimitedError):
        if session.status is not CheckoutStatus.COMPLETE:
            count_return(call, ctx, session.id)
        session = checkout.complete_checkout(ctx, session.id)
    address = checkout.return_address(ctx, session)
    if address is not None:
        return _seen(address)
    look = max(0, call.query.look) + 1
    return page(
        "waiting.html",
        sheets=("base.css", "signup.css"),
        again=f"?env={ctx.env}&session={session.id}&look={look}" if look <= MOST_LOOKS else None,
        seconds=min(1 + look, _SLOWEST),
        url=session.url,
        seller=current_catalog(ctx).seller,
    )


def gone() -> Reply:
    return page(
        "unavailable.html",
        status=404,
        heading="This page is not here",
        message="The link may be incomplete. Please go back to where you found it.",
    )


def _seen(address: str) -> Reply:
    return Reply(status=303, headers={"Location": address})
