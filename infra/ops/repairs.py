"""What the doctor may do: only what follows from records that are there. Each says in a sentence what it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chalicelib.application import feed, projection
from chalicelib.application.books import Month, books_key, by_month, journals
from chalicelib.application.customers import EXTERNAL_ID
from chalicelib.application.ports import DueRow, VersionConflict
from chalicelib.domain.customer import Claim, Customer
from chalicelib.domain.journal import JournalEntry

if TYPE_CHECKING:
    from infra.ops.chart import Patient


class NotProvenError(Exception):
    """The repair would be a guess now; the message says what to do first."""


def rewrite(patient: Patient, record: Any) -> str:
    """The record as it was read, unchanged, with its index entries; whoever wrote meanwhile has written them too."""
    try:
        patient.store.commit(patient.env, record)
    except VersionConflict:
        return f"{record.id} was written meanwhile, and its row with it"
    return f"wrote {record.id} unchanged, and its row in the due index"


def enqueue(patient: Patient, row: DueRow, id_: str) -> str:
    """The record decides whether there is anything to do."""
    patient.queues.due([row])
    return f"enqueued {row.kind} of {id_}"


def wake(patient: Patient, advance_id: str) -> str:
    patient.queues.wake_advance(patient.env, advance_id)
    return f"woke {advance_id}"


def claim_again(patient: Patient, customer: Customer) -> str:
    claim = Claim(
        kind=EXTERNAL_ID, value=customer.external_id or "", owner=customer.id, at=customer.created_at
    )
    try:
        patient.store.commit(patient.env, claim)
    except VersionConflict:
        raise NotProvenError(f"another customer has claimed the external id of {customer.id}") from None
    return f"claimed the external id of {customer.id}"


def publish(patient: Patient, entries: Sequence[JournalEntry]) -> str:
    """As the stream's projector would have: mail, which goes out once, then events and books."""
    projection.project(patient.ops, patient.queues, [(patient.env, entry) for entry in entries])
    return f"published {', '.join(entry.id for entry in entries)}"


def publish_missing(patient: Patient) -> int:
    """Whatever the journals hold and the feed does not; answers how many entries."""
    count = 0
    for _, entries in journals(patient.store, patient.env):
        lost = feed.unpublished(patient.ops, patient.env, entries)
        if lost:
            publish(patient, lost)
        count += len(lost)
    return count


def recount_books(patient: Patient) -> str:
    """Replace the months that are not the journal's sums.

    The months are read first, then the journals: if every entry is in the feed, each was folded into a month before
    it was read here or changed it since, which refuses our write.
    """
    documents = {each.sk: each for each in patient.ops.query(books_key(patient.env), limit=2400)}
    months: dict[str, Month] = {}
    for _, entries in journals(patient.store, patient.env):
        if feed.unpublished(patient.ops, patient.env, entries):
            raise NotProvenError("not everything is published: run make doctor REPAIR=1 again")
        for name, booked in by_month(entries).items():
            months[name] = months.get(name, Month(name)).folded(booked)
    changed = []
    for name in sorted({*documents, *months}):
        document, counted = documents.get(name), months.get(name, Month(name)).written()
        if document is None:
            done = patient.ops.create(books_key(patient.env), name, counted)
        elif dict(document.data) != counted:
            done = patient.ops.replace(document, counted)
        else:
            continue
        if done is None:
            raise NotProvenError("the books are being written: run make doctor REPAIR=1 again")
        changed.append(name)
    return f"counted {', '.join(changed)} anew"
