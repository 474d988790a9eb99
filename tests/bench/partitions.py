"""The hottest partition key of a day with ten million renewals, by the application's own key functions.

A simulation: customers drawn at random renew at the rate that the processor's limit allows (100 a second, which
takes 28 hours for ten million); every write lands where `records` puts it. Units per renewal come measured.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from chalicelib.application.feed import PART
from chalicelib.application.records import due_partition, shard_of
from chalicelib.domain import ids
from chalicelib.domain.customer import Account
from chalicelib.domain.environment import LIVE

PER_SECOND = 100
RENEWALS = 10_000_000
SAMPLED_SECONDS = 2_000
ENTRIES = 2
"""Journal entries of a renewal."""


@dataclass(frozen=True, slots=True)
class Hottest:
    key: str
    write_units_per_second: float


def hottest(*, index_units: int, table_units: int, feed_units: dict[str, int]) -> list[Hottest]:
    """The hottest key of each kind, hottest first, in its worst sampled second.

    `index_units`: of one renewal to the due index; `table_units`: to its customer's partition; `feed_units`: by
    partition key, of appending PART entries to the feed.
    """
    draw = random.Random(2026)
    shards: Counter[tuple[int, str]] = Counter()
    customers: Counter[tuple[int, str]] = Counter()
    for second in range(SAMPLED_SECONDS):
        for _ in range(PER_SECOND):
            customer = ids.customer_id(LIVE, str(draw.randrange(RENEWALS)))
            shard = due_partition(LIVE, shard_of(LIVE, Account(customer_id=customer)))
            shards[second, shard] += index_units
            customers[second, customer] += table_units
    batches = PER_SECOND * ENTRIES / PART
    kinds = [
        _worst("due index", shards),
        _worst("one customer", customers),
        *(Hottest(key, units * batches) for key, units in feed_units.items()),
    ]
    return sorted(kinds, key=lambda each: -each.write_units_per_second)


def _worst(kind: str, seconds: Counter[tuple[int, str]]) -> Hottest:
    ((_, _), units) = seconds.most_common(1)[0]
    return Hottest(kind, units)
