"""The price page: what it says, where it leads, and what it lets a browser do."""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import re
from urllib.parse import parse_qs, urlparse

import pytest

from chalicelib.application.catalog import default_document, publish_catalog, publish_default
from tests.infra.api import api_on


@pytest.fixture
def api():
    with api_on() as api:
        publish_default(api.context())
        yield api


@pytest.fixture
def document():
    return copy.deepcopy(default_document())


def show(api, key=None, **query):
    return api(
        "GET",
        "/pricing",
        key="",
        query={"key": api.sandbox.publishable_token if key is None else key, **query},
    )


def links(page, text):
    """The addresses of the links that begin with `text`, as (path, query)."""
    found = re.findall(r'<a class="button[^"]*" href="([^"]+)">([^<]+)', page.text)
    parsed = [urlparse(html.unescape(href)) for href, shown in found if shown == text]
    return [(url.path, {name: values[0] for name, values in parse_qs(url.query).items()}) for url in parsed]


def test_it_shows_every_plan_with_both_prices(api):
    page = show(api, currency="EUR")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    for words in (
        "Starter",
        "€19",
        "or €190 per year",
        "16 % less",
        "€27",
        "per seat, per month",
        "Perennial Demo Ltd",
    ):
        assert words in page.text, words
    assert "{{" not in page.text


def test_the_buttons_lead_to_the_sign_up_of_their_plan(api):
    page, key = show(api, currency="JPY"), api.sandbox.publishable_token
    kept = {"currency": "JPY", "key": key}
    assert links(page, "Start free")[0] == ("signup", {"plan": "free", "interval": "month", **kept})
    assert links(page, "Start free trial") == [
        ("signup", {"plan": plan, "interval": interval, **kept})
        for plan in ("starter", "pro")
        for interval in ("month", "year")
    ]
    assert {query["plan"] for _, query in links(page, "Contact sales")} == {"business", "enterprise"}


def test_other_currencies_are_one_link_away_and_keep_the_rest(api):
    page = show(api, currency="EUR", language="de")
    hrefs = [html.unescape(href) for href in re.findall(r'<a href="(\?[^"]+)"', page.text)]
    queries = [{name: values[0] for name, values in parse_qs(href[1:]).items()} for href in hrefs]
    assert [query.pop("currency") for query in queries] == ["USD", "EUR", "GBP", "JPY"]
    assert all(query == {"language": "de", "key": api.sandbox.publishable_token} for query in queries)
    assert "190\xa0€" in page.text


def test_a_missing_currency_is_said_and_shown_in_another(api, document):
    page = show(api, currency="CHF")
    assert "There are no prices in CHF yet: you see, and pay, USD." in page.text
    assert "CHF0" not in page.text
    document["plans"][2]["prices"] = [
        price for price in document["plans"][2]["prices"] if price["currency"] != "EUR"
    ]
    publish_catalog(api.context(), document, expected=1)
    page = show(api, currency="EUR")
    assert "Pro has no price in EUR yet: you see, and pay, USD." in page.text
    assert all(
        query["currency"] == "USD" for _, query in links(page, "Start free trial") if query["plan"] == "pro"
    )


@pytest.mark.parametrize("query", [{"currency": "nonsense"}, {"language": "??"}, {"utm_source": "mail"}])
def test_an_odd_address_still_shows_prices(api, query):
    page = show(api, **query)
    assert page.status == 200
    assert "$19" in page.text


def test_what_happens_after_a_trial_is_told_before_it(api):
    text = show(api).text
    assert "No card needed. Without one you move to Free after 14 days." in text
    assert "Card asked for at the start. Cancel within 14 days and pay nothing." in text


def test_nothing_may_run_or_load(api):
    page = show(api)
    policy = dict(
        part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert "unsafe" not in page.headers["content-security-policy"]
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert "<script" not in page.text
    assert not re.search(r"\sstyle=|\son\w+=", page.text)


def test_what_the_catalog_says_is_shown_as_text(api, document):
    document["plans"][1]["name"] = "<script>alert(1)</script>"
    document["labels"]["api_access"] = '"><img src=x onerror=alert(1)>'
    publish_catalog(api.context(), document, expected=1)
    text = show(api).text
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


def test_it_may_be_kept_for_a_minute_and_revalidated(api):
    page = show(api)
    assert "public, max-age=60" in page.headers["cache-control"]
    again = api(
        "GET",
        "/pricing",
        key="",
        query={"key": api.sandbox.publishable_token},
        headers={"If-None-Match": page.headers["etag"]},
    )
    assert (again.status, again.text) == (304, "")


def test_without_a_key_it_shows_the_live_catalog(api, document):
    assert api("GET", "/pricing", key="").status == 404
    document["seller"]["name"] = "Living Ltd"
    publish_catalog(api.context(env="live"), document, expected=None)
    page = api("GET", "/pricing", key="")
    assert page.status == 200
    assert "Living Ltd" in page.text
    assert "key" not in links(page, "Start free")[0][1]


@pytest.mark.parametrize("kind", ["secret", "unknown"])
def test_a_key_that_opens_no_price_list_gets_a_page_that_gives_nothing_away(api, kind):
    key = api.sandbox.secret_token if kind == "secret" else "prn_pub_nonsense"
    page = show(api, key=key)
    assert page.status == 404
    assert page.headers["content-type"].startswith("text/html")
    assert key not in page.text


def test_a_catalog_of_one_free_plan_makes_a_page(api):
    bare = {"seller": {"name": "Tiny"}, "plans": [{"id": "free", "name": "Free", "rank": 0}]}
    publish_catalog(api.context(), bare, expected=1)
    page = show(api)
    assert page.status == 200
    assert "$0" in page.text


def test_unusual_intervals_are_named_and_switched(api, document):
    quarter = {
        "interval": "month",
        "interval_count": 3,
        "currency": "USD",
        "model": "flat",
        "unit_amount": "5400",
    }
    document["plans"][1]["prices"].append(quarter)
    publish_catalog(api.context(), document, expected=1)
    page = show(api)
    assert "Every 3 months" in page.text
    assert "every 3 months" in page.text
    assert any(query.get("interval_count") == "3" for _, query in links(page, "Start free trial"))
