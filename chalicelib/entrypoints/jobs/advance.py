"""A sandbox's clock advance that outlived its request, carried on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from chalice.app import Blueprint

from chalicelib.application.clock import Drive, drive_advance
from chalicelib.entrypoints.jobs.batch import Answer, each_message
from chalicelib.entrypoints.jobs.worlds import Worlds, begin
from chalicelib.entrypoints.log import log_info

bp = Blueprint(__name__)
MARGIN = 20.0
"""Seconds kept back: one pass over a hundred customers must still end inside the invocation."""


@dataclass(frozen=True, slots=True)
class Wake:
    """The message on the clock queue."""

    env: str
    advance_id: str


@bp.on_sqs_message(queue_arn="arn:aws:sqs:::ClockQueue", batch_size=1)
def advance_clock(event: Any) -> Answer:
    worlds = begin(event, can_wait=True)
    return each_message(event.to_dict(), Wake, partial(_drive, worlds), lane=lambda wake: wake.env)


def _drive(worlds: Worlds, wake: Wake) -> None:
    """What is not finished when the time is up is left to the tick: nothing here sends to its own queue."""
    services = worlds.services
    drive = Drive(
        time_left=lambda: services.time_left() - MARGIN,
        machine_now=services.machine_now,
        settle=lambda: time.sleep(services.settings.index_settle_seconds),
    )
    advance = drive_advance(worlds.enter(wake.env), services.ops, wake.advance_id, drive)
    log_info("advanced", env=wake.env, advance_id=advance.id, kind=advance.status, count=advance.jobs)
