"""Checks of time: whatever wants attention stands in the due index, nothing waits long, nothing is stuck."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from chalicelib.application import clock
from chalicelib.application.ports import DueRow
from chalicelib.application.records import due_entry, key_of
from chalicelib.domain.checkout import CheckoutSession, CheckoutStatus
from chalicelib.domain.customer import Account
from chalicelib.domain.environment import shard_count
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.payment import AttemptStatus
from chalicelib.domain.refund import Refund, RefundStatus
from chalicelib.domain.schedule import DueKind, next_due
from infra.ops.chart import Chart, Finding, Patient, scheduled
from infra.ops.repairs import enqueue, rewrite, wake

LATE = timedelta(hours=2)
"""What fell due so long ago should have been done."""
NO_OUTCOME = timedelta(hours=1)
PROCESSING = timedelta(days=14)
"""A bank debit takes days."""
_AT_THE_PROCESSOR = (AttemptStatus.IN_FLIGHT, AttemptStatus.PROCESSING)
LOOKED_UP = (
    "it is looked up again by itself; in Stripe's dashboard search metadata['invoice'] for its invoice"
)
EVER = timedelta(days=36_500)
MOST = 5_000_000


class Schedule:
    """Every record's next instant is in the due index as the record has it, and nothing is overdue."""

    name = "schedule"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._kept = 0
        self._moving = bool(clock.unfinished(patient.ops, patient.env))
        until = patient.now + EVER
        self._rows = {
            (row.pk, row.sk): row
            for shard in range(shard_count(patient.env))
            for row in patient.store.due(patient.env, shard, until, MOST)
        }

    def see(self, chart: Chart) -> Iterator[Finding]:
        for type_ in scheduled():
            for record in chart.of(type_):
                yield from self._record(record)

    def end(self) -> Iterator[Finding]:
        """What is left in the index belongs to nothing that could be read."""
        for row in self._rows.values():
            yield Finding(
                text=f"a row of the due index leads nowhere: {row.kind} at {row.pk} {row.sk}",
                what_to_do="the worker passes it over; ask who wrote to the table",
            )

    def said(self) -> str:
        return f"{self._kept} things wait for their instant, and the due index has each"

    def _record(self, record: object) -> Iterator[Finding]:
        env, key = self._patient.env, key_of(self._patient.env, record)
        row, due = self._rows.pop((key.pk, key.sk), None), next_due(record)
        id_ = record.customer_id if isinstance(record, Account) else record.id  # type: ignore[attr-defined]
        if due is None and row is None:
            return
        self._kept += 1
        found = None if row is None else f"{row.at.isoformat(timespec='microseconds')}#{row.kind}"
        wanted = due_entry(env, record)
        if found != (wanted[1] if wanted else None):
            wants = f"wants {due.kind} at {due.at.isoformat()}" if due else "wants nothing"
            has = f"has {row.kind} at {row.at.isoformat()}" if row else "has no row"
            yield Finding(
                text=f"{id_} {wants}, and {has} in the due index",
                what_to_do="make doctor REPAIR=1 writes it",
                repair=lambda: rewrite(self._patient, record),
            )
        elif due is not None and due.at < self._patient.now - LATE and not self._moving:
            overdue = DueRow(env, due.at, due.kind, key.pk, key.sk)
            yield Finding(
                text=f"{id_} has wanted {due.kind} since {due.at.isoformat()}",
                what_to_do="make doctor REPAIR=1 enqueues it; if it stays, read the worker's log for its id",
                repair=lambda: enqueue(self._patient, overdue, id_),
            )


class Stuck:
    """No attempt, refund, page or clock advance that nobody will look after."""

    name = "stuck"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._open = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        for invoice in chart.of(Invoice):
            yield from self._attempt(invoice)
        for refund in chart.of(Refund):
            if refund.status is RefundStatus.IN_FLIGHT:
                self._open += 1
                if self._patient.machine_now - refund.written_at > NO_OUTCOME:
                    text = f"{refund.id} of {refund.payment_id} has no outcome since {refund.written_at.isoformat()}"
                    yield Finding(text=text, what_to_do=LOOKED_UP)
        for session in chart.of(CheckoutSession):
            if session.status is CheckoutStatus.OPEN:
                self._open += 1
                if session.expires_at < self._patient.machine_now - LATE:
                    yield Finding(
                        text=f"{session.id} is open, and its page ended at {session.expires_at.isoformat()}",
                        what_to_do="its due row releases it in business time; in a sandbox advance the clock",
                    )

    def end(self) -> Iterator[Finding]:
        for env, advance_id in clock.forsaken(self._patient.ops, self._patient.machine_now):
            if env == self._patient.env:
                yield Finding(
                    text=f"{advance_id} is driven by nobody",
                    what_to_do="the tick wakes it every minute; make doctor REPAIR=1 does now",
                    repair=lambda id_=advance_id: wake(self._patient, id_),  # type: ignore[misc]
                )

    def said(self) -> str:
        return f"{self._open} attempts, refunds and pages are open, none for too long"

    def _attempt(self, invoice: Invoice) -> Iterator[Finding]:
        """An invoice that is void waits for nothing: money that still comes for it goes back by itself."""
        attempt = invoice.attempt
        if (
            invoice.status is not InvoiceStatus.OPEN
            or attempt is None
            or attempt.status not in _AT_THE_PROCESSOR
        ):
            return
        self._open += 1
        patience = PROCESSING if attempt.status is AttemptStatus.PROCESSING else NO_OUTCOME
        if self._patient.machine_now - attempt.written_at < patience:
            return
        text = f"{invoice.id} attempt {attempt.number} has no outcome since {attempt.written_at.isoformat()}"
        if invoice.collect_at is not None or invoice.checkout_id is not None:
            yield Finding(text=text, what_to_do=LOOKED_UP)
            return
        key = key_of(self._patient.env, invoice)
        row = DueRow(self._patient.env, self._patient.now, DueKind.COLLECT, key.pk, key.sk)
        yield Finding(
            text=f"{text}, and nothing will look it up",
            what_to_do="make doctor REPAIR=1 asks the worker to",
            repair=lambda: enqueue(self._patient, row, invoice.id),
        )
