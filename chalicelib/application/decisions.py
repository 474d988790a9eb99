"""Committing a decision: its records and its journal entry, all or nothing."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application.context import Context
from chalicelib.domain import journal
from chalicelib.domain.decision import Decision


def commit(ctx: Context, customer_id: str, decision: Decision) -> Decision:
    """Write the decision in one transaction and answer it with the versions that are stored now.

    May run twice: every record carries the version it was decided on, so a decision taken on old ground, or
    taken before, raises VersionConflict and writes nothing. The caller loads and decides anew.
    """
    records = decision.records
    if decision.facts:
        entry = journal.entry(
            customer_id,
            at=ctx.now,
            actor=ctx.actor,
            cause=decision.cause,
            facts=decision.facts,
            channel=ctx.channel,
            postings=decision.postings,
            movements=decision.movements,
        )
        records = (*records, entry)
    if records:
        ctx.store.commit(ctx.env, *records)
    if ctx.tally is not None:
        ctx.tally.update(fact.type for fact in decision.facts)
    return _stored(decision)


def _stored(decision: Decision) -> Decision:
    account, subscription, invoice = decision.account, decision.subscription, decision.invoice
    return replace(
        decision,
        account=account and replace(account, version=account.version + 1),
        subscription=subscription and replace(subscription, version=subscription.version + 1),
        invoice=invoice and replace(invoice, version=invoice.version + 1),
        also=tuple(replace(record, version=record.version + 1) for record in decision.also),
    )
