"""The usage table's stream: events, as they were taken in, are folded into their customers' windows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from chalice.app import Blueprint

from chalicelib import composition
from chalicelib.application.usage import fold
from chalicelib.domain.meter import UsageEvent
from chalicelib.entrypoints.jobs.batch import Answer
from chalicelib.entrypoints.jobs.worlds import Worlds, begin
from chalicelib.entrypoints.log import log_error
from chalicelib.entrypoints.metrics import Metric, emit, once

bp = Blueprint(__name__)

_Lane = tuple[str, str, int]
"""Environment, customer, number."""


@bp.on_dynamodb_record(
    stream_arn="arn:aws:dynamodb:::UsageTable", batch_size=1000, starting_position="TRIM_HORIZON"
)
def fold_usage(event: Any) -> Answer:
    """The stream goes on from the first record that failed: what others of the batch brought is known by then."""
    worlds = begin(event)
    records = event.to_dict()["Records"]
    lanes, failed = _lanes(records)
    folded = 0
    for lane, arrived in lanes.items():
        if _folded(worlds, lane, arrived):
            folded += len(arrived)
        else:
            failed.append(arrived[0][0])
    taken_in = [each["dynamodb"].get("ApproximateCreationDateTime") for each in records]
    oldest = min((float(at) for at in taken_in if at is not None), default=None)
    lag = [] if oldest is None else [max(0.0, worlds.services.machine_now().timestamp() - oldest)]
    emit(
        worlds.services,
        {Metric.USAGE: once(folded), Metric.USAGE_LAG: lag, Metric.MESSAGES_FAILED: once(len(failed))},
    )
    return {"batchItemFailures": [{"itemIdentifier": min(failed, key=int)}] if failed else []}


def _lanes(
    records: Sequence[Mapping[str, Any]],
) -> tuple[dict[_Lane, list[tuple[str, UsageEvent]]], list[str]]:
    """What each lane brings, in order, up to the first record that cannot be read, and that one's number."""
    lanes: dict[_Lane, list[tuple[str, UsageEvent]]] = defaultdict(list)
    for record in records:
        change = record["dynamodb"]
        if record["eventName"] != "INSERT":
            continue
        try:
            env, lane, event = composition.read_usage(change["NewImage"])
        except Exception as error:
            log_error("usage event not understood", error, message_id=change["SequenceNumber"])
            return lanes, [change["SequenceNumber"]]
        lanes[env, event.customer_id, lane].append((change["SequenceNumber"], event))
    return lanes, []


def _folded(worlds: Worlds, lane: _Lane, arrived: Sequence[tuple[str, UsageEvent]]) -> bool:
    env, customer_id, number = lane
    try:
        fold(
            worlds.enter(env),
            customer_id,
            number,
            [(composition.stream_position(sequence), event) for sequence, event in arrived],
        )
    except Exception as error:
        log_error("usage not folded", error, env=env, customer_id=customer_id, message_id=arrived[0][0])
        return False
    return True
