"""Committing a decision: its records and its journal entry, all or nothing."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application.context import Context
from chalicelib.domain import journal
from chalicelib.domain.decision import Decision
from chalicelib.domain.funnel import stepped
from chalicelib.domain.journal import FunnelStep
from chalicelib.domain.subscription import Subscription


def commit(ctx: Context, customer_id: str, decision: Decision) -> Decision:
    """Write the decision in one transaction and answer it with the versions that are stored now.

    May run twice: every record carries the version it was decided on, so a decision taken on old ground, or
    taken before, raises VersionConflict and writes nothing. The caller loads and decides anew.
    """
    funnel: tuple[FunnelStep, ...] = ()
    if decision.facts:
        decision, funnel = _with_steps(decision)
    records = decision.records
    if decision.facts or decision.postings or decision.movements:
        entry = journal.entry(
            customer_id,
            at=ctx.now,
            actor=ctx.actor,
            cause=decision.cause,
            facts=decision.facts,
            channel=ctx.channel,
            postings=decision.postings,
            movements=decision.movements,
            funnel=funnel,
        )
        records = (*records, entry)
    if records:
        ctx.store.commit(ctx.env, *records)
    if ctx.tally is not None:
        ctx.tally.update(fact.type for fact in decision.facts)
    return _stored(decision)


def _with_steps(decision: Decision) -> tuple[Decision, tuple[FunnelStep, ...]]:
    """The decision with its subscriptions' way to revenue brought up to date, and the steps for the journal."""
    steps: tuple[FunnelStep, ...] = ()
    subscription, also = decision.subscription, []
    if subscription is not None:
        subscription, steps = stepped(subscription)
    for record in decision.also:
        more: tuple[FunnelStep, ...] = ()
        if isinstance(record, Subscription):
            record, more = stepped(record)
        also.append(record)
        steps += more
    return replace(decision, subscription=subscription, also=tuple(also)), steps


def _stored(decision: Decision) -> Decision:
    account, subscription, invoice = decision.account, decision.subscription, decision.invoice
    return replace(
        decision,
        account=account and replace(account, version=account.version + 1),
        subscription=subscription and replace(subscription, version=subscription.version + 1),
        invoice=invoice and replace(invoice, version=invoice.version + 1),
        also=tuple(replace(record, version=record.version + 1) for record in decision.also),
    )
