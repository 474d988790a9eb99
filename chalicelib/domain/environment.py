"""Environments: `live`, or a sandbox with a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.errors import InvalidStateError, ValidationError

LIVE = "live"


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """One world of customers and catalog. `clock` is the sandbox's business time (UTC); live has none."""

    id: str
    name: str
    created_at: datetime
    clock: datetime | None = None
    catalog_version: int = 0
    version: int = 0

    @property
    def is_live(self) -> bool:
        return self.id == LIVE

    def business_now(self, machine_now: datetime) -> datetime:
        """What customers see as now: the sandbox's clock, or the machine's for live."""
        return machine_now if self.clock is None else self.clock


def shard_count(environment_id: str) -> int:
    """Partitions of the due index: live spreads its load, a sandbox keeps one so that order is one query."""
    return 16 if environment_id == LIVE else 1


def advanced(environment: Environment, to: datetime) -> Environment:
    """The sandbox with its clock at `to` (UTC). Live and the past are refused."""
    if environment.clock is None:
        raise InvalidStateError("the live environment follows the real clock", fix="use a sandbox key")
    if to < environment.clock:
        raise ValidationError(
            f"the clock stands at {environment.clock.isoformat()} and cannot go back",
            field="to",
            fix="give an instant after the clock's present one",
        )
    return replace(environment, clock=to)
