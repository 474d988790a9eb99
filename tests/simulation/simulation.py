"""Run a plan, heal, check; and make a failing plan small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.simulation.faults import Violation
from tests.simulation.invariants import check
from tests.simulation.machinery import JOBS, VISIBILITY
from tests.simulation.plan import draw
from tests.simulation.steps import Plan, Step
from tests.simulation.tables import Tables
from tests.simulation.world import World

HEALING_DAYS = 5
"""Longer than any wait that the system imposes on itself: a bank debit is looked at every third day."""
ROUNDS = 400


@dataclass(frozen=True, slots=True)
class Result:
    """`problems` is empty when every invariant held. `trace` tells the story."""

    plan: Plan
    problems: tuple[str, ...]
    trace: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What sort of failure: a smaller plan must fail in the same way."""
        return self.problems[0].partition(":")[0] if self.problems else ""


def run(plan: Plan, tables: Tables | None = None) -> Result:
    """The plan from its beginning, on empty tables. The same plan gives the same result, line by line."""
    world = World(plan, tables or Tables())
    try:
        for step in plan.steps:
            world.perform(step)
        heal(world)
        problems = check(world)
    except Violation as violation:
        problems = [str(violation)]
    return Result(plan, tuple(problems), tuple(world.trace))


def run_seed(seed: int, tables: Tables | None = None) -> Result:
    return run(draw(seed), tables)


def heal(world: World) -> None:
    """No more faults. Everything that is waiting arrives, twice where that may happen, and time goes on."""
    world.note("— healing —")
    world.healing = True
    numbers = iter(range(2_000_000, 3_000_000))

    def step(kind: str, **args: object) -> None:
        world.perform(Step(next(numbers), kind, args))

    for _ in range(HEALING_DAYS * 2):
        step("bank", how="ok")
        step("authenticate", which=0, passed=True)
        for kind in JOBS:
            step(kind)
        step("wait", hours=12)
    for _ in range(ROUNDS):
        before = len(world.store.committed)
        step("bank", how="ok")
        for kind in JOBS:
            step(kind)
        if len(world.store.committed) == before and world.quiet():
            return
        world.clock += VISIBILITY
    raise Violation("it does not come to rest")


def shrink(failed: Result, *, budget: int = 400, runs: Callable[[Plan], Result] = run) -> Result:
    """The smallest plan found that still fails in the same way: fewer steps first, then fewer faults."""
    best = failed
    size = max(1, len(best.plan.steps) // 2)
    while size >= 1 and budget > 0:
        position, found = 0, False
        while position < len(best.plan.steps) and budget > 0:
            steps = best.plan.steps
            budget -= 1
            smaller = runs(replace(best.plan, steps=steps[:position] + steps[position + size :]))
            if smaller.kind == failed.kind:
                best, found = smaller, True
            else:
                position += size
        if size == 1 and not found:
            break
        size = max(1, size // 2)
    return _calmer(best, failed.kind, runs)


def _calmer(best: Result, kind: str, runs: Callable[[Plan], Result]) -> Result:
    for index in range(len(best.plan.steps)):
        step = best.plan.steps[index]
        for fault in step.faults:
            calmer = replace(best.plan.steps[index], faults=tuple(f for f in step.faults if f is not fault))
            steps = (*best.plan.steps[:index], calmer, *best.plan.steps[index + 1 :])
            attempt = runs(replace(best.plan, steps=steps))
            if attempt.kind == kind:
                best = attempt
    return best


def story(result: Result) -> str:
    """What a reader of a failure needs: what is wrong, how it came about, how to see it again."""
    return "\n".join(
        [
            f"seed {result.plan.seed}: {len(result.plan.steps)} steps",
            *result.trace,
            "",
            *(f"✗ {problem}" for problem in result.problems),
            "",
            f"replay: make simulate SEED={result.plan.seed}",
        ]
    )
