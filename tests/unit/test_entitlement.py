"""What a customer may use: derived from statuses, items and the catalog version bought."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.domain import ids
from chalicelib.domain.calendar import Period
from chalicelib.domain.catalog import AddOn, Catalog, Plan, TrialEnd
from chalicelib.domain.entitlement import Entitlements, entitlements
from chalicelib.domain.subscription import Cancellation, Item, ItemKind, Status, Subscription, Trial
from tests import samples

NOW = samples.START + timedelta(days=3)
BASIC = Plan(id="basic", name="Basic", rank=1, features=("mail", "web"), quotas={"projects": 5, "members": 1})
TEAM = Plan(
    id="team", name="Team", rank=2, per_seat=True, features=("api",), quotas={"projects": None, "members": 10}
)
EXTRA = AddOn(id="extra", name="Extra", features=("chat",), quotas={"projects": 3, "storage_gb": 50})
CATALOGS = {
    1: Catalog(version=1, plans=(BASIC, TEAM), add_ons=(EXTRA,)),
    2: Catalog(version=2, plans=(replace(BASIC, features=("web",)), TEAM), add_ons=(EXTRA,)),
}


def sub(plan: str, name: str = "1", add_ons: int = 0, **changes: object) -> Subscription:
    items = [Item(id="plan", kind=ItemKind.PLAN, product=plan, name=plan, quantity=1)]
    if add_ons:
        items.append(Item(id="extra", kind=ItemKind.ADD_ON, product="extra", name="Extra", quantity=add_ons))
    given = {"items": tuple(items), "catalog_version": 1} | changes
    return samples.subscription(ids.child_id("sub", samples.CUSTOMER, name), **given)


def of(*subscriptions: Subscription, now: datetime = NOW) -> Entitlements:
    return entitlements(samples.CUSTOMER, subscriptions, CATALOGS.__getitem__, now)


def test_a_customer_without_subscriptions_has_nothing() -> None:
    found = of()
    assert (found.active, found.status, found.plan, found.until, found.seats) == (False, None, None, None, 0)
    assert (found.features, dict(found.quotas), found.grants) == ((), {}, ())


@pytest.mark.parametrize(
    ("status", "entitled"),
    [
        (Status.TRIALING, True),
        (Status.ACTIVE, True),
        (Status.PAST_DUE, True),
        (Status.UNPAID, False),
        (Status.PAUSED, False),
        (Status.INCOMPLETE, False),
        (Status.INCOMPLETE_EXPIRED, False),
        (Status.CANCELED, False),
    ],
)
def test_the_status_decides(status: Status, entitled: bool) -> None:
    found = of(sub("basic", status=status))
    assert found.status is status
    assert found.active is entitled
    assert found.features == (("mail", "web") if entitled else ())
    assert len(found.grants) == entitled


def test_features_unite_and_the_larger_quota_counts() -> None:
    found = of(sub("basic"), sub("team", "2"))
    assert found.features == ("api", "mail", "web")
    assert dict(found.quotas) == {"projects": None, "members": 10}
    assert found.plan == "team"


def test_an_add_on_adds_to_its_plan_for_each_one_bought() -> None:
    found = of(sub("basic", add_ons=2))
    assert found.features == ("chat", "mail", "web")
    assert dict(found.quotas) == {"projects": 5 + 2 * 3, "members": 1, "storage_gb": 100}


def test_nothing_is_added_to_unlimited() -> None:
    assert of(sub("team", add_ons=2)).quotas["projects"] is None


def test_an_add_on_that_ended_gives_nothing() -> None:
    bought = sub("basic", add_ons=1)
    ended = replace(bought, items=(bought.items[0], replace(bought.items[1], ends_at=NOW)))
    assert of(ended).features == ("mail", "web")
    assert of(ended, now=NOW - timedelta(seconds=1)).features == ("chat", "mail", "web")


def test_the_version_bought_is_what_is_granted() -> None:
    assert of(sub("basic", catalog_version=2)).features == ("web",)


def test_seats_add_up_and_only_where_they_are_sold() -> None:
    seats = (Item(id="plan", kind=ItemKind.PLAN, product="team", name="Team", quantity=7),)
    found = of(sub("team", items=seats), sub("team", "2", items=seats), sub("basic", "3"))
    assert found.seats == 14
    assert {grant.plan: grant.seats for grant in found.grants} == {"team": 7, "basic": None}


def test_the_best_status_is_said() -> None:
    assert (
        of(sub("basic", status=Status.CANCELED), sub("team", "2", status=Status.PAST_DUE)).status
        == "past_due"
    )


class TestUntil:
    def test_the_paid_periods_end(self) -> None:
        assert of(sub("basic")).until == samples.END

    def test_the_latest_of_several(self) -> None:
        later = Period(samples.START, samples.END + timedelta(days=9))
        assert of(sub("basic"), sub("team", "2", period=later)).until == later.end

    def test_no_end_in_sight_with_a_free_plan(self) -> None:
        assert of(sub("basic"), sub("basic", "2", period=None)).until is None

    def test_the_trials_end(self) -> None:
        trial = Trial(started_at=samples.START, ends_at=samples.END, on_end=TrialEnd.CANCEL)
        assert of(sub("basic", status=Status.TRIALING, trial=trial, period=None)).until == samples.END

    def test_a_cancellation_takes_effect_at_its_instant(self) -> None:
        at = NOW + timedelta(days=2)
        leaving = sub("basic", cancellation=Cancellation(requested_at=NOW, at=at))
        assert of(leaving).until == at
        assert of(leaving, now=at - timedelta(microseconds=1)).active
        assert not of(leaving, now=at).active

    def test_a_late_renewal_takes_nothing_away(self) -> None:
        assert of(sub("basic"), now=samples.END + timedelta(days=1)).active
