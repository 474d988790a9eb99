"""What the payment processor told us by webhook, applied."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.journal import PROCESSOR
from chalicelib.entrypoints.jobs.batch import Answer, each_message, ids_of
from chalicelib.entrypoints.jobs.worlds import Worlds, begin
from chalicelib.entrypoints.metrics import Metric, emit, once

bp = Blueprint(__name__)


@bp.on_sqs_message(queue_arn="arn:aws:sqs:::WebhookQueue", batch_size=10)
def apply_notices(event: Any) -> Answer:
    worlds = begin(event, actor=PROCESSOR)
    ages: list[float] = []
    answer = each_message(
        event.to_dict(),
        ProcessorNotice,
        lambda notice: _apply(worlds, notice, ages),
        lane=lambda notice: notice.customer_id or notice.id,
        about=lambda notice: {**ids_of(notice), "event_id": notice.id},
    )
    failed = once(len(answer["batchItemFailures"]))
    emit(worlds.services, {Metric.WEBHOOK_AGE: ages, Metric.MESSAGES_FAILED: failed})
    return answer


def _apply(worlds: Worlds, notice: ProcessorNotice, ages: list[float]) -> None:
    located = notice if notice.env is not None else worlds.services.gateway.locate(notice)
    if located is not None and located.env is not None:
        apply_notice(worlds.enter(located.env), located)
    ages.append(max(0.0, (worlds.services.machine_now() - notice.created).total_seconds()))
