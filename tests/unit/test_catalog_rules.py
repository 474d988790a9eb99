"""A catalog document that breaks rules is told all of them, each by its path."""

from __future__ import annotations

import copy
from typing import cast

import pytest

from chalicelib.application.catalog import default_document
from chalicelib.domain.catalog import SoldBy, TrialEnd
from chalicelib.domain.catalog_difference import ChangeKind, difference
from chalicelib.domain.catalog_document import CatalogDocument, build_catalog, write_catalog
from chalicelib.domain.catalog_rules import problems_in, read_catalog
from chalicelib.domain.errors import InvalidDocumentError


@pytest.fixture
def document():
    return {
        "default_currency": "USD",
        "seller": {"name": "Acme Ltd", "country": "IE", "email": "billing@example.com"},
        "plans": [
            {"id": "free", "name": "Free", "rank": 0},
            {
                "id": "pro",
                "name": "Pro",
                "rank": 1,
                "per_seat": True,
                "features": ["sso"],
                "quotas": {"projects": 5, "calls": None},
                "trial": {"days": 14, "on_end": "fall_back", "fall_back_plan": "free"},
                "prices": [
                    {"interval": "month", "currency": "USD", "model": "per_unit", "unit_amount": "2900"},
                    {"interval": "year", "currency": "USD", "model": "per_unit", "unit_amount": "29000"},
                    {"interval": "month", "currency": "JPY", "model": "per_unit", "unit_amount": "4300"},
                ],
            },
        ],
        "add_ons": [
            {
                "id": "help",
                "name": "Help",
                "plans": ["pro"],
                "prices": [{"interval": "month", "currency": "USD", "model": "flat", "unit_amount": "0.5"}],
            }
        ],
    }


def priced(**changes):
    return {"interval": "month", "currency": "USD", "model": "per_unit", "unit_amount": "2900"} | changes


def tiered(found=((10, "1000"), (None, "800")), **changes):
    tiers = [{"up_to": up_to, "unit_amount": amount} for up_to, amount in found]
    return priced(model="graduated", unit_amount=None, tiers=tiers) | changes


def put(document, path, value):
    """Set the value at a path of keys and indexes."""
    *way, last = path
    target = document
    for step in way:
        target = target[step]
    target[last] = value
    return document


def test_a_sound_document_becomes_a_catalog_and_can_be_written_back(document):
    catalog = read_catalog(document, version=7)
    assert catalog.version == 7
    assert catalog.plan("free").is_free
    assert not catalog.plan("pro").is_free
    assert [price.id for price in catalog.plan("pro").prices] == [
        "pro_month_usd",
        "pro_year_usd",
        "pro_month_jpy",
    ]
    assert catalog.plan("pro").prices[1].rate.unit_amount == "29000"
    assert build_catalog(cast(CatalogDocument, write_catalog(catalog)), version=7) == catalog


def test_a_quarter_has_its_count_in_the_price_id(document):
    put(document, ["plans", 1, "prices", 1, "interval"], "month")
    put(document, ["plans", 1, "prices", 1, "interval_count"], 3)
    price = read_catalog(document, version=1).plan("pro").prices[1]
    assert price.id == "pro_3month_usd"
    assert price.interval.months == 3


PRICE = ["plans", 1, "prices", 0]
BREACHES = [
    (["default_currency"], "ZZZ", "default_currency"),
    (["seller", "name"], " ", "seller.name"),
    (["seller", "country"], "XX", "seller.country"),
    (["seller", "country"], "ie", "seller.country"),
    (["seller", "email"], "nobody", "seller.email"),
    (["add_ons", 0, "id"], "Not A Name", "add_ons[0].id"),
    (["plans", 1, "rank"], 0, "plans[1].rank"),
    (["plans", 1, "name"], "", "plans[1].name"),
    (["plans", 1, "features"], ["sso", "sso"], "plans[1].features[1]"),
    (["plans", 1, "features"], ["Single sign-on"], "plans[1].features[0]"),
    (["plans", 1, "quotas", "projects"], -1, "plans[1].quotas.projects"),
    (["plans", 1, "sold_by"], "quote_only", "plans[1].trial"),
    (["plans", 1, "trial", "days"], 0, "plans[1].trial.days"),
    (["plans", 1, "trial", "days"], 91, "plans[1].trial.days"),
    (["plans", 1, "trial", "on_end"], "cancel", "plans[1].trial.on_end"),
    (["plans", 1, "trial", "fall_back_plan"], "pro", "plans[1].trial.fall_back_plan"),
    (["plans", 1, "trial", "fall_back_plan"], "nope", "plans[1].trial.fall_back_plan"),
    (["plans", 1, "trial", "fall_back_plan"], None, "plans[1].trial.fall_back_plan"),
    (["plans", 0, "trial"], {"days": 14}, "plans[0].trial"),
    (["plans", 1, "prices"], [], "plans[1].trial"),
    ([*PRICE, "currency"], "EUR", None),
    ([*PRICE, "currency"], "usd", "plans[1].prices[0].currency"),
    ([*PRICE, "interval"], "year", "plans[1].prices[1]"),
    ([*PRICE, "interval_count"], 0, "plans[1].prices[0].interval_count"),
    ([*PRICE, "interval_count"], 1001, "plans[1].prices[0].interval_count"),
    ([*PRICE, "model"], "flat", "plans[1].prices[0].model"),
    ([*PRICE, "model"], "graduated", "plans[1].prices[0].unit_amount"),
    ([*PRICE, "tiers"], [{"up_to": None, "unit_amount": "1"}], "plans[1].prices[0].tiers"),
    (PRICE, tiered(), None),
    (PRICE, tiered(unit_amount="1"), "plans[1].prices[0].unit_amount"),
    (PRICE, tiered(tiers=[]), "plans[1].prices[0].tiers"),
    (PRICE, tiered([(10, "1000"), (20, "800")]), "plans[1].prices[0].tiers[1].up_to"),
    (PRICE, tiered([(10, "1000"), (10, "800"), (None, "1")]), "plans[1].prices[0].tiers[1].up_to"),
    (PRICE, tiered([(10, "1000"), (None, "-1")]), "plans[1].prices[0].tiers[1].unit_amount"),
    (PRICE, tiered([(10, "0"), (None, "0")]), "plans[1].prices[0].tiers"),
    (PRICE, tiered([(10, "0"), (None, "0.000000000001")]), None),
    ([*PRICE, "package_size"], 10, "plans[1].prices[0].package_size"),
    ([*PRICE, "package_size"], 0, "plans[1].prices[0].package_size"),
    (PRICE, priced(model="package", package_size=1000), None),
    (PRICE, priced(model="percentage", unit_amount="2.5"), None),
    (PRICE, priced(model="percentage", unit_amount="101"), "plans[1].prices[0].unit_amount"),
    ([*PRICE, "billing_unit"], 10, None),
    ([*PRICE, "billing_unit"], 0, "plans[1].prices[0].billing_unit"),
    ([*PRICE, "included"], 5, None),
    ([*PRICE, "included"], -1, "plans[1].prices[0].included"),
    (["add_ons", 0, "prices", 0, "included"], 5, "add_ons[0].prices[0].included"),
    (["add_ons", 0, "prices", 0, "billing_unit"], 5, "add_ons[0].prices[0].billing_unit"),
    ([*PRICE, "minimum"], "100000", None),
    ([*PRICE, "minimum"], "0", "plans[1].prices[0].minimum"),
    ([*PRICE, "minimum"], "1,000", "plans[1].prices[0].minimum"),
    ([*PRICE, "meter"], "calls", "plans[1].prices[0].meter"),
    ([*PRICE, "unit_amount"], None, "plans[1].prices[0].unit_amount"),
    ([*PRICE, "unit_amount"], "29,00", "plans[1].prices[0].unit_amount"),
    ([*PRICE, "unit_amount"], "-1", "plans[1].prices[0].unit_amount"),
    ([*PRICE, "unit_amount"], "0", "plans[1].prices[0].unit_amount"),
    ([*PRICE, "id"], "pro_year_usd", "plans[1].prices[0].id"),
    (["add_ons", 0, "plans"], ["pro", "gold"], "add_ons[0].plans[1]"),
    (["add_ons", 0, "prices"], [], "add_ons[0].prices"),
    (["add_ons", 0, "id"], "pro", "add_ons[0].id"),
    (["add_ons", 0, "prices", 0, "currency"], "EUR", "add_ons[0].prices"),
    (["dunning"], {"days": [0, 2, 7], "mails": ["reminder", "final"]}, None),
    (["dunning"], {"days": [0, 2, 7], "mails": ["reminder"]}, "dunning.mails"),
    (["dunning"], {"mails": ["none"] * 5}, "dunning.mails"),
    (["dunning"], {"mails": ["none"] * 4, "grace_days": 3, "grace_mail": True}, None),
    (["dunning"], {"grace_mail": True}, "dunning.grace_mail"),
    (["dunning"], {"days": [1, 2]}, "dunning.days"),
    (["dunning"], {"attempts_per_card": 20}, None),
    (["dunning"], {"attempts_per_card": 21}, "dunning.attempts_per_card"),
    (["dunning"], {"attempts_per_card": 0}, "dunning.attempts_per_card"),
    (["dunning_by_segment"], {"enterprise": {"days": [0, 30, 60], "end": "unpaid"}}, None),
    (["dunning_by_segment"], {"enterprise": {"days": []}}, "dunning_by_segment.enterprise.days"),
    (["dunning_by_segment"], {"Big ones": {}}, "dunning_by_segment.Big ones"),
    (["plans", 1, "dunning"], {"days": [0, 1], "mails": []}, None),
    (["plans", 1, "dunning"], {"days": [0, 1], "mails": ["urgent", "final"]}, "plans[1].dunning.mails"),
]


@pytest.mark.parametrize(("path", "value", "named"), BREACHES)
def test_each_breach_is_named_by_its_path(document, path, value, named):
    problems = problems_in(put(document, path, value))
    assert [problem.field for problem in problems] == ([named] if named else [])
    assert all(problem.message and problem.fix for problem in problems)


def test_a_policys_letters_and_segments_are_written_back(document):
    mails = ["reminder", "none", "urgent", "final"]
    put(document, ["dunning"], {"mails": mails, "end_mail": False, "grace_days": 3, "grace_mail": True})
    put(document, ["dunning_by_segment"], {"vip": {"days": [0, 9], "mails": ["none"]}})
    catalog = read_catalog(document, version=1)
    written = write_catalog(catalog)
    assert written["dunning"]["mails"] == mails
    assert (written["dunning"]["end_mail"], written["dunning"]["grace_mail"]) == (False, True)
    assert written["dunning_by_segment"]["vip"]["days"] == [0, 9]
    assert build_catalog(cast(CatalogDocument, written), version=1) == catalog


def test_sales_assisted_plans_publish_a_price(document):
    document["plans"].append({"id": "big", "name": "Big", "rank": 9, "sold_by": "sales_assisted"})
    assert [problem.field for problem in problems_in(document)] == ["plans[2].prices"]


def test_all_breaches_come_at_once(document):
    for path, value, _ in (
        (["seller", "name"], "", 0),
        (["plans", 1, "rank"], 0, 0),
        ([*PRICE, "meter"], "m", 0),
    ):
        put(document, path, value)
    with pytest.raises(InvalidDocumentError) as caught:
        read_catalog(document, version=1)
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["seller.name", "plans[1].rank", "plans[1].prices[0].meter"]
    assert caught.value.field == "seller.name"
    assert "3 rules" in caught.value.message


def test_usage_is_sold_beside_the_product_once_per_meter(document):
    document["meters"] = [{"id": "calls"}]
    usage = priced(meter="calls", unit_amount="0.5")
    prices = [priced(unit_amount="0"), usage]
    assert problems_in(put(document, ["plans", 1, "prices"], prices)) == ()
    fields = [
        problem.field for problem in problems_in(put(document, ["plans", 1, "prices"], [*prices, usage]))
    ]
    assert fields == ["plans[1].prices[2]"]


def test_every_model_is_written_back_as_it_was_read(document):
    prices = [
        tiered(included=5, billing_unit=10, minimum="5000"),
        tiered(model="volume", interval="year"),
        priced(model="package", package_size=1000, currency="JPY"),
        priced(model="percentage", unit_amount="2.5", currency="EUR"),
    ]
    catalog = read_catalog(put(document, ["plans", 1, "prices"], prices), version=1)
    assert build_catalog(cast(CatalogDocument, write_catalog(catalog)), version=1) == catalog
    first = catalog.plan("pro").prices[0]
    assert (first.minimum, first.rate.included, first.rate.billing_unit) == ("5000", 5, 10)
    assert [tier.up_to for tier in first.rate.tiers] == [10, None]


def test_a_catalog_shows_something(document):
    document["plans"] = [{**plan, "public": False} for plan in document["plans"]]
    assert [problem.field for problem in problems_in(document)] == ["plans"]


def test_the_difference_names_what_was_added_removed_and_changed(document):
    old = read_catalog(document, version=1)
    changed = copy.deepcopy(document)
    put(changed, [*PRICE, "unit_amount"], "3900")
    del changed["plans"][1]["prices"][2]
    changed["plans"][1]["trial"]["days"] = 30
    changed["plans"].append({"id": "big", "name": "Big", "rank": 9, "sold_by": "quote_only"})
    changed["add_ons"] = []
    changed["proration"] = "second"
    changes = difference(old, read_catalog(changed, version=2))
    assert [(change.kind, change.object, change.path) for change in changes] == [
        (ChangeKind.CHANGED, "catalog", "proration"),
        (ChangeKind.CHANGED, "plan", "plans[pro].trial"),
        (ChangeKind.CHANGED, "price", "plans[pro].prices[pro_month_usd].unit_amount"),
        (ChangeKind.REMOVED, "price", "plans[pro].prices[pro_month_jpy]"),
        (ChangeKind.ADDED, "plan", "plans[big]"),
        (ChangeKind.REMOVED, "add_on", "add_ons[help]"),
    ]
    price = changes[2]
    assert (price.before, price.after) == ("2900", "3900")


def test_the_order_of_plans_alone_is_no_difference(document):
    old = read_catalog(document, version=1)
    document["plans"].reverse()
    assert difference(old, read_catalog(document, version=2)) == ()


def test_the_first_version_adds_everything(document):
    changes = difference(None, read_catalog(document, version=1))
    assert {change.kind for change in changes} == {ChangeKind.ADDED}
    assert sum(change.object == "price" for change in changes) == 4


def test_the_shipped_catalog_is_what_it_promises():
    catalog = read_catalog(default_document(), version=1)
    assert [plan.id for plan in catalog.plans] == ["free", "starter", "pro", "business", "enterprise"]
    free, starter, pro, business, enterprise = catalog.plans
    assert free.is_free
    assert starter.trial is not None
    assert (starter.trial.card_required, starter.trial.on_end) == (False, TrialEnd.FALL_BACK)
    assert pro.trial is not None
    assert pro.trial.card_required
    assert business.sold_by is SoldBy.SALES_ASSISTED
    assert enterprise.sold_by is SoldBy.QUOTE_ONLY
    for plan in (starter, pro, business, catalog.add_on("priority_support")):
        monthly = {
            p.currency: int(p.rate.unit_amount or 0) for p in plan.prices if str(p.interval) == "month"
        }
        annual = {p.currency: int(p.rate.unit_amount or 0) for p in plan.prices if str(p.interval) == "year"}
        assert set(monthly) == {"USD", "EUR", "GBP", "JPY"}
        assert annual == {currency: amount * 10 for currency, amount in monthly.items()}
    names = {name for plan in catalog.plans for name in (*plan.features, *plan.quotas)}
    assert names <= set(catalog.labels)
