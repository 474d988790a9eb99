"""Limits on attempts: windows of machine time that move on, and declines that count more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application.limits import Limits, Rate, count_declined, spend
from chalicelib.domain.errors import RateLimitedError
from chalicelib.entrypoints.http.limiting import network_of

AT = datetime(2027, 3, 1, 9, 30, 20, tzinfo=UTC)
RATE = Rate(6, 20)


def passed(ops, times, at=AT, rate=RATE):
    """How many of so many attempts got through."""
    return times - sum(refused(ops, at, rate) is not None for _ in range(times))


def refused(ops, at, rate=RATE):
    try:
        spend(ops, "somebody", rate, at=at)
    except RateLimitedError as error:
        return int(error.ids["retry_after"])
    return None


def test_six_a_minute_and_twenty_an_hour():
    ops = MemoryOps()
    minutes = [AT + timedelta(minutes=number) for number in range(30)]
    assert [passed(ops, 10, minute) for minute in minutes[:5]] == [6, 6, 6, 2, 0]
    assert sum(passed(ops, 10, minute) for minute in minutes) == 0
    assert passed(ops, 10, AT + timedelta(hours=1)) == 6


def test_whoever_waits_as_long_as_told_gets_through():
    ops = MemoryOps()
    passed(ops, 6)
    wait = refused(ops, AT)
    assert 40 <= wait <= 41
    assert refused(ops, AT + timedelta(seconds=wait)) is None
    for minute in range(1, 4):
        passed(ops, 6, AT + timedelta(minutes=minute))
    late = AT + timedelta(minutes=10)
    wait = refused(ops, late)
    assert wait > 19 * 60
    assert refused(ops, late + timedelta(seconds=wait)) is None


def test_refusals_use_nothing_up():
    ops = MemoryOps()
    passed(ops, 1000)
    assert passed(ops, 10, AT + timedelta(minutes=1)) == 6


def test_a_decline_counts_three_times():
    ops = MemoryOps()
    tried = 0
    for _ in range(10):
        if refused(ops, AT) is None:
            tried += 1
            count_declined(ops, "somebody", Limits(), at=AT)
    assert tried == 2


def test_nought_is_no_limit():
    assert passed(MemoryOps(), 500, rate=Rate(0, 0)) == 500
    assert passed(MemoryOps(), 500, rate=Rate(0, 20)) == 20
    assert passed(MemoryOps(), 500, rate=Rate(6, 0)) == 6


def test_names_are_counted_apart():
    ops = MemoryOps()
    passed(ops, 10)
    spend(ops, "somebody else", RATE, at=AT)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", "unknown"),
        ("203.0.113.7, 10.0.0.1", "unknown"),
    ],
)
def test_an_address_stands_for_its_subscriber(address, network):
    assert network_of(address) == network
