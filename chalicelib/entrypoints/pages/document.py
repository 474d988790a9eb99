"""The link in a letter: the invoice as PDF for whoever has it."""

from __future__ import annotations

from chalice.app import Blueprint
from pydantic import BaseModel

from chalicelib.application import document_links, documents
from chalicelib.application.document_links import Link
from chalicelib.domain.errors import NotFoundError
from chalicelib.entrypoints.http.documents import moved, printing_of
from chalicelib.entrypoints.http.kit import Call, Reply, endpoint
from chalicelib.entrypoints.pages.checkout import gone
from chalicelib.entrypoints.pages.visitor import enter_by_link

bp = Blueprint(__name__)


class DocumentQuery(BaseModel):
    """The link; a mail program may add parameters of its own."""

    env: str = ""
    invoice: str = ""
    token: str = ""


@endpoint(
    bp,
    "GET",
    document_links.PATH,
    query=DocumentQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="An invoice as PDF",
)
def show(call: Call[None]) -> Reply:
    """Moves no money and changes nothing: whatever looks through mail for links may open it."""
    query = call.query
    try:
        ctx = enter_by_link(call, query.env)
        invoice_id = document_links.require_link(ctx, Link(invoice_id=query.invoice, token=query.token))
        return moved(documents.invoice_address(ctx, printing_of(call.services), invoice_id))
    except NotFoundError:
        return gone()
