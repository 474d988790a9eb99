"""The worker: a batch of due rows, each done as its own subject decides."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application.ports import DueRow
from chalicelib.application.work import perform, subject_of
from chalicelib.domain.errors import ConflictError, GatewayUnavailableError
from chalicelib.entrypoints.jobs.batch import Answer, each_message
from chalicelib.entrypoints.jobs.worlds import begin
from chalicelib.entrypoints.metrics import Metric, emit, once

bp = Blueprint(__name__)
LATER = (GatewayUnavailableError, ConflictError)
"""Not the message's failure: the due row brings it back with the next tick."""


@bp.on_sqs_message(queue_arn="arn:aws:sqs:::DueQueue", batch_size=10)
def work_due(event: Any) -> Answer:
    worlds = begin(event, can_wait=True)
    answer = each_message(
        event.to_dict(),
        DueRow,
        lambda row: perform(worlds.enter(row.env), row),
        lane=lambda row: row.pk,
        about=lambda row: {"env": row.env, "kind": row.kind, "subject_id": subject_of(row)},
        left_alone=LATER,
    )
    failed = once(len(answer["batchItemFailures"]))
    emit(worlds.services, {Metric.UNKNOWN: worlds.unknown_seconds(), Metric.MESSAGES_FAILED: failed})
    return answer
