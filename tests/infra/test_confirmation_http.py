"""The confirmation link as an API client, a mail reader, a mail scanner and a browser without scripts see it."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.infra.billing_api import billing_on

CARD = "pm_card_authenticationRequired"


@pytest.fixture
def shop():
    with billing_on() as billing:
        yield billing


@pytest.fixture
def waiting(shop):
    """(link, invoice) of a first payment that waits for its customer."""
    started = shop.subscribe(shop.customer(CARD))
    assert started["status"] == "incomplete"
    invoice = shop.ok("GET", f"/v1/invoices/{started['latest_invoice']}")
    assert started["confirmation_url"] == invoice["confirmation_url"]
    assert [attempt["status"] for attempt in invoice["attempts"]] == ["requires_action"]
    return started["confirmation_url"], invoice


def visit(shop, url):
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return shop("GET", parts.path, key="", query=query, headers={"Accept-Language": "de-DE,en;q=0.5"})


def press(shop, url):
    """The button, as a browser sends it."""
    parts = urlsplit(url)
    answer = shop.api._client.http.request(
        "POST",
        f"{parts.path}?{parts.query}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"",
    )
    answer.text = answer.body.decode()
    return answer


def bank_of(answer):
    assert answer.status_code == 200, answer.text
    found = re.search(r'content="0;url=([^"]+)"', answer.text)
    assert found is not None
    return unescape(found[1])


def confirmed(shop, url, *, passed=True):
    """All the way: the button, the bank, and the page after it."""
    reference = urlsplit(bank_of(press(shop, url))).path[1:]
    back = visit(shop, shop.gateway.authenticate(reference, passed=passed) + "&redirect_status=succeeded")
    assert back.status == 303
    assert "redirect_status" not in back.headers["location"]
    return visit(shop, back.headers["location"])


def test_from_the_answer_over_the_bank_to_active(shop, waiting):
    url, invoice = waiting
    shown = visit(shop, url)
    assert shown.status == 200
    for text in (
        "Confirm your payment",
        invoice["number"],
        invoice["seller"]["name"],
        "19,00\xa0$",
        '<form method="post">',
    ):
        assert text in shown.text
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert shown.headers["cache-control"] == "no-store"
    assert "It is paid" in confirmed(shop, url).text
    done = shop.ok("GET", f"/v1/subscriptions/{invoice['subscription']}")
    assert (done["status"], done["confirmation_url"]) == ("active", None)
    assert shop.ok("GET", f"/v1/invoices/{invoice['id']}")["confirmation_url"] is None
    assert shop.gateway.totals("USD") == 1900
    # Used up: the link says so, and its button leads nowhere.
    assert "It is paid" in visit(shop, url).text
    assert "It is paid" in press(shop, url).text


def test_whatever_reads_the_mail_first_moves_nothing(shop, waiting):
    url, _ = waiting
    for _ in range(5):
        assert visit(shop, url).status == 200
        assert visit(shop, url.replace("/confirm?", "/confirm/return?")).status == 303
    assert shop.gateway.calls["confirm_charge"] == 0
    assert shop.gateway.totals("USD") == 0


def test_a_bank_that_says_no_can_be_asked_again(shop, waiting):
    url, invoice = waiting
    for _ in range(2):
        refused = confirmed(shop, url, passed=False)
        assert "Your bank has not confirmed the payment" in refused.text
        assert '<form method="post">' in refused.text
    assert "It is paid" in confirmed(shop, url).text
    assert [a["status"] for a in shop.ok("GET", f"/v1/invoices/{invoice['id']}")["attempts"]] == ["succeeded"]


def test_two_presses_at_once_and_a_lost_answer_are_one_payment(shop, waiting):
    url, _ = waiting
    shop.gateway.script(["lost_after_charge"], on="confirm_charge")
    assert press(shop, url).status_code == 303
    first, second = bank_of(press(shop, url)), bank_of(press(shop, url))
    assert first == second
    shop.gateway.authenticate(urlsplit(first).path[1:])
    assert (
        "It is paid"
        in visit(shop, visit(shop, url.replace("/confirm?", "/confirm/return?")).headers["location"]).text
    )
    assert shop.gateway.totals("USD") == 1900


def test_an_outage_and_too_many_presses_say_so(shop, waiting):
    url, _ = waiting
    shop.gateway.script(["unavailable"], on="confirm_charge")
    busy = press(shop, url)
    assert (busy.status_code, "Please try again in some minutes" in busy.text) == (503, True)
    assert [press(shop, url).status_code for _ in range(25)][-1] == 503
    assert shop.gateway.calls["confirm_charge"] <= 20


def test_paying_by_hand_answers_with_the_link_and_takes_the_first_ones_place(shop, waiting):
    url, invoice = waiting
    answer = shop("POST", f"/v1/invoices/{invoice['id']}/pay", {})
    assert (answer.status, answer.json["code"]) == (402, "payment_declined")
    ids = answer.json["ids"]
    assert ids["decline_code"] == "authentication_required"
    assert ids["confirmation_url"] != url
    closed = visit(shop, url)
    assert "This link is no longer in use" in closed.text
    assert "<form" not in closed.text
    assert "It is paid" in confirmed(shop, ids["confirmation_url"]).text


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda url: url[:-1],
        lambda url: url.replace("attempt=1", "attempt=2"),
        lambda url: re.sub("env=[^&]*", "env=live", url),
        lambda url: re.sub("env=[^&]*", "env=nowhere", url),
        lambda url: re.sub("invoice=inv_.", "invoice=inv_0", url),
        lambda url: re.sub("invoice=[^&]*", "invoice=", url),
        lambda url: re.sub("token=.*", "token=%C3%A9", url),
    ],
)
def test_a_link_that_is_not_ours_is_a_page_that_is_not_here(shop, waiting, spoilt):
    url = spoilt(waiting[0])
    calls = shop.gateway.calls.copy()
    for answer in (visit(shop, url), visit(shop, url.replace("/confirm?", "/confirm/return?"))):
        assert (answer.status, "This page is not here" in answer.text) == (404, True)
    assert press(shop, url).status_code == 404
    assert shop.gateway.calls == calls
