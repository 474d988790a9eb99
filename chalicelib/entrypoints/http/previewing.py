"""What routes with a preview share: the request by its content, the token's way in, the preview as answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from chalicelib.application.context import Context
from chalicelib.application.previews import Preview, commit_previewed
from chalicelib.entrypoints.http.credit_note_view import credit_note_view
from chalicelib.entrypoints.http.invoices import invoice_view
from chalicelib.entrypoints.http.kit import Schema
from chalicelib.entrypoints.http.schemas.changes import PreviewView
from chalicelib.entrypoints.http.subscriptions import subscription_view

T = TypeVar("T")


def bound(ctx: Context, operation: str, token: str | None, use_case: Callable[[Context], T]) -> T:
    """Run the use case, as it was previewed where there is a token."""
    return use_case(ctx) if token is None else commit_previewed(ctx, operation, token, use_case)


def operation(verb: str, subject: str, body: Schema | None) -> str:
    """The request by its content: the same for its preview, which has no token yet."""
    content = {} if body is None else body.model_dump(mode="json", exclude={"preview_token"})
    return f"{verb}:{subject}:{json.dumps(content, sort_keys=True)}"


def shown(ctx: Context, found: Preview) -> PreviewView:
    after, following = found.after, found.following
    return PreviewView(
        token=found.token,
        expires_at=found.expires_at,
        invoices=[invoice_view(ctx, invoice) for invoice in found.outcome.invoices],
        credit_notes=[credit_note_view(note) for note in found.outcome.credit_notes],
        subscription=subscription_view(after) if after is not None else None,
        next_invoice=invoice_view(ctx, following) if following is not None else None,
    )
