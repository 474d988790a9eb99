"""What the processor reports and nothing else follows from: a fact in the journal, once per event."""

from __future__ import annotations

from contextlib import suppress

from chalicelib.application.context import Context
from chalicelib.application.ports import ProcessorNotice, VersionConflict
from chalicelib.application.records import account_key
from chalicelib.domain import journal
from chalicelib.domain.customer import Claim
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.journal import Fact


def record_once(ctx: Context, notice: ProcessorNotice, type_: str) -> None:
    """One journal entry per event of the processor: a claim on its id commits with it."""
    assert notice.customer_id is not None
    if ctx.store.get(account_key(ctx.env, notice.customer_id)) is None:
        raise NotFoundError("no such customer", id=notice.customer_id)
    data = {"reference": notice.reference, "invoice": notice.invoice_id, "attempt": notice.attempt}
    entry = journal.entry(
        notice.customer_id,
        at=ctx.now,
        actor=ctx.actor,
        cause=f"notice:{notice.id}",
        facts=(Fact(type_, notice.invoice_id or notice.customer_id, data),),
    )
    claim = Claim(kind="notice", value=notice.id, owner=notice.customer_id, at=ctx.now)
    with suppress(VersionConflict):
        ctx.store.commit(ctx.env, claim, entry)
