"""Where the faults of a step strike: a process that dies, an answer that is lost, somebody else in the middle.

Every place where that can happen is a boundary: before and after each commit, processor call, feed write and
queue send. Boundaries are numbered within a step; a fault waits for the first boundary from its number on where
its kind can happen (`FITS`). Reads are counted apart: there somebody else can only cut in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.application.ports import VersionConflict
from chalicelib.domain.errors import GatewayUnavailableError


class Killed(BaseException):
    """The process died here. Nothing catches it on the way, and whatever it tries after that does not happen."""


class Throttled(Exception):
    """The table refused the write for now."""


class Violation(Exception):
    """The system did something that it must never do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` strikes at boundary `at` of its step, or the first after it where it can; `actor` interferes."""

    at: int
    kind: str
    actor: Any = None

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" + (f"({self.actor})" if self.actor is not None else "")


FITS = {
    "kill": (
        "before_commit",
        "after_commit",
        "before_call",
        "after_call",
        "before_feed",
        "after_feed",
        "send",
    ),
    "conflict": ("before_commit",),
    "throttle": ("before_commit",),
    "unavailable": ("before_call",),
    "lost": ("after_call",),
    "interfere": ("before_commit", "before_call", "after_call"),
    "cut_in": ("read",),
    "stale": ("lazy_read",),
}


class Trap:
    """Where the faults of the running step strike. Others' work inside an interference is left unharmed."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.dead = False
        self._note = note
        self._armed: list[Fault] = []
        self._passed = 0
        self._reads = 0
        self._sheltered = 0
        self.interfere: Callable[[Any], None] = lambda actor: None

    def arm(self, faults: Sequence[Fault]) -> None:
        self._armed, self._passed, self._reads = sorted(faults, key=lambda fault: fault.at), 0, 0

    def disarm(self) -> None:
        self._armed = []

    def alive(self) -> None:
        if self.dead:
            raise Killed

    def boundary(self, place: str, what: str) -> str | None:
        """Pass, or be struck; answers the kind of a fault that the caller must act out itself."""
        self.alive()
        if self._sheltered or not self._armed:
            return None
        self._reads += place == "read"
        self._passed += place != "read"
        passed = self._reads if place == "read" else self._passed
        for fault in self._armed:
            if fault.at <= passed and place in FITS[fault.kind]:
                self._armed.remove(fault)
                self._note(f"    ⚡ {fault} {place} {what}")
                return self._strike(fault)
        return None

    def _strike(self, fault: Fault) -> str | None:
        match fault.kind:
            case "kill":
                self.dead = True
                raise Killed
            case "conflict":
                raise VersionConflict
            case "throttle":
                raise Throttled
            case "unavailable":
                raise GatewayUnavailableError("the payment provider cannot be reached")
            case "interfere" | "cut_in":
                self._sheltered += 1
                try:
                    self.interfere(fault.actor)
                finally:
                    self._sheltered -= 1
                return None
        return fault.kind
