"""Corrections of invoices over HTTP: credit notes, and voiding what was never owed."""

from __future__ import annotations

from collections.abc import Callable

from chalice.app import Blueprint

from chalicelib.application import credit_notes as use_cases
from chalicelib.application import voiding
from chalicelib.application.context import Context
from chalicelib.application.previews import preview
from chalicelib.application.refunds import list_refunds
from chalicelib.domain import ids
from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.errors import (
    ConflictError,
    GatewayUnavailableError,
    InvalidStateError,
    NotFoundError,
    PreviewStaleError,
    ValidationError,
)
from chalicelib.entrypoints.http.credit_note_view import credit_note_view
from chalicelib.entrypoints.http.invoices import invoice_view
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.previewing import bound, operation, shown
from chalicelib.entrypoints.http.schemas.changes import PreviewView
from chalicelib.entrypoints.http.schemas.credit_notes import (
    CreditNotePage,
    CreditNoteQuery,
    CreditNoteRequest,
    CreditNoteTerms,
    CreditNoteView,
    Destination,
)
from chalicelib.entrypoints.http.schemas.invoices import InvoiceView

bp = Blueprint(__name__)
_REFUSALS = (NotFoundError, ValidationError, InvalidStateError, ConflictError)


@endpoint(
    bp,
    "POST",
    "/v1/invoices/{id}/credit_notes",
    body=CreditNoteRequest,
    answer=CreditNoteView,
    status=201,
    scope=Scope.REFUND,
    tag="Credit notes",
    summary="Say that less is owed: lower what is due, then refund or credit what was paid",
    errors=(*_REFUSALS, PreviewStaleError, GatewayUnavailableError),
)
def issue_credit_note(call: Call[CreditNoteRequest]) -> CreditNoteView:
    invoice_id = ids.require("inv", call.path["id"])
    asked = operation("credit_note", invoice_id, call.body)
    note = bound(call.ctx, asked, call.body.preview_token, _issuing(invoice_id, call.body))
    return _with_refunds(call.ctx, note)


@endpoint(
    bp,
    "POST",
    "/v1/invoices/{id}/credit_notes/preview",
    body=CreditNoteTerms,
    answer=PreviewView,
    scope=Scope.READ,
    tag="Previews",
    summary="What a credit note would come to, with a token that binds it",
    errors=_REFUSALS,
)
def preview_credit_note(call: Call[CreditNoteTerms]) -> PreviewView:
    invoice_id = ids.require("inv", call.path["id"])
    asked = operation("credit_note", invoice_id, call.body)
    return shown(call.ctx, preview(call.ctx, asked, _issuing(invoice_id, call.body)))


@endpoint(
    bp,
    "GET",
    "/v1/credit_notes/{id}",
    answer=CreditNoteView,
    scope=Scope.READ,
    tag="Credit notes",
    summary="Get a credit note",
    errors=(NotFoundError,),
)
def get_credit_note(call: Call[None]) -> CreditNoteView:
    return _with_refunds(call.ctx, use_cases.get_credit_note(call.ctx, call.path["id"]))


@endpoint(
    bp,
    "GET",
    "/v1/credit_notes",
    query=CreditNoteQuery,
    answer=CreditNotePage,
    scope=Scope.READ,
    tag="Credit notes",
    summary="List the credit notes of a customer or of one invoice, newest first",
    errors=(NotFoundError, ValidationError),
)
def list_credit_notes(call: Call[None]) -> CreditNotePage:
    query = call.query
    page = use_cases.list_credit_notes(
        call.ctx, customer_id=query.customer, invoice_id=query.invoice, limit=query.limit, cursor=query.cursor
    )
    owed = any(note.refunds for note in page.records)
    known = list_refunds(call.ctx, page.records[0].customer_id) if owed else []
    return CreditNotePage(
        data=[credit_note_view(note, known) for note in page.records], next_cursor=page.cursor
    )


@endpoint(
    bp,
    "POST",
    "/v1/invoices/{id}/void",
    answer=InvoiceView,
    scope=Scope.WRITE,
    tag="Invoices",
    summary="Void an open invoice on which nothing was paid: nothing was ever owed",
    errors=(NotFoundError, InvalidStateError, ConflictError, GatewayUnavailableError),
)
def void_invoice(call: Call[None]) -> InvoiceView:
    return invoice_view(call.ctx, voiding.void_invoice(call.ctx, call.path["id"]))


def _issuing(invoice_id: str, body: CreditNoteTerms) -> Callable[[Context], CreditNote]:
    wanted = Wanted(
        lines=tuple((each.line, each.amount) for each in body.lines),
        amount=body.amount,
        refund=body.refund,
        credit=body.credit,
        as_refund=body.destination is Destination.REFUND,
    )
    return lambda ctx: use_cases.issue_credit_note(ctx, invoice_id, wanted, reason=body.reason)


def _with_refunds(ctx: Context, note: CreditNote) -> CreditNoteView:
    return credit_note_view(note, list_refunds(ctx, note.customer_id) if note.refunds else ())
