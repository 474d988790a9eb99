from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.calendar import Interval, Period, local_day, period_at
from chalicelib.domain.money import round_half_away
from chalicelib.domain.proration import (
    Granularity,
    remaining_charge,
    share_left,
    share_left_on_cancel,
    share_of,
    unused_credit,
)

WHOLE = Fraction(1)
zones = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "America/Havana"])
granularities = st.sampled_from([Granularity.DAY, Granularity.SECOND])
intervals = st.builds(Interval.of, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 3))
instants = st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
prices = st.one_of(
    st.integers(0, 10**7).map(Fraction),
    st.fractions(min_value=0, max_value=10**6, max_denominator=10**4),
)


@st.composite
def periods_with_changes(draw):
    """A full period in a zone, and up to eight instants of change inside it, in order."""
    zone, anchor = draw(zones), draw(instants)
    _, full = period_at(anchor, zone, draw(intervals), draw(instants))
    length = (full.end - full.start) // timedelta(microseconds=1)
    offsets = draw(st.lists(st.integers(0, length - 1), max_size=8))
    return zone, full, [full.start + timedelta(microseconds=offset) for offset in sorted(offsets)]


@settings(max_examples=300, deadline=None)
@given(periods_with_changes(), granularities, st.data())
def test_a_chain_of_changes_costs_what_its_stretches_cost(given_, granularity, data):
    """±1 minor unit per change against every stretch at its exact price, also after a stub."""
    zone, full, instants = given_
    starts_with_stub = data.draw(st.booleans()) and bool(instants)
    start, changes = (instants[0], instants[1:]) if starts_with_stub else (full.start, instants)
    chain = data.draw(st.lists(prices, min_size=len(changes) + 1, max_size=len(changes) + 1))

    shares = [share_left(full, at, zone, granularity) for at in (start, *changes)]
    total = billed = remaining_charge(chain[0], shares[0])
    for price, before, left in zip(chain[1:], shares, shares[1:], strict=False):
        total -= unused_credit(billed, before, left)
        billed = remaining_charge(price, left)
        total += billed

    ends = [*shares[1:], Fraction(0)]
    stretches = sum(price * (left - end) for price, left, end in zip(chain, shares, ends, strict=True))
    assert abs(total - round_half_away(stretches)) <= len(changes)


@settings(max_examples=200, deadline=None)
@given(periods_with_changes(), granularities)
def test_neighbouring_stretches_make_up_the_period(given_, granularity):
    zone, full, changes = given_
    edges = [full.start, *changes, full.end]
    stretches = [share_of(full, Period(start, end), zone, granularity) for start, end in pairwise(edges)]
    assert sum(stretches) == 1
    assert all(0 <= share <= 1 for share in stretches)


@settings(max_examples=200, deadline=None)
@given(periods_with_changes(), st.sampled_from(Granularity))
def test_what_is_left_only_shrinks(given_, granularity):
    zone, full, changes = given_
    shares = [share_left(full, at, zone, granularity) for at in (full.start, *changes, full.end)]
    assert shares[0] == 1
    assert shares[-1] == 0
    assert shares == sorted(shares, reverse=True)


@settings(max_examples=200, deadline=None)
@given(periods_with_changes())
def test_within_a_day_the_hour_does_not_matter(given_):
    zone, full, changes = given_
    by_day: dict[object, set[Fraction]] = {}
    for at in changes:
        by_day.setdefault(local_day(at, zone), set()).add(share_left(full, at, zone, Granularity.DAY))
    assert all(len(shares) == 1 for shares in by_day.values())


@settings(max_examples=200, deadline=None)
@given(periods_with_changes())
def test_cancelling_leaves_one_day_less_than_changing(given_):
    zone, full, changes = given_
    for at in changes:
        changing = share_left(full, at, zone, Granularity.DAY)
        cancelling = share_left_on_cancel(full, at, zone, Granularity.DAY)
        a_day = Fraction(1, (local_day(full.end, zone) - local_day(full.start, zone)).days)
        assert cancelling == max(Fraction(0), changing - a_day)


@settings(max_examples=200, deadline=None)
@given(
    billed=st.integers(0, 10**9),
    credited=st.lists(st.integers(0, 10**9), max_size=3),
    share=st.fractions(min_value=Fraction(1, 366), max_value=1, max_denominator=366),
    left=st.fractions(min_value=0, max_value=1, max_denominator=366),
)
def test_a_line_is_never_credited_beyond_what_it_billed(billed, credited, share, left):
    before = min(billed, sum(credited))
    credit = unused_credit(billed, share, left, before)
    assert 0 <= credit <= billed - before


@settings(max_examples=100, deadline=None)
@given(amount=st.integers(0, 10**9), left=st.fractions(min_value=0, max_value=1, max_denominator=366))
def test_undoing_a_charge_at_once_gives_all_of_it_back(amount, left):
    charge = remaining_charge(amount, left)
    assert unused_credit(charge, left, left) == (charge if left else 0)
