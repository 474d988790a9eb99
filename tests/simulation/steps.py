"""What a plan is made of.

Steps name things by number ("subscription 3 of those that there are"), never by id, so that a plan with steps
left out still makes sense: that is what makes a failure small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.simulation.faults import Fault

OWN = "own"
"""A card that pays and that nobody else has: a trial is had once per card."""
DEFAULT = "default"
"""What policies call the catalog's own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. `number` seeds what it draws while it runs; `repeats` is the client's patience."""

    number: int
    kind: str
    args: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    repeats: int = 0

    def __str__(self) -> str:
        args = " ".join(f"{name}={value}" for name, value in self.args.items())
        faults = "  ⚡ " + ", ".join(map(str, self.faults)) if self.faults else ""
        return f"#{self.number} {self.kind} {args}{f' ×{self.repeats + 1}' if self.repeats else ''}{faults}"


@dataclass(frozen=True, slots=True)
class Plan:
    """`policies` (per plan) and `calls_a_second` (of jobs, to the processor) where they are not the usual ones."""

    seed: int
    start: datetime
    steps: tuple[Step, ...]
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls_a_second: int | None = None
