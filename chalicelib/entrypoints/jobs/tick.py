"""Every minute: what is due goes onto the queue."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application import sweep
from chalicelib.domain.environment import LIVE
from chalicelib.domain.schedule import DueKind
from chalicelib.entrypoints.jobs.worlds import begin
from chalicelib.entrypoints.log import log_info
from chalicelib.entrypoints.metrics import Metric, emit

bp = Blueprint(__name__)


@bp.schedule("rate(1 minute)")
def tick(event: Any) -> None:
    worlds = begin(event)
    swept = sweep.tick(worlds.enter(LIVE), worlds.services.ops)
    renewals = sum(row.kind is DueKind.RENEWAL for row in swept.rows)
    emit(worlds.services, {Metric.DUE_LAG: [swept.lag.total_seconds()], Metric.RENEWALS_DUE: [renewals]})
    if swept.rows or swept.advances:
        log_info("enqueued", count=len(swept.rows) + swept.advances)
