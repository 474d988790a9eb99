"""Prices that change over time, told as stories: ramps, customers' own prices, and moving subscribers to new ones."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chalicelib.application import changes
from chalicelib.application.catalog import publish_catalog
from chalicelib.application.repricing import reprice
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain.catalog_document import CatalogDocument
from chalicelib.domain.change import ChangeOrder, When
from chalicelib.domain.errors import ValidationError
from tests.scenario.test_changes import CATALOG, amounts, bought, plan, price
from tests.scenario.world import World


@pytest.fixture
def world() -> World:
    world = World(start="2024-03-05T12:12:00+00:00")
    publish_catalog(world.ctx(), CATALOG, expected=1)
    return world


class TestRamp:
    def test_the_usual_price_follows_the_stretches(self, world: World) -> None:
        sub = bought(world, ramp=((2, "100"), (1, "500")))
        mrr = [world.mrr()]
        for _ in range(4):
            world.advance(days=31)
            mrr.append(world.mrr())
        assert amounts(world, sub) == [[100], [100], [500], [1000], [1000]]
        assert mrr == [100, 100, 500, 1000, 1000]
        assert world.reload(sub).phases == ()

    def test_more_seats_keep_the_price_of_the_stretch_and_go_along(self, world: World) -> None:
        sub = bought(world, "team", quantity=2, ramp=((1, "100"),))
        changes.change_subscription(world.ctx(), sub.id, ChangeOrder(quantity=3))
        assert amounts(world, sub) == [[200], [-200, 300]]
        world.advance(days=31)
        assert amounts(world, sub)[-1] == [1500]

    def test_another_plan_ends_it(self, world: World) -> None:
        sub = bought(world, ramp=((3, "100"),))
        changes.change_subscription(world.ctx(), sub.id, ChangeOrder(plan="middle"))
        world.advance(days=100)
        assert amounts(world, sub)[2:] == [[1500]] * 3


class TestOwnPrices:
    def test_a_customer_pays_what_was_agreed(self, world: World) -> None:
        sub = bought(world, "middle", add_ons=(("sso", 1),), unit_amounts=(("middle", "1200"), ("sso", "0")))
        world.advance(days=31)
        assert amounts(world, sub) == [[1200, 0], [1200, 0]]
        assert sub.plan.source == "negotiated"

    @pytest.mark.parametrize("own", [(("large", "5"),), (("small", "-5"),), (("small", "1e3"),)])
    def test_what_makes_no_sense_is_refused(self, world: World, own: Any) -> None:
        with pytest.raises(ValidationError):
            bought(world, unit_amounts=own)


class TestReprice:
    @pytest.fixture
    def dearer(self, world: World) -> dict[str, str]:
        subs = {name: bought(world, name).id for name in ("small", "middle")}
        subs["pending"] = bought(world).id
        changes.change_subscription(world.ctx(), subs["pending"], ChangeOrder(plan="free"))
        plans = [
            plan("small", 1, price(1300), price(13000, "year")),
            *CATALOG["plans"][2:],
            CATALOG["plans"][0],
        ]
        publish_catalog(world.ctx(), cast(CatalogDocument, {**CATALOG, "plans": plans}), expected=2)
        return subs

    def test_shown_before_and_planned_for_the_end_of_the_period(
        self, world: World, dearer: dict[str, str]
    ) -> None:
        shown = reprice(world.ctx(), plan="small", limit=100, dry=True)
        done = reprice(world.ctx(), plan="small", limit=100)
        again = reprice(world.ctx(), plan="small", limit=100)
        for page in (shown, done):
            rows = {row.subscription.id: (row.mrr_before, row.mrr_after, row.skipped) for row in page.rows}
            assert rows == {
                dearer["small"]: (1000, 1300, None),
                dearer["pending"]: (1000, 1000, "another change is to come"),
            }
        assert [row.skipped for row in again.rows] == ["another change is to come"] * 2
        world.advance(days=31)
        sub = get_subscription(world.ctx(), dearer["small"])
        assert amounts(world, sub) == [[1000], [1300]]
        assert amounts(world, get_subscription(world.ctx(), dearer["middle"])) == [[1500], [1500]]
        assert reprice(world.ctx(), plan="small", limit=100).rows == ()

    def test_until_then_everybody_keeps_what_was_bought(self, world: World, dearer: dict[str, str]) -> None:
        world.advance(days=31)
        sub = get_subscription(world.ctx(), dearer["small"])
        assert amounts(world, sub) == [[1000], [1000]]

    def test_one_alone_now(self, world: World, dearer: dict[str, str]) -> None:
        order = ChangeOrder(reprice=True, at=When.NOW)
        sub = changes.change_subscription(world.ctx(), dearer["small"], order)
        assert amounts(world, sub) == [[1000], [-1000, 1300]]
