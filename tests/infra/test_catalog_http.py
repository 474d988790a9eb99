"""Publishing and reading the catalog as a client of the API does."""

from __future__ import annotations

import copy

import pytest

from chalicelib.application.catalog import default_document, publish_catalog, publish_default
from chalicelib.application.records import catalog_key, environment_key
from chalicelib.domain.errors import PreconditionFailedError, PreconditionRequiredError
from tests.infra.api import api_on


@pytest.fixture
def api():
    with api_on() as api:
        yield api


@pytest.fixture
def document():
    return copy.deepcopy(default_document())


def publish(api, document, expected=None, **more):
    headers = {} if expected is None else {"If-Match": f'"{expected}"'}
    return api("PUT", "/v1/catalog", document, headers=headers, **more)


def test_a_published_catalog_is_current_and_keeps_its_versions(api, document):
    assert api("GET", "/v1/catalog").status == 404
    first = publish(api, document)
    assert (first.status, first.json["version"], first.json["published"]) == (200, 1, True)
    assert first.headers["etag"] == '"1"'

    document["plans"][1]["prices"][0]["unit_amount"] = "2100"
    second = publish(api, document, 1)
    assert second.json["version"] == 2
    assert second.json["changes"] == [
        {
            "kind": "changed",
            "object": "price",
            "path": "plans[starter].prices[starter_month_usd].unit_amount",
            "before": "1900",
            "after": "2100",
        }
    ]
    current, old = api("GET", "/v1/catalog"), api("GET", "/v1/catalog/1")
    assert (current.json["version"], current.headers["etag"]) == (2, '"2"')
    assert old.json["plans"][1]["prices"][0]["unit_amount"] == "1900"
    assert current.json["plans"][1]["prices"][0]["unit_amount"] == "2100"
    assert api("GET", "/v1/catalog", headers={"If-None-Match": '"2"'}).status == 304


def test_letters_per_stage_and_policies_per_segment(api, document):
    document["dunning"] = {"mails": ["reminder", "none", "urgent", "final"], "attempts_per_card": 10}
    document["dunning_by_segment"] = {"vip": {"days": [0, 30], "mails": ["none"], "end": "unpaid"}}
    assert publish(api, document).status == 200
    read = api("GET", "/v1/catalog").json
    assert read["dunning"]["mails"] == ["reminder", "none", "urgent", "final"]
    assert (read["dunning"]["attempts_per_card"], read["dunning"]["end_mail"]) == (10, True)
    assert read["dunning_by_segment"]["vip"]["end"] == "unpaid"
    document["dunning"]["mails"] = ["urgent"]
    document["dunning_by_segment"]["vip"]["grace_mail"] = True
    answer = publish(api, document, 1)
    fields = [error["field"] for error in answer.json["errors"]]
    assert fields == ["dunning.mails", "dunning_by_segment.vip.grace_mail"]
    document["dunning"]["mails"] = ["loud"]
    assert publish(api, document, 1).json["field"] == "dunning.mails[0]"


def test_what_is_read_can_be_sent_back(api, document):
    publish(api, document)
    read = api("GET", "/v1/catalog").json
    del read["version"]
    again = publish(api, read, 1)
    assert (again.status, again.json["published"], again.json["changes"]) == (200, False, [])


@pytest.mark.parametrize("version", ["3", "0", "-1", "x", "99999999999"])
def test_a_version_that_was_never_published_is_not_found(api, document, version):
    publish(api, document)
    assert api("GET", f"/v1/catalog/{version}").status == 404


def test_a_dry_run_writes_nothing(api, document):
    publish(api, document)
    document["plans"][2]["name"] = "Professional"
    dry = publish(api, document, 1, query={"dry_run": "true"})
    assert (dry.status, dry.json["version"], dry.json["published"]) == (200, 2, False)
    assert [change["path"] for change in dry.json["changes"]] == ["plans[pro].name"]
    assert api("GET", "/v1/catalog").json["plans"][2]["name"] == "Pro"
    assert api("GET", "/v1/catalog/2").status == 404


def test_building_upon_an_old_version_is_refused(api, document):
    publish(api, document)
    document["plans"][2]["name"] = "Professional"
    publish(api, document, 1)
    document["plans"][2]["name"] = "Team"
    late = publish(api, document, 1)
    assert (late.status, late.json["code"]) == (412, "precondition_failed")
    assert api("GET", "/v1/catalog").json["plans"][2]["name"] == "Professional"


def test_without_if_match_only_the_first_is_published(api, document):
    publish(api, document)
    document["plans"][2]["name"] = "Professional"
    answer = publish(api, document)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (
        428,
        "precondition_required",
        "If-Match",
    )


@pytest.mark.parametrize("given", ["*", '"1", "2"', "latest"])
def test_if_match_must_name_one_version(api, document, given):
    publish(api, document)
    document["plans"][2]["name"] = "Professional"
    answer = api("PUT", "/v1/catalog", document, headers={"If-Match": given})
    assert (answer.status, answer.json["field"]) == (400, "If-Match")


def test_repeating_a_publication_whose_answer_was_lost_changes_nothing(api, document):
    publish(api, document)
    document["plans"][2]["name"] = "Professional"
    publish(api, document, 1)
    again = publish(api, document, 1)
    assert (again.status, again.json["version"], again.json["published"]) == (200, 2, False)


def test_every_breach_is_answered_at_once(api, document):
    document["plans"][1]["prices"][0]["unit_amount"] = "19.-"
    document["plans"][2]["prices"][3]["model"] = "graduated"
    document["plans"][3]["rank"] = 20
    answer = publish(api, document)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    errors = answer.json["errors"]
    assert [error["field"] for error in errors] == [
        "plans[1].prices[0].unit_amount",
        "plans[2].prices[3].unit_amount",
        "plans[3].rank",
    ]
    assert all(error["detail"] and error["fix"] for error in errors)
    assert "in tiers" in errors[1]["detail"]


def test_every_misshape_is_answered_at_once_by_its_path(api, document):
    document["plans"][1]["prices"][0]["unit_amount"] = 1900
    document["plans"][2]["colour"] = "red"
    answer = publish(api, document)
    assert answer.status == 400
    assert {error["field"] for error in answer.json["errors"]} == {
        "plans[1].prices[0].unit_amount",
        "plans[2].colour",
    }


def test_only_an_admin_publishes(api, document):
    publishable = api.sandbox.publishable_token
    assert publish(api, document, key=publishable).status == 403
    assert api("GET", "/v1/catalog", key=publishable).status == 403


def test_environments_have_catalogs_of_their_own(api, document):
    publish(api, document)
    assert api("GET", "/v1/catalog", key=api.live.secret_token).status == 404


def test_two_publishers_at_once_lose_nothing(api, document):
    """The second one commits between the first one's load and commit, as the worst timing would have it."""
    ctx = api.context()
    publish_catalog(ctx, document, expected=None)
    mine, theirs = copy.deepcopy(document), copy.deepcopy(document)
    mine["plans"][2]["name"], theirs["plans"][2]["name"] = "Mine", "Theirs"

    def interfere(env, records):
        api.store.before_commit = None
        publish_catalog(ctx, theirs, expected=1)

    api.store.before_commit = interfere
    with pytest.raises(PreconditionFailedError):
        publish_catalog(ctx, mine, expected=1)
    assert api.store.get(environment_key(ctx.env)).catalog_version == 2
    assert api.store.get(catalog_key(ctx.env, 2)).plan("pro").name == "Theirs"
    assert api.store.get(catalog_key(ctx.env, 3)) is None


def test_two_first_publishers_at_once_lose_nothing(api, document):
    ctx = api.context()
    other = copy.deepcopy(document)
    other["plans"][2]["name"] = "Theirs"

    def interfere(env, records):
        api.store.before_commit = None
        publish_catalog(ctx, other, expected=None)

    api.store.before_commit = interfere
    with pytest.raises(PreconditionRequiredError):
        publish_catalog(ctx, document, expected=None)
    assert api.store.get(catalog_key(ctx.env, 1)).plan("pro").name == "Theirs"


def test_a_version_and_what_makes_it_current_are_written_together(api, document):
    def die(env, records):
        raise ConnectionError

    ctx, api.store.after_commit = api.context(), die
    with pytest.raises(ConnectionError):
        publish_catalog(ctx, document, expected=None)
    api.store.after_commit = None
    assert api.store.get(environment_key(ctx.env)).catalog_version == 1
    assert api("GET", "/v1/catalog").json["version"] == 1


def test_a_clock_moved_meanwhile_does_not_stop_a_publication(api, document):
    """The clock lives in the record that names the current version; only another version is in the way."""
    ctx = api.context()

    def interfere(env, records):
        api.store.before_commit = None
        environment = api.store.get(environment_key(env))
        api.store.commit(env, environment)

    api.store.before_commit = interfere
    assert publish_catalog(ctx, document, expected=None).catalog.version == 1


def test_the_default_catalog_is_published_once(api):
    ctx = api.context()
    assert publish_default(ctx).version == 1
    assert publish_default(ctx).version == 1
    assert api("GET", "/v1/catalog").json["version"] == 1


class TestPriceList:
    @pytest.fixture
    def api(self, api):
        publish_default(api.context())
        return api

    def plans(self, api, **query):
        return api("GET", "/v1/plans", key="", query={"key": api.sandbox.publishable_token, **query})

    def test_it_is_public_cacheable_and_open_to_any_page(self, api):
        answer = self.plans(api, currency="EUR")
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "max-age=60" in answer.headers["cache-control"]
        assert "public" in answer.headers["cache-control"]
        assert "stale-while-revalidate" in answer.headers["cache-control"]
        assert "vary" in answer.headers
        again = api(
            "GET",
            "/v1/plans",
            key="",
            query={"key": api.sandbox.publishable_token, "currency": "EUR"},
            headers={"If-None-Match": answer.headers["etag"]},
        )
        assert (again.status, again.text) == (304, "")
        assert "cache-control" in again.headers
        assert self.plans(api, currency="GBP").headers["etag"] != answer.headers["etag"]

    def test_it_shows_plans_in_the_wanted_currency(self, api):
        shown = self.plans(api, currency="jpy").json
        assert (shown["currency"], shown["default_currency"]) == ("JPY", "USD")
        assert shown["currencies"] == ["USD", "EUR", "GBP", "JPY"]
        assert [plan["id"] for plan in shown["plans"]] == ["free", "starter", "pro", "business", "enterprise"]
        starter = shown["plans"][1]
        assert [(p["interval"], p["unit_amount"], p["formatted"]) for p in starter["prices"]] == [
            ("month", "2900", "¥2,900"),
            ("year", "29000", "¥29,000"),
        ]
        assert (starter["fallback"], starter["yearly_saving_percent"]) == (False, 16)
        assert starter["quotas"][0] == {"id": "members", "label": "Members", "limit": 3}
        assert starter["features"][2] == {"id": "custom_branding", "label": "Your own branding"}
        assert shown["plans"][0]["free"] is True
        assert shown["add_ons"][0]["plans"] == ["starter", "pro", "business"]

    def test_amounts_are_written_in_the_wanted_language(self, api):
        shown = self.plans(api, currency="EUR", language="de").json
        assert shown["plans"][1]["prices"][1]["formatted"].replace("\xa0", " ") == "190,00 €"

    def test_a_plan_without_the_currency_falls_back_and_says_so(self, api, document):
        document["plans"][2]["prices"] = [p for p in document["plans"][2]["prices"] if p["currency"] != "EUR"]
        publish(api, document, 1)
        shown = self.plans(api, currency="EUR").json
        by_id = {plan["id"]: plan for plan in shown["plans"]}
        assert (by_id["pro"]["currency"], by_id["pro"]["fallback"]) == ("USD", True)
        assert {price["currency"] for price in by_id["pro"]["prices"]} == {"USD"}
        assert (by_id["starter"]["currency"], by_id["starter"]["fallback"]) == ("EUR", False)
        assert by_id["free"]["fallback"] is False

    def test_a_currency_that_nothing_is_sold_in_falls_back_everywhere(self, api):
        shown = self.plans(api, currency="CHF").json
        assert {plan["currency"] for plan in shown["plans"] if plan["prices"]} == {"USD"}

    def test_what_is_no_currency_is_refused(self, api):
        answer = self.plans(api, currency="XXZ")
        assert (answer.status, answer.json["field"]) == (400, "currency")

    def test_it_needs_a_key(self, api):
        assert api("GET", "/v1/plans", key="").status == 401

    def test_a_hidden_plan_is_not_shown(self, api, document):
        document["plans"][4]["public"] = False
        publish(api, document, 1)
        assert "enterprise" not in {plan["id"] for plan in self.plans(api).json["plans"]}
