"""The worker: a batch of due rows, each done as its own subject decides."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application.ports import DueRow
from chalicelib.application.work import perform
from chalicelib.domain.errors import ConflictError, GatewayUnavailableError
from chalicelib.entrypoints.jobs.batch import Answer, each_message
from chalicelib.entrypoints.jobs.worlds import begin

bp = Blueprint(__name__)
LATER = (GatewayUnavailableError, ConflictError)
"""Not the message's failure: the due row brings it back with the next tick."""


@bp.on_sqs_message(queue_arn="arn:aws:sqs:::DueQueue", batch_size=10)
def work_due(event: Any) -> Answer:
    worlds = begin(event, can_wait=True)
    return each_message(
        event.to_dict(),
        DueRow,
        lambda row: perform(worlds.enter(row.env), row),
        lane=lambda row: row.pk,
        left_alone=LATER,
    )
