"""Months of business under crashes, races and losses: two hundred seeds, and every invariant of `invariants.py`.

A seed that fails prints the smallest plan that was found to fail in the same way, and how to run it again.
"""

from __future__ import annotations

import pytest

from tests.simulation.simulation import run_seed, shrink, story
from tests.simulation.tables import beside

SEEDS = 200
CHUNK = 10
ON_AMAZONS_ENGINE = 20
"""A few seconds each: every read and write goes through HTTP and Java."""


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_every_invariant_holds(first: int) -> None:
    for seed in range(first, first + CHUNK):
        result = run_seed(seed)
        if result.problems:
            pytest.fail(story(shrink(result)), pytrace=False)


@pytest.mark.parametrize("seed", range(1, ON_AMAZONS_ENGINE + 1))
def test_every_invariant_holds_on_amazons_own_engine(amazon_tables, seed: int) -> None:
    """The same stories with the real table beside the one in memory: step by step they say the same."""
    result = run_seed(seed, beside(*amazon_tables()))
    assert result.problems == ()
    assert result.trace == run_seed(seed).trace


def test_a_seed_tells_the_same_story_twice() -> None:
    assert run_seed(7).trace == run_seed(7).trace
