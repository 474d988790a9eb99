from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from chalicelib.domain.calendar import (
    Interval,
    IntervalUnit,
    Period,
    add_days,
    boundary,
    calendar_anchor,
    day_start,
    days_in,
    days_left,
    is_zone,
    local_day,
    next_day_start,
    period_at,
    require_utc,
)
from chalicelib.domain.errors import ValidationError

MONTH = Interval.of("month")
YEAR = Interval.of("year")
DAY = Interval.of("day")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(anchor: str, interval: Interval, ks: range, zone: str = "UTC") -> list[str]:
    return [local_day(boundary(utc(anchor), zone, interval, k), zone).isoformat() for k in ks]


class TestBoundary:
    def test_the_31st_is_clamped_and_comes_back(self):
        assert days("2024-01-31T01:00", MONTH, range(4)) == [
            "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30",
        ]  # fmt: skip
        assert days("2023-01-31", MONTH, range(1, 4)) == ["2023-02-28", "2023-03-31", "2023-04-30"]

    def test_a_start_on_28_february_stays_on_the_28th(self):
        assert days("2023-02-28", MONTH, range(1, 4)) == ["2023-03-28", "2023-04-28", "2023-05-28"]

    def test_29_february_yearly_comes_back_in_leap_years(self):
        assert days("2024-02-29", YEAR, range(5)) == [
            "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29",
        ]  # fmt: skip

    def test_quarters_half_years_weeks_and_thirty_days(self):
        assert days("2023-11-30", Interval.of("month", 3), range(3)) == [
            "2023-11-30",
            "2024-02-29",
            "2024-05-30",
        ]
        assert days("2023-08-31", Interval.of("month", 6), range(2)) == ["2023-08-31", "2024-02-29"]
        assert days("2024-02-28", Interval.of("week"), range(2)) == ["2024-02-28", "2024-03-06"]
        assert days("2011-09-01", Interval.of("day", 30), range(3)) == [
            "2011-09-01",
            "2011-10-01",
            "2011-10-31",
        ]

    def test_k_may_be_negative(self):
        assert days("2024-03-31", MONTH, range(-2, 1)) == ["2024-01-31", "2024-02-29", "2024-03-31"]

    def test_the_wall_clock_of_the_zone_decides_not_utc(self):
        # 31 January 23:30 in New York is 1 February in UTC.
        anchor = utc("2024-02-01T04:30")
        assert boundary(anchor, "America/New_York", MONTH, 1) == utc("2024-03-01T04:30")
        assert boundary(anchor, "America/New_York", MONTH, 2) == utc("2024-04-01T03:30")
        assert boundary(anchor, "UTC", MONTH, 1) == utc("2024-03-01T04:30")

    def test_in_a_gap_the_time_shifts_forward_and_is_back_a_month_later(self):
        anchor = utc("2024-02-10T07:30")  # 02:30 in New York; 02:30 does not exist on 10 March
        assert boundary(anchor, "America/New_York", MONTH, 1) == utc("2024-03-10T07:30")  # 03:30 EDT
        assert boundary(anchor, "America/New_York", MONTH, 2) == utc("2024-04-10T06:30")  # 02:30 EDT

    def test_in_a_fold_the_first_time_counts(self):
        anchor = utc("2024-10-03T05:30")  # 01:30 in New York; 01:30 happens twice on 3 November
        assert boundary(anchor, "America/New_York", MONTH, 1) == utc("2024-11-03T05:30")

    def test_an_anchor_in_the_second_half_of_a_fold_is_itself_at_zero(self):
        anchor = utc("2024-11-03T06:30")
        assert boundary(anchor, "America/New_York", MONTH, 0) == anchor
        assert boundary(anchor, "America/New_York", MONTH, 1) == utc("2024-12-03T06:30")

    def test_an_anchor_on_a_midnight_that_was_skipped_does_not_stay_at_one_o_clock(self):
        # Paraguay skipped 00:00–01:00 on 1 October 2017.
        anchor = calendar_anchor(utc("2017-10-14T12:00"), "America/Asuncion", MONTH)
        assert anchor == utc("2017-10-01T04:00")
        assert boundary(anchor, "America/Asuncion", MONTH, 1) == day_start(
            date(2017, 11, 1), "America/Asuncion"
        )

    def test_eighteen_months_in_juneau_start_on_the_first(self):
        trial_end = add_days(utc("2015-09-01T08:01:01"), 30, "America/Juneau")
        assert trial_end == utc("2015-10-01T08:01:01")
        anchor = utc("2015-10-01T08:01:01")  # 00:01:01 local
        assert {
            local_day(boundary(anchor, "America/Juneau", MONTH, k), "America/Juneau").day for k in range(20)
        } == {1}

    def test_a_naive_anchor_and_an_unknown_zone_are_refused(self):
        with pytest.raises(ValidationError):
            boundary(datetime(2024, 1, 1), "UTC", MONTH, 1)  # noqa: DTZ001
        with pytest.raises(ValidationError):
            boundary(datetime(2024, 1, 1), "UTC", MONTH, 0)  # noqa: DTZ001
        with pytest.raises(ValidationError) as caught:
            boundary(utc("2024-01-01"), "Mars/Olympus", MONTH, 1)
        assert caught.value.field == "time_zone"

    def test_the_answer_is_in_utc_whatever_the_anchor_came_in(self):
        anchor = datetime(2024, 1, 31, 1, tzinfo=ZoneInfo("Europe/Paris"))
        assert boundary(anchor, "Europe/Paris", MONTH, 0).tzinfo is UTC
        assert boundary(anchor, "Europe/Paris", MONTH, 1).tzinfo is UTC


class TestPeriodAt:
    def test_contains_the_instant_half_open(self):
        anchor = utc("2024-01-31T01:00")
        february = (1, Period(utc("2024-02-29T01:00"), utc("2024-03-31T01:00")))
        assert period_at(anchor, "UTC", MONTH, utc("2024-02-29T01:00")) == february
        assert period_at(anchor, "UTC", MONTH, utc("2024-03-31T00:59:59")) == february
        assert period_at(anchor, "UTC", MONTH, utc("2024-03-31T01:00"))[0] == 2
        assert period_at(anchor, "UTC", MONTH, utc("2024-02-29T00:59:59"))[0] == 0

    def test_before_the_anchor_k_is_negative(self):
        assert period_at(utc("2024-01-31"), "UTC", MONTH, utc("2024-01-30"))[0] == -1

    def test_calendar_month_in_kolkata_starts_at_half_past_six_in_the_evening_utc(self):
        start = utc("2023-01-31T18:30")
        anchor = calendar_anchor(start, "Asia/Kolkata", MONTH)
        numbers = [
            period_at(anchor, "Asia/Kolkata", MONTH, utc(instant))[0]
            for instant in ("2023-02-28T18:00", "2023-02-28T19:00", "2023-03-01T00:00", "2023-03-31T18:00",
                            "2023-03-31T19:00")
        ]  # fmt: skip
        assert numbers == [0, 1, 1, 1, 2]

    def test_after_a_trial_the_anchor_is_the_trial_s_end(self):
        end = add_days(utc("2024-04-28T12:00"), 7, "UTC")
        assert end == utc("2024-05-05T12:00")
        assert period_at(end, "UTC", MONTH, end) == (0, Period(end, utc("2024-06-05T12:00")))

    def test_a_clock_set_back_across_midnight_does_not_fall_into_the_day_before(self):
        # Newfoundland set 00:01 back to 23:01: the 7th began, and half a minute later it was the 6th again.
        anchor = utc("2010-11-01T02:30:30")  # 00:00:30 local
        again_the_sixth = utc("2010-11-07T02:45")
        assert local_day(again_the_sixth, "America/St_Johns") == date(2010, 11, 6)
        k, period = period_at(anchor, "America/St_Johns", DAY, again_the_sixth)
        assert (k, period.start) == (6, utc("2010-11-07T02:30:30"))

    def test_a_day_that_a_zone_skipped_is_an_empty_period_that_contains_nothing(self):
        # Samoa had no 30 December 2011.
        anchor = utc("2011-12-28T22:00")  # 12:00 local on the 28th
        empty = [boundary(anchor, "Pacific/Apia", DAY, k) for k in (2, 3)]
        assert empty[0] == empty[1]
        k, period = period_at(anchor, "Pacific/Apia", DAY, empty[0])
        assert (k, period.start) == (3, empty[0])
        assert period.contains(empty[0])


class TestCalendarAnchor:
    @pytest.mark.parametrize(
        ("interval", "start", "anchor"),
        [
            (MONTH, "2024-03-05T12:12", "2024-03-01"),
            (MONTH, "2024-03-01T00:00", "2024-03-01"),
            (Interval.of("month", 3), "2024-06-30T23:59", "2024-04-01"),
            (Interval.of("month", 2), "2024-12-31", "2024-11-01"),
            (Interval.of("month", 24), "2024-12-31", "2024-01-01"),
            (YEAR, "2024-12-31T12:00", "2024-01-01"),
            (Interval.of("week"), "2024-03-03T23:00", "2024-02-26"),
            (Interval.of("week", 2), "2024-03-04", "2024-03-04"),
            (DAY, "2024-03-03T23:00", "2024-03-03"),
        ],
    )
    def test_is_the_boundary_at_or_before_the_start(self, interval, start, anchor):
        assert calendar_anchor(utc(start), "UTC", interval) == utc(anchor)

    def test_is_midnight_in_the_customer_s_zone(self):
        # Already 1 April in Tokyo.
        assert calendar_anchor(utc("2024-03-31T20:00"), "Asia/Tokyo", MONTH) == utc("2024-03-31T15:00")
        assert calendar_anchor(utc("2024-07-04T10:00"), "America/New_York", YEAR) == utc("2024-01-01T05:00")


class TestDays:
    def test_local_day_and_its_start(self):
        assert local_day(utc("2024-05-30T23:00"), "Europe/Paris") == date(2024, 5, 31)
        assert day_start(date(2024, 5, 31), "Europe/Paris") == utc("2024-05-30T22:00")

    def test_a_day_without_midnight_starts_after_the_gap(self):
        assert day_start(date(2018, 11, 4), "America/Sao_Paulo") == utc("2018-11-04T03:00")
        assert local_day(utc("2018-11-04T03:00"), "America/Sao_Paulo") == date(2018, 11, 4)
        assert local_day(utc("2018-11-04T02:59:59"), "America/Sao_Paulo") == date(2018, 11, 3)

    def test_a_day_with_two_midnights_starts_at_the_first(self):
        assert day_start(date(2024, 11, 3), "America/Havana") == utc("2024-11-03T04:00")

    def test_next_day_start(self):
        assert next_day_start(utc("2024-03-30T23:30"), "Europe/Paris") == utc("2024-03-31T22:00")

    def test_add_days_keeps_the_wall_time_across_the_change_of_clocks(self):
        assert add_days(utc("2024-03-30T11:00"), 1, "Europe/Paris") == utc("2024-03-31T10:00")
        assert add_days(utc("2024-03-30T01:30"), 1, "Europe/Paris") == utc(
            "2024-03-31T01:30"
        )  # 02:30 → 03:30
        assert add_days(utc("2024-10-28T01:30"), -1, "Europe/Paris") == utc("2024-10-27T00:30")  # first 02:30

    def test_add_no_days_is_the_same_instant_even_in_a_fold(self):
        second = utc("2024-10-27T01:30")
        assert add_days(second, 0, "Europe/Paris") == second

    def test_days_in_counts_dates_not_hours(self):
        march = Period(utc("2024-02-29T23:00"), utc("2024-03-31T22:00"))  # 743 hours in Paris
        assert days_in(march, "Europe/Paris") == 31
        assert days_in(Period(utc("2024-02-29T12:12"), utc("2024-03-31T12:12")), "UTC") == 31

    @pytest.mark.parametrize(
        ("at", "left"),
        [
            ("2024-03-01", 31), ("2024-03-05T12:12", 31), ("2024-03-05T23:59", 31), ("2024-03-06T00:00", 30),
            ("2024-03-12T12:12", 24), ("2024-04-04T23:59", 1), ("2024-04-05T11:00", 0), ("2024-05-01", 0),
        ],
    )  # fmt: skip
    def test_the_day_of_the_instant_counts_as_left(self, at, left):
        assert days_left(Period(utc("2024-03-05T12:12"), utc("2024-04-05T12:12")), utc(at), "UTC") == left

    def test_days_left_are_the_customer_s_days(self):
        march = Period(utc("2024-03-01T05:00"), utc("2024-04-01T04:00"))
        assert days_left(march, utc("2024-03-13T03:00"), "America/New_York") == 20  # still the 12th
        assert days_left(march, utc("2024-03-13T04:00"), "America/New_York") == 19

    def test_due_date_two_days_on(self):
        due = local_day(add_days(utc("2025-01-01T10:00"), 2, "UTC"), "UTC")
        assert due == date(2025, 1, 3)


class TestZones:
    @pytest.mark.parametrize(
        "name", ["UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "EST5EDT"]
    )
    def test_iana_keys(self, name):
        assert is_zone(name)

    @pytest.mark.parametrize(
        "name", ["", "utc", "europe/paris", "Paris", "+02:00", "localtime", "posixrules", "Factory", "Europe",
                 "../etc/passwd", "Europe/Paris ", "/Europe/Paris"]
    )  # fmt: skip
    def test_anything_else_is_not_a_zone(self, name):
        assert not is_zone(name)
        with pytest.raises(ValidationError):
            local_day(utc("2024-01-01"), name)


class TestInterval:
    def test_annual_factor(self):
        assert Interval.of("month").annual_factor() == 12
        assert Interval.of("month", 3).annual_factor() == 4
        assert Interval.of("year").annual_factor() == 1
        assert Interval.of("year", 2).annual_factor() == Fraction(1, 2)
        assert Interval.of("week").annual_factor() == 52
        assert Interval.of("day").annual_factor() == 365
        assert Interval.of("day", 30).annual_factor() == Fraction(365, 30)

    def test_longer_than(self):
        assert YEAR.is_longer_than(MONTH)
        assert not MONTH.is_longer_than(YEAR)
        assert not Interval.of("month", 12).is_longer_than(YEAR)
        assert Interval.of("month").is_longer_than(Interval.of("week", 4))

    def test_reads_as_a_phrase(self):
        assert [str(item) for item in (MONTH, Interval.of("month", 3))] == ["month", "3 months"]
        assert Interval(IntervalUnit.DAY) == DAY

    @pytest.mark.parametrize(
        ("unit", "count", "field"),
        [("fortnight", 1, "interval.unit"), ("MONTH", 1, "interval.unit"), ("month", 0, "interval.count"),
         ("month", -1, "interval.count"), ("month", 1001, "interval.count"),
         ("month", True, "interval.count")],
    )  # fmt: skip
    def test_refuses_what_does_not_recur(self, unit, count, field):
        with pytest.raises(ValidationError) as caught:
            Interval.of(unit, count)
        assert caught.value.field == field


class TestInstants:
    def test_naive_is_refused_and_other_offsets_become_utc(self):
        with pytest.raises(ValidationError):
            require_utc(datetime(2024, 1, 1))  # noqa: DTZ001
        shifted = require_utc(datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
        assert shifted == utc("2024-01-01")
        assert shifted.tzinfo is UTC

    def test_a_period_is_half_open_and_not_backwards(self):
        period = Period(utc("2024-01-01"), utc("2024-02-01"))
        assert period.contains(utc("2024-01-01"))
        assert period.contains(utc("2024-01-31T23:59:59.999999"))
        assert not period.contains(utc("2024-02-01"))
        assert not period.contains(utc("2023-12-31T23:59:59"))
        with pytest.raises(ValueError, match="before it starts"):
            Period(utc("2024-02-01"), utc("2024-01-01"))
        with pytest.raises(ValidationError):
            Period(datetime(2024, 1, 1), utc("2024-02-01"))  # noqa: DTZ001
