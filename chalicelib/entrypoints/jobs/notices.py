"""What the payment processor told us by webhook, applied."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.journal import PROCESSOR
from chalicelib.entrypoints.jobs.batch import Answer, each_message
from chalicelib.entrypoints.jobs.worlds import Worlds, begin

bp = Blueprint(__name__)


@bp.on_sqs_message(queue_arn="arn:aws:sqs:::WebhookQueue", batch_size=10)
def apply_notices(event: Any) -> Answer:
    worlds = begin(event, actor=PROCESSOR)
    return each_message(
        event.to_dict(),
        ProcessorNotice,
        lambda notice: _apply(worlds, notice),
        lane=lambda notice: notice.customer_id or notice.id,
    )


def _apply(worlds: Worlds, notice: ProcessorNotice) -> None:
    located = notice if notice.env is not None else worlds.services.gateway.locate(notice)
    if located is not None and located.env is not None:
        apply_notice(worlds.enter(located.env), located)
