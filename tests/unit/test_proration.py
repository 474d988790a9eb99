from datetime import UTC, datetime
from fractions import Fraction

import pytest

from chalicelib.domain.calendar import Interval, Period, calendar_anchor, next_day_start, period_at
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.money import round_half_away
from chalicelib.domain.proration import (
    Granularity,
    Parts,
    parts_left,
    parts_left_on_cancel,
    parts_of,
    remaining_charge,
    share_left,
    share_left_on_cancel,
    share_of,
    unused_credit,
)

DAY, SECOND, NONE = Granularity.DAY, Granularity.SECOND, Granularity.NONE
WHOLE = Fraction(1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(start: str, end: str) -> Period:
    return Period(utc(start), utc(end))


def upgrade_chain(full, first_share, prices, changes, zone="UTC", granularity=DAY):
    """Charges and credits of a subscription that moves along `prices`, one per change."""
    share, billed = first_share, remaining_charge(prices[0], first_share)
    charges, credits = [billed], []
    for price, at in zip(prices[1:], changes, strict=True):
        left = share_left(full, at, zone, granularity)
        credits.append(unused_credit(billed, share, left))
        share, billed = left, remaining_charge(price, left)
        charges.append(billed)
    return charges, credits


class TestWorkedExamples:
    def test_one_upgrade_in_february(self):
        full = period("2024-02-01", "2024-03-01")
        left = share_left(full, utc("2024-02-12T06:00"), "UTC", DAY)
        assert left == Fraction(18, 29)
        assert unused_credit(2900, WHOLE, left) == 1800
        assert remaining_charge(29000, left) == 18000

    def test_twice_in_one_day_on_the_anniversary(self):
        full = period("2024-03-05T12:12", "2024-04-05T12:12")
        changes = [utc("2024-03-12T12:12"), utc("2024-03-12T13:12")]
        charges, credits = upgrade_chain(full, WHOLE, [1000, 1500, 1900], changes)
        assert charges == [1000, 1161, 1471]
        assert credits == [774, 1161]
        assert [round_half_away(net * Fraction(5, 4)) for net in credits] == [968, 1451]

    def test_twice_in_one_day_on_the_calendar(self):
        start = utc("2024-03-05T12:12")
        month = Interval.of("month")
        _, full = period_at(calendar_anchor(start, "UTC", month), "UTC", month, start)
        stub = share_of(full, Period(start, full.end), "UTC", DAY)
        changes = [utc("2024-03-12T12:12"), utc("2024-03-12T13:12")]
        charges, credits = upgrade_chain(full, stub, [1000, 1500, 1900], changes)
        assert charges == [871, 968, 1226]
        assert [round_half_away(net * Fraction(5, 4)) for net in credits] == [806, 1210]

    def test_three_switches_by_the_second(self):
        full = period("2025-06-01", "2025-07-01")
        changes = [utc("2025-06-07"), utc("2025-06-13"), utc("2025-06-19")]
        charges, credits = upgrade_chain(
            full, WHOLE, [10000, 20000, 30000, 40000], changes, granularity=SECOND
        )
        assert charges == [10000, 16000, 18000, 16000]
        assert credits == [8000, 12000, 12000]
        assert sum(charges[1:]) - sum(credits) == 18000

    @pytest.mark.parametrize(
        ("full", "at", "credit", "charge"),
        [
            (("2024-08-01", "2025-08-01"), "2024-10-01", 83288, 249863),
            (("2024-02-18", "2025-02-18"), "2024-09-05", 45355, 136066),
            (("2023-02-18", "2024-02-18"), "2023-09-05", 45479, 136438),
        ],
    )
    def test_a_year_by_the_second_with_and_without_a_leap_day(self, full, at, credit, charge):
        left = share_left(period(*full), utc(at), "UTC", SECOND)
        assert unused_credit(100_000, WHOLE, left) == credit
        assert remaining_charge(300_000, left) == charge

    def test_yen_by_the_day(self):
        full = period("2024-03-01", "2024-04-01")
        first = share_of(full, period("2024-03-01", "2024-03-11"), "Asia/Tokyo", DAY)
        rest = share_left(full, utc("2024-03-11"), "Asia/Tokyo", DAY)
        assert (remaining_charge(1000, first), remaining_charge(1000, rest)) == (323, 677)

    def test_the_credit_is_capped_at_what_is_left_of_the_line(self):
        full = period("2012-05-01", "2012-06-01")
        left = share_left(full, utc("2012-05-02"), "UTC", DAY)
        assert unused_credit(24995, WHOLE, left) == 24189
        assert unused_credit(24995, WHOLE, left, already_credited=1000) == 23995
        assert remaining_charge(995, left) == 963

    def test_a_credit_comes_from_the_net_that_was_billed(self):
        assert unused_credit(1600, WHOLE, WHOLE) == 1600
        assert unused_credit(2000, WHOLE, WHOLE) == 2000

    def test_a_month_turned_into_a_year_at_its_very_start(self):
        full = period("2024-03-01T10:00", "2024-04-01T10:00")
        credit = unused_credit(2000, WHOLE, share_left(full, full.start, "UTC", DAY))
        assert 20000 - credit == 18000

    def test_add_ons_follow_the_days_left(self):
        left = share_left(period("2023-08-01", "2023-09-01"), utc("2023-08-21T12:00"), "UTC", DAY)
        assert remaining_charge(10000, left) - unused_credit(1500, WHOLE, left) == 3016
        assert remaining_charge(2000, left) == 710

    def test_arrears_are_charged_by_stretches_that_add_up(self):
        full = period("2024-02-01", "2024-03-01")
        old = share_of(full, period("2024-02-01", "2024-02-12T06:00"), "UTC", DAY)
        new = share_of(full, period("2024-02-12T06:00", "2024-03-01"), "UTC", DAY)
        assert old + new == 1
        assert remaining_charge(2900, old) == 1100
        assert [remaining_charge(amount, new) for amount in (29000, 500)] == [18000, 310]

    def test_the_rest_of_a_month_after_a_trial(self):
        full = period("2024-03-01", "2024-04-01")
        stub = share_of(full, period("2024-03-15T12:12", "2024-04-01"), "UTC", DAY)
        assert remaining_charge(5_000_000, stub) == 2_741_935


class TestCancelling:
    FULL = period("2025-02-01", "2025-03-01")
    STUB = share_of(FULL, period("2025-02-08", "2025-03-01"), "UTC", DAY)

    def test_the_day_is_consumed(self):
        assert remaining_charge(10000, self.STUB) == 7500
        left = share_left_on_cancel(self.FULL, utc("2025-02-21T09:00"), "UTC", DAY)
        assert left == Fraction(7, 28)
        assert unused_credit(7500, self.STUB, left) == 2500

    def test_half_a_day_after_the_start_one_day_is_consumed(self):
        left = share_left_on_cancel(self.FULL, utc("2025-02-08T12:00"), "UTC", DAY)
        assert unused_credit(7500, self.STUB, left) == 7143

    def test_before_the_start_nothing_is_consumed(self):
        full = period("2025-02-01T12:00", "2025-03-01T12:00")
        assert share_left_on_cancel(full, utc("2025-02-01T08:00"), "UTC", DAY) == 1
        assert share_left_on_cancel(full, utc("2025-02-01T12:00"), "UTC", DAY) == Fraction(27, 28)

    def test_on_the_last_day_nothing_is_left(self):
        assert share_left_on_cancel(self.FULL, utc("2025-02-28T00:00"), "UTC", DAY) == 0

    def test_by_the_second_only_the_time_used_is_consumed(self):
        assert share_left_on_cancel(self.FULL, utc("2025-02-15"), "UTC", SECOND) == Fraction(1, 2)

    def test_two_started_days_in_paris_are_two_days_in_arrears(self):
        month = Interval.of("month")
        start, end = utc("2023-09-05"), utc("2023-09-06")
        _, full = period_at(start, "Europe/Paris", month, start)
        served = Period(start, next_day_start(end, "Europe/Paris"))
        assert parts_of(full, served, "Europe/Paris", DAY) == Parts(2, 30)
        assert remaining_charge(1000, share_of(full, served, "Europe/Paris", DAY)) == 67


class TestShares:
    FULL = period("2024-03-05T12:00", "2024-04-05T12:00")

    @pytest.mark.parametrize("granularity", list(Granularity))
    def test_everything_is_left_at_the_start_and_nothing_at_the_end(self, granularity):
        assert share_left(self.FULL, utc("2024-01-01"), "UTC", granularity) == 1
        assert share_left(self.FULL, self.FULL.start, "UTC", granularity) == 1
        assert share_left(self.FULL, self.FULL.end, "UTC", granularity) == 0
        assert share_left(self.FULL, utc("2025-01-01"), "UTC", granularity) == 0
        assert share_of(self.FULL, self.FULL, "UTC", granularity) == 1

    def test_a_line_can_show_the_unreduced_parts(self):
        full = period("2024-06-01", "2024-07-01")
        at = utc("2024-06-11T15:00")
        assert parts_left(full, at, "UTC", DAY) == Parts(20, 30)
        assert parts_left_on_cancel(full, at, "UTC", DAY) == Parts(19, 30)
        assert parts_left(full, at, "UTC", SECOND) == Parts(19 * 86400 + 9 * 3600, 30 * 86400)
        assert parts_of(full, Period(at, full.end), "UTC", DAY) == Parts(20, 30)
        assert Parts(20, 30).share == Fraction(2, 3)

    def test_seconds_count_the_hours_that_really_passed(self):
        march = Period(utc("2024-02-29T23:00"), utc("2024-03-31T22:00"))  # Paris loses an hour
        assert parts_of(march, march, "Europe/Paris", SECOND).denominator == 743 * 3600

    def test_seconds_are_whole(self):
        full = period("2024-03-05T12:00:00.900", "2024-03-06T12:00:00.900")
        assert parts_left(full, utc("2024-03-05T12:00:01.100"), "UTC", SECOND) == Parts(86399, 86400)

    def test_none_neither_charges_nor_credits_a_part(self):
        assert share_left(self.FULL, utc("2024-03-05T12:00:01"), "UTC", NONE) == 0
        assert share_left_on_cancel(self.FULL, utc("2024-03-20"), "UTC", NONE) == 0
        assert share_of(self.FULL, period("2024-03-06", "2024-04-05"), "UTC", NONE) == 0

    def test_what_lies_outside_the_period_does_not_count(self):
        assert share_of(self.FULL, period("2024-01-01", "2024-03-10T12:00"), "UTC", DAY) == Fraction(5, 31)
        assert share_of(self.FULL, period("2024-04-01", "2024-12-01"), "UTC", DAY) == Fraction(4, 31)
        assert share_of(self.FULL, period("2024-01-01", "2024-02-01"), "UTC", DAY) == 0
        assert share_of(self.FULL, period("2025-01-01", "2025-02-01"), "UTC", SECOND) == 0

    def test_an_empty_period_has_no_share(self):
        empty = Period(self.FULL.start, self.FULL.start)
        assert share_of(empty, empty, "UTC", DAY) == 0

    def test_a_naive_instant_is_refused(self):
        naive = datetime(2024, 3, 6)  # noqa: DTZ001
        for ask in (share_left, share_left_on_cancel):
            with pytest.raises(ValidationError):
                ask(self.FULL, naive, "UTC", DAY)


class TestUnusedCredit:
    def test_nothing_billed_nothing_left_or_all_credited(self):
        half = Fraction(1, 2)
        assert unused_credit(0, WHOLE, half) == 0
        assert unused_credit(1000, WHOLE, Fraction(0)) == 0
        assert unused_credit(1000, WHOLE, half, already_credited=1000) == 0
        assert unused_credit(1000, WHOLE, half, already_credited=1200) == 0
        assert unused_credit(0, Fraction(0), half) == 0

    def test_never_more_than_was_billed(self):
        assert unused_credit(1000, Fraction(1, 2), WHOLE) == 1000

    @pytest.mark.parametrize(
        ("billed", "share", "left", "credited"),
        [
            (-1, WHOLE, WHOLE, 0),
            (1, -WHOLE, WHOLE, 0),
            (1, WHOLE, -WHOLE, 0),
            (1, WHOLE, WHOLE, -1),
        ],
    )
    def test_a_credit_line_is_not_itself_credited(self, billed, share, left, credited):
        with pytest.raises(ValueError, match="not negative"):
            unused_credit(billed, share, left, credited)
