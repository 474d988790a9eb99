"""What follows from journal entries once they are committed: mail on its way, events in the feed, sums in the
books. Nothing is published that was not committed, because this reads what was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from chalicelib.application.feed import append
from chalicelib.application.letters import letter_of
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Queues
from chalicelib.domain.journal import JournalEntry


def project(ops: Ops, queues: Queues, entries: Sequence[tuple[str, JournalEntry]]) -> None:
    """Hand on the entries of a batch, given with their environments in order of arrival.

    Safe to run twice and at once. Letters go first: a crash in between sends them to the queue again, where the
    mailer knows their ids; the other way round it would lose them.
    """
    letters = [letter for env, entry in entries if (letter := letter_of(env, entry)) is not None]
    if letters:
        queues.mail(letters)
    by_env: dict[str, list[JournalEntry]] = defaultdict(list)
    for env, entry in entries:
        by_env[env].append(entry)
    for env, group in by_env.items():
        append(ops, env, group)
