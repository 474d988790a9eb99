"""The table's stream: journal entries, as they were committed, become events, books and mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chalice.app import Blueprint

from chalicelib import composition
from chalicelib.application.projection import project
from chalicelib.domain.environment import LIVE
from chalicelib.domain.journal import JournalEntry
from chalicelib.entrypoints.jobs.batch import Answer
from chalicelib.entrypoints.jobs.worlds import begin
from chalicelib.entrypoints.log import log_error
from chalicelib.entrypoints.metrics import Metric, emit, once

bp = Blueprint(__name__)
_COUNTED = {
    "payment.succeeded": Metric.CHARGED,
    "payment.failed": Metric.FAILED,
    "subscription.recovered": Metric.RECOVERED,
}


@bp.on_dynamodb_record(
    stream_arn="arn:aws:dynamodb:::BillingTable", batch_size=100, starting_position="TRIM_HORIZON"
)
def project_journal(event: Any) -> Answer:
    services = begin(event).services
    entries, unreadable = _journal(event.to_dict()["Records"])
    if entries:
        project(services.ops, services.queues, entries)
        emit(services, _counted(entries))
    return {"batchItemFailures": [{"itemIdentifier": sequence} for sequence in unreadable]}


def _counted(entries: list[tuple[str, JournalEntry]]) -> dict[Metric, Sequence[float]]:
    """What happened in live, counted where everything passes once, whoever decided it."""
    facts = Counter(fact.type for env, entry in entries if env == LIVE for fact in entry.facts)
    return {metric: once(facts[type_]) for type_, metric in _COUNTED.items()}


def _journal(records: list[Mapping[str, Any]]) -> tuple[list[tuple[str, JournalEntry]], list[str]]:
    """The new entries up to the first that cannot be read, and that one's sequence number: the stream goes on
    from there until it is set aside.
    """
    entries = []
    for record in records:
        change = record["dynamodb"]
        if record["eventName"] != "INSERT" or not change["Keys"]["sk"]["S"].startswith("L#"):
            continue
        try:
            entries.append(composition.read_image(change["NewImage"]))
        except Exception as error:
            log_error("journal entry not understood", error, sequence=change["SequenceNumber"])
            return entries, [change["SequenceNumber"]]
    return entries, []
