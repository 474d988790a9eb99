"""The share of Stripe's rate that work in the background takes, on a clock of the test's own."""

from __future__ import annotations

from collections import Counter

import pytest

from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.stripe.throttle import Rates, Throttle
from chalicelib.domain.errors import GatewayUnavailableError

START = 1_800_000_000.25


class Clock:
    """Sleeping moves it on; so it is one thread's."""

    def __init__(self):
        self.now = START
        self.slept = 0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds
        self.slept += 1


class CountedOps(MemoryOps):
    writes = 0

    def take(self, *args, **named):
        self.writes += 1
        return super().take(*args, **named)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ops():
    return CountedOps()


def throttle(ops, clock, **rates):
    return Throttle(ops, Rates(**rates), clock=clock, sleep=clock.sleep)


def admitted(limiter, endpoint="payment_intents", *, tries=100):
    """How many of so many calls were admitted at once."""
    done = 0
    for _ in range(tries):
        try:
            limiter.admit(endpoint, patience=0)
        except GatewayUnavailableError:
            continue
        done += 1
    return done


def test_a_batch_of_ten_costs_one_write(ops, clock):
    limiter = throttle(ops, clock)
    assert admitted(limiter, tries=10) == 10
    assert ops.writes == 1


def test_processes_share_the_second_and_leave_the_reserve(ops, clock):
    processes = [throttle(ops, clock) for _ in range(20)]
    assert sum(admitted(each) for each in processes) == 20
    clock.now += 1
    assert sum(admitted(each) for each in processes) == 20


def test_endpoints_share_the_account(ops, clock):
    endpoints = [f"kind_{number}" for number in range(10)]
    assert sum(admitted(throttle(ops, clock), each) for each in endpoints) == 80


def test_a_second_that_is_given_out_is_not_asked_for_again(ops, clock):
    admitted(throttle(ops, clock))
    ops.writes = 0
    assert admitted(throttle(ops, clock), tries=1000) == 0
    assert ops.writes == 1


def test_what_is_left_of_a_lease_ends_with_its_second(ops, clock):
    limiter = throttle(ops, clock)
    admitted(limiter, tries=1)
    clock.now += 1
    admitted(limiter, tries=1)
    assert ops.writes == 2


def test_patience_waits_for_the_next_second_and_has_an_end(ops, clock):
    limiter = throttle(ops, clock)
    assert admitted(limiter) == 20
    limiter.admit("payment_intents", patience=5)
    assert clock.slept == 1
    admitted(limiter)
    before = clock.now
    with pytest.raises(GatewayUnavailableError):
        limiter.admit("payment_intents", patience=0.001)
    assert clock.now == before


def test_a_thousand_calls_take_a_minute_and_no_second_has_more_than_its_share(ops, clock):
    limiter, calls = throttle(ops, clock), Counter()
    for _ in range(1000):
        limiter.admit("payment_intents", patience=10)
        calls[int(clock.now)] += 1
    assert sum(calls.values()) == 1000
    assert max(calls.values()) == 20
    assert ops.writes <= 1000 / 10 * 1.6


def test_a_lease_is_never_more_than_a_second_has(ops, clock):
    assert admitted(throttle(ops, clock, in_all=10, per_endpoint=5, lease=25)) == 4
