"""The simulator finds what it is there to find: every planted bug, within the seeds that every build runs."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulation import run_seed

SEEDS = 200
BROKEN = ("TypeError", "AttributeError", "NameError")
"""What a planted bug raises that does not fit any more where it is planted."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str) -> None:
    with MUTATIONS[name]():
        found = (problem for seed in range(1, SEEDS + 1) for problem in run_seed(seed).problems)
        first = next(found, None)
    assert first is not None, f"{SEEDS} seeds did not notice {name}"
    assert not first.startswith(BROKEN), f"the code has moved away from under {name}: {first}"
