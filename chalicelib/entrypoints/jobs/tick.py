"""Every minute: what is due goes onto the queue."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application import sweep
from chalicelib.domain.environment import LIVE
from chalicelib.entrypoints.jobs.worlds import begin
from chalicelib.entrypoints.log import log_info

bp = Blueprint(__name__)


@bp.schedule("rate(1 minute)")
def tick(event: Any) -> None:
    worlds = begin(event)
    rows, advances = sweep.tick(worlds.enter(LIVE), worlds.services.ops)
    if rows or advances:
        log_info("enqueued", count=rows + advances)
