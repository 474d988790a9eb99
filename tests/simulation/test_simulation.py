"""Months of business under crashes, races and losses: two hundred seeds, and every invariant of `invariants.py`.

A seed that fails prints the smallest plan that was found to fail in the same way, and how to run it again.
"""

from __future__ import annotations

import pytest

from tests.simulation.simulation import run_seed, shrink, story

SEEDS = 200
CHUNK = 10


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_every_invariant_holds(first: int) -> None:
    for seed in range(first, first + CHUNK):
        result = run_seed(seed)
        if result.problems:
            pytest.fail(story(shrink(result)), pytrace=False)


def test_a_seed_tells_the_same_story_twice() -> None:
    assert run_seed(7).trace == run_seed(7).trace
