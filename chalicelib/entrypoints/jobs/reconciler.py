"""Every hour: what the processor's webhooks did not tell us, and what sandboxes were left with."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.application import reconcile as use_cases
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.journal import PROCESSOR
from chalicelib.entrypoints.jobs.worlds import begin
from chalicelib.entrypoints.log import log_error, log_info
from chalicelib.entrypoints.metrics import Metric, emit

bp = Blueprint(__name__)
MARGIN = 30.0
"""Seconds kept back for the page at work."""


@bp.schedule("rate(1 hour)")
def reconcile(event: Any) -> None:
    worlds = begin(event, actor=PROCESSOR, can_wait=True)
    services = worlds.services
    lag = use_cases.behind(services.ops, services.machine_now())
    emit(services, {Metric.RECONCILE_LAG: [lag.total_seconds()]})
    rows = use_cases.enqueue_left_over(worlds.enter, services.store, services.ops)
    read = use_cases.apply_missed(
        worlds.enter,
        services.gateway,
        services.ops,
        machine_now=services.machine_now(),
        time_left=lambda: services.time_left() - MARGIN,
        trouble=_log,
    )
    emit(services, {Metric.UNKNOWN: worlds.unknown_seconds()})
    log_info("reconciled", count=read + rows)


def _log(notice: ProcessorNotice, error: Exception) -> None:
    log_error(
        "notice not applied", error, event_id=notice.id, kind=notice.kind, env=notice.env,
        invoice_id=notice.invoice_id, checkout_id=notice.checkout_id,
    )  # fmt: skip
