"""Invoices as PDF over HTTP.

A document is answered by the address of what is kept in S3: API Gateway hands bytes to nobody who does not ask for
exactly their type first, and a browser does not. A draft is kept nowhere, so whoever wants one has to ask for it so.
"""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import documents
from chalicelib.application.documents import Printing
from chalicelib.composition import Services
from chalicelib.domain.errors import InvalidStateError, NotFoundError, ValidationError
from chalicelib.entrypoints.http.edge import PDF
from chalicelib.entrypoints.http.kit import Call, Reply, Scope, endpoint
from chalicelib.entrypoints.printing import sheet_of

bp = Blueprint(__name__)


@endpoint(
    bp,
    "GET",
    "/v1/invoices/{id}/pdf",
    status=302,
    scope=Scope.READ,
    tag="Invoices",
    summary="Go to an invoice as PDF: Location is good for five minutes and takes no key",
    errors=(NotFoundError,),
)
def get_invoice_pdf(call: Call[None]) -> Reply:
    printing = printing_of(call.services)
    return moved(documents.invoice_address(call.ctx, printing, call.path["id"]))


@endpoint(
    bp,
    "GET",
    "/v1/credit_notes/{id}/pdf",
    status=302,
    scope=Scope.READ,
    tag="Credit notes",
    summary="Go to a credit note as PDF: Location is good for five minutes and takes no key",
    errors=(NotFoundError,),
)
def get_credit_note_pdf(call: Call[None]) -> Reply:
    return moved(documents.note_address(call.ctx, printing_of(call.services), call.path["id"]))


@endpoint(
    bp,
    "GET",
    "/v1/subscriptions/{id}/upcoming_invoice/pdf",
    media=PDF,
    scope=Scope.READ,
    tag="Subscriptions",
    summary="Get the next invoice as PDF, marked as a draft: send Accept: application/pdf",
    errors=(NotFoundError, InvalidStateError, ValidationError),
)
def get_upcoming_invoice_pdf(call: Call[None]) -> Reply:
    content = documents.upcoming_document(call.ctx, printing_of(call.services), call.path["id"])
    if call.headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower() != PDF:
        raise ValidationError("this is a PDF", field="Accept", fix=f"send Accept: {PDF}")
    return Reply(content=content, headers={"Content-Type": PDF})


def printing_of(services: Services) -> Printing:
    return Printing(shelf=services.shelf, press=services.press, word=sheet_of)


def moved(address: str) -> Reply:
    """To an address that is not there for long: nobody keeps the answer."""
    return Reply(status=302, headers={"Location": address})
