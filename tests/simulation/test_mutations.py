"""The simulator finds what it is there to find: every planted bug, within the seeds that every build runs."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulation import run_seed

SEEDS = 200


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str) -> None:
    with MUTATIONS[name]():
        caught = any(run_seed(seed).problems for seed in range(1, SEEDS + 1))
    assert caught, f"{SEEDS} seeds did not notice {name}"
