"""`python -m tests.simulation`: fresh seeds, one seed again, or seeds for an hour."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulation import Result, run_seed, shrink, story

CHUNK = 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one, told in full when it fails (-v: in any case)")
    parser.add_argument("--seeds", type=int, default=200, help="so many, beginning with --first")
    parser.add_argument(
        "--first", type=int, help="the first seed (default: 1, and a fresh one with --minutes)"
    )
    parser.add_argument("--minutes", type=float, help="fresh seeds for so long")
    parser.add_argument("--mutation", choices=MUTATIONS, help="plant this bug and show how it is caught")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--whole", action="store_true", help="do not make a failing plan small")
    parser.add_argument("-v", action="store_true", help="tell the story in any case")
    asked = parser.parse_args()
    if asked.mutation:
        return _caught(asked.mutation, asked.seeds)
    if asked.seed is not None:
        return _tell(run_seed(asked.seed), whole=asked.whole, verbose=asked.v)
    fresh = random.SystemRandom().randrange(10_000, 1_000_000_000)
    first = asked.first or (fresh if asked.minutes else 1)
    seeds = count(first) if asked.minutes else iter(range(first, first + asked.seeds))
    return _many(
        seeds, jobs=asked.jobs, until=time.monotonic() + 60 * (asked.minutes or 1e6), whole=asked.whole
    )


def _tell(result: Result, *, whole: bool, verbose: bool) -> int:
    if result.problems and not whole:
        print("It fails. Making it small …", file=sys.stderr)
        result = shrink(result)
    if result.problems or verbose:
        print(story(result))
    else:
        print(f"seed {result.plan.seed}: all invariants hold ({len(result.plan.steps)} steps)")
    return 1 if result.problems else 0


def _caught(name: str, seeds: int) -> int:
    with MUTATIONS[name]():
        for seed in range(1, seeds + 1):
            result = run_seed(seed)
            if result.problems:
                print(story(shrink(result)))
                return 0
    print(f"{seeds} seeds did not notice {name}")
    return 1


def _many(seeds: Iterator[int], *, jobs: int, until: float, whole: bool) -> int:
    done, failed, started = 0, [], time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        while time.monotonic() < until:
            chunk = list(islice(seeds, CHUNK * jobs))
            if not chunk:
                break
            for seed, problems in zip(chunk, pool.map(_problems, chunk, chunksize=CHUNK), strict=True):
                done += 1
                if problems:
                    failed.append(seed)
                    print(f"seed {seed}: {problems[0]}", flush=True)
    print(f"{done} seeds in {time.monotonic() - started:.0f} s, {len(failed)} failed")
    if failed:
        return _tell(run_seed(failed[0]), whole=whole, verbose=True)
    return 0


def _problems(seed: int) -> tuple[str, ...]:
    return run_seed(seed).problems


if __name__ == "__main__":
    sys.exit(main())
