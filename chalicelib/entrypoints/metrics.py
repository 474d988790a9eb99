"""Numbers for CloudWatch: one line of its embedded metric format on stdout per invocation, and no call.

Money and due work are counted for the live environment only, so that what developers try out in sandboxes wakes
nobody. The one dimension is the stage: nothing here names a customer, and no number is about one of them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum

from chalicelib.composition import Services
from chalicelib.entrypoints.log import log_error

NAMESPACE = "Perennial"
DIMENSION = "Stage"
MOST_VALUES = 100
"""Of one metric in one line; the format allows no more."""


class Metric(StrEnum):
    """What is measured. `…Seconds` are in seconds, the rest are counts."""

    RENEWALS_DUE = "RenewalsDue"
    """Renewals that this minute's tick put on the queue; one that is still due counts again."""
    DUE_LAG = "DueLagSeconds"
    """By how much the oldest due row is overdue, every minute."""
    CHARGED = "ChargesSucceeded"
    FAILED = "ChargesFailed"
    RECOVERED = "DunningRecovered"
    UNKNOWN = "UnknownOutcomeSeconds"
    """The age of each attempt that was asked about and still has no outcome; its sample count is their number."""
    WEBHOOK_AGE = "WebhookAgeSeconds"
    """From the event at the processor until it is applied."""
    WEBHOOKS_REFUSED = "WebhookSignatureFailures"
    MESSAGES_FAILED = "MessagesFailed"
    """Messages that go back to their queue, and after five times to its dead letters."""
    USAGE = "UsageEventsFolded"
    USAGE_LAG = "UsageLagSeconds"
    """From the moment at which an event was taken in until it counts; of the oldest in a batch."""
    RECONCILE_LAG = "ReconcileLagSeconds"
    """How long ago the last hourly sweep began that read to the end."""

    @property
    def unit(self) -> str:
        return "Seconds" if self.value.endswith("Seconds") else "Count"


def emit(services: Services, measured: Mapping[Metric, Sequence[float]]) -> None:
    """Write the values down as they stand; a metric without any is left out. What fails here fails nothing else."""
    try:
        line = _line(
            services.settings.stage, {metric: values for metric, values in measured.items() if values}
        )
    except Exception as error:
        log_error("metrics not written", error)
        return
    if line:
        sys.stdout.write(line + "\n")


def once(number: int) -> Sequence[float]:
    """A count, left out where there was nothing to count."""
    return [number] if number else []


def _line(stage: str, measured: Mapping[Metric, Sequence[float]]) -> str:
    if not measured:
        return ""
    definition = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": metric, "Unit": metric.unit} for metric in measured],
    }
    values = {metric: list(values)[:MOST_VALUES] for metric, values in measured.items()}
    about = {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [definition]}
    return json.dumps({"_aws": about, DIMENSION: stage, **values}, separators=(",", ":"))
