"""The link in a letter that opens one invoice's document for whoever has it.

It shows what the letter's reader was sent anyway, and can do nothing else. It does not expire: people look for an
invoice when the tax is due.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from urllib.parse import urlencode

from chalicelib.application.context import Context
from chalicelib.domain import ids
from chalicelib.domain.credentials import entropy_of
from chalicelib.domain.errors import NotFoundError

PATH = "/invoice"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What an address names; `token` proves that it came from us."""

    invoice_id: str
    token: str


def link_to(ctx: Context, invoice_id: str) -> str:
    query = {"env": ctx.env, "invoice": invoice_id, "token": _token(ctx, invoice_id)}
    return f"{ctx.services.public_url}{PATH}?{urlencode(query)}"


def require_link(ctx: Context, link: Link) -> str:
    """The id of the invoice that the link opens; NotFoundError for one that we did not make. Reads nothing."""
    ids.require("inv", link.invoice_id)
    if not hmac.compare_digest(_token(ctx, link.invoice_id).encode(), link.token.encode()):
        raise NotFoundError("no such page", id=link.invoice_id)
    return link.invoice_id


def _token(ctx: Context, invoice_id: str) -> str:
    entropy = entropy_of(ctx.services.pepper, "document", ctx.env, invoice_id)
    return base64.urlsafe_b64encode(entropy).decode().rstrip("=")
