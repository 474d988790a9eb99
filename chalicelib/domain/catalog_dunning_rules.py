"""What a dunning policy of the catalog must keep."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from chalicelib.domain.catalog_dunning import DunningDocument
from chalicelib.domain.dunning_policy import DunningPolicy, EndState
from chalicelib.domain.errors import Problem

MOST_ATTEMPTS: Final = 8
"""Within thirty days: card networks fine those who try one card too often."""
LONGEST_RUN: Final = 60
HOURS: Final = range(24)
ATTEMPTS_PER_CARD: Final = range(1, 21)


def dunning_problems(document: DunningDocument, path: str, free: set[str]) -> Iterator[Problem]:
    """Every breach; `free` are the ids of the catalog's free plans."""
    days = tuple(document.get("days", DunningPolicy().days))
    if not days or days[0] != 0 or any(a >= b for a, b in pairwise(days)):
        yield Problem(
            f"{path}.days", "days count up from 0, the first failure", "for example [0, 2, 7, 14, 21]"
        )
    elif len(days) > MOST_ATTEMPTS or days[-1] > LONGEST_RUN:
        yield Problem(
            f"{path}.days",
            f"at most {MOST_ATTEMPTS} attempts within {LONGEST_RUN} days",
            "card networks fine those who try more often",
        )
    for name in ("quiet_from", "quiet_until"):
        hour = document.get(name, 0)
        if hour not in HOURS:
            yield Problem(f"{path}.{name}", f"an hour of the day is 0 to 23, not {hour}", "use 0 to 23")
    grace = document.get("grace_days")
    if grace is not None and grace < 0:
        yield Problem(f"{path}.grace_days", "days of grace cannot be negative", "use 0 or more, or null")
    yield from _mails(document, path, len(days))
    tries = document.get("attempts_per_card", 1)
    if tries not in ATTEMPTS_PER_CARD:
        yield Problem(
            f"{path}.attempts_per_card",
            f"one card is tried 1 to {max(ATTEMPTS_PER_CARD)} times in 30 days, not {tries}",
            "card networks charge for more; 15 keeps to all of them",
        )
    yield from _end(document, path, free)


def _mails(document: DunningDocument, path: str, attempts: int) -> Iterator[Problem]:
    mails = document.get("mails", ())
    if mails and len(mails) != attempts - 1:
        yield Problem(
            f"{path}.mails",
            f"there are {attempts} attempts and {len(mails)} letters: one goes out after each attempt but the last",
            f"list {attempts - 1}, with none where there is to be no letter; or leave mails out",
        )
    if document.get("grace_mail") and document.get("grace_days") is None:
        yield Problem(
            f"{path}.grace_mail",
            "without grace_days no grace ends that could be written about",
            "set grace_days",
        )


def _end(document: DunningDocument, path: str, free: set[str]) -> Iterator[Problem]:
    falls_back = document.get("end") == EndState.FREE_PLAN
    named = document.get("free_plan")
    if falls_back and named not in free:
        known = ", ".join(sorted(free)) or "there is none yet"
        yield Problem(f"{path}.free_plan", "falling back needs a free plan", f"name one of: {known}")
    if named and not falls_back:
        yield Problem(f"{path}.end", "a free plan is named, but not used", "use end: free_plan")
