"""A sandbox's clock over HTTP."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from chalice.app import Blueprint

from chalicelib.application import clock as use_cases
from chalicelib.application.clock import Advance, Drive
from chalicelib.domain.calendar import Interval, IntervalUnit, boundary
from chalicelib.domain.errors import ConflictError, InvalidStateError, NotFoundError, ValidationError
from chalicelib.entrypoints.http.kit import Call, Reply, Scope, endpoint
from chalicelib.entrypoints.http.schemas.clock import (
    AdvanceRequest,
    AdvanceView,
    ClockView,
    StuckView,
)

bp = Blueprint(__name__)

MONTHS_A_YEAR = 12
LONGEST_MONTHS = 20 * MONTHS_A_YEAR
LONGEST = timedelta(days=7305)
DURATION = re.compile(
    r"P(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,4})M)?(?:(?P<weeks>\d{1,5})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?)?"
)

INLINE_SECONDS = 18.0
"""How long a request drives the clock itself: the gateway in front gives up at 29 s."""


@endpoint(
    bp,
    "GET",
    "/v1/clock",
    answer=ClockView,
    scope=Scope.READ,
    tag="Clock",
    summary="What time it is in this environment",
)
def get_clock(call: Call[None]) -> ClockView:
    ctx = call.ctx
    return ClockView(environment=ctx.env, now=ctx.now, live=ctx.env == "live")


@endpoint(
    bp,
    "POST",
    "/v1/clock/advance",
    body=AdvanceRequest,
    answer=AdvanceView,
    also={202: "Not quiet yet: see Location"},
    scope=Scope.ADMIN,
    tag="Clock",
    summary="Move a sandbox's clock and do all work that falls due on the way",
    errors=(ValidationError, InvalidStateError, ConflictError),
)
def advance_clock(call: Call[AdvanceRequest]) -> Reply:
    ctx, ops = call.ctx, call.services.ops
    started = use_cases.start_advance(ctx, ops, target(call.body, ctx.now))
    advance = use_cases.drive_advance(ctx, ops, started.id, inline_drive(call))
    if advance.status != "running":
        return Reply(content=advance_view(advance))
    ctx.queues.wake_advance(ctx.env, advance.id)
    location = {"Location": f"/v1/clock/advances/{advance.id}", "Retry-After": "2"}
    return Reply(content=advance_view(advance), status=202, headers=location)


@endpoint(
    bp,
    "GET",
    "/v1/clock/advances/{id}",
    answer=AdvanceView,
    scope=Scope.READ,
    tag="Clock",
    summary="How far an advance has come",
    errors=(NotFoundError,),
)
def get_advance(call: Call[None]) -> AdvanceView:
    return advance_view(use_cases.get_advance(call.ctx, call.services.ops, call.path["id"]))


def target(body: AdvanceRequest, now: datetime) -> datetime:
    """The instant asked for, in UTC."""
    if (body.to is None) == (body.by is None):
        raise ValidationError("send exactly one of to and by", field="to", fix='for example {"by": "P30D"}')
    if body.to is not None:
        if body.to.tzinfo is None:
            raise ValidationError(
                "an instant needs its offset", field="to", fix="write 2027-01-01T00:00:00Z, for example"
            )
        to = body.to.astimezone(UTC)
        if to - now > LONGEST:
            raise _too_far("to")
        return to
    assert body.by is not None
    return _later(now, body.by)


def inline_drive(call: Call[AdvanceRequest]) -> Drive:
    ends = time.monotonic() + INLINE_SECONDS
    settings = call.services.settings
    return Drive(
        time_left=lambda: ends - time.monotonic(),
        machine_now=call.services.machine_now,
        settle=lambda: time.sleep(settings.index_settle_seconds),
    )


def advance_view(advance: Advance) -> AdvanceView:
    return AdvanceView(
        id=advance.id,
        status=advance.status,
        start=advance.start,
        to=advance.to,
        reached=advance.reached,
        jobs=advance.jobs,
        counts=advance.counts,
        stuck=[
            StuckView(
                kind=stuck.kind,
                subject=stuck.subject,
                at=datetime.fromisoformat(stuck.at),
                error=stuck.error,
            )
            for stuck in advance.stuck
        ],
    )


def _later(now: datetime, duration: str) -> datetime:
    """`now` and an ISO 8601 duration: years and months by the calendar (UTC, clamped), the rest exactly."""
    match = DURATION.fullmatch(duration)
    parts = {unit: int(count) for unit, count in match.groupdict().items() if count} if match else {}
    if not parts:
        raise ValidationError(f"{duration!r} is not a duration", field="by", fix="write P30D, P1M or PT12H")
    months = parts.pop("years", 0) * MONTHS_A_YEAR + parts.pop("months", 0)
    if months > LONGEST_MONTHS or timedelta(**parts) > LONGEST:
        raise _too_far("by")
    if months:
        now = boundary(now, "UTC", Interval(IntervalUnit.MONTH, months), 1)
    return now + timedelta(**parts)


def _too_far(field: str) -> ValidationError:
    return ValidationError("that is further than twenty years", field=field, fix="go in smaller steps")
