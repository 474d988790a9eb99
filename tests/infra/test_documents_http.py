"""Invoices as PDF, as a client of the API and the reader of a letter see them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from pypdf import PdfReader

from chalicelib.application.document_links import link_to
from chalicelib.domain.credentials import KeyKind, Scope
from tests.infra.billing_api import MISSING, billing_on

PDF = "application/pdf"


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


@pytest.fixture
def shelf(billing):
    return billing.api.services.shelf


@pytest.fixture
def invoice(billing):
    customer = billing.customer("pm_card_visa", language="de", name="Ada Lovelace Ltd")
    billing.subscribe(customer)
    (invoice,) = billing.invoices(customer)
    return invoice


def fetch(billing, shelf, invoice):
    """The text behind the address that is answered."""
    answer = billing("GET", f"/v1/invoices/{invoice['id']}/pdf")
    assert (answer.status, answer.text) == (302, "")
    assert answer.headers["cache-control"] == "no-store"
    return read(shelf.documents[name_of(answer)])


def name_of(answer):
    return urlsplit(answer.headers["location"]).path[1:]


def read(content):
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages)
    return text.replace("\xa0", " ")


def follow(billing, address):
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return billing("GET", parts.path, key="", query=query)


def test_an_invoice_is_made_once_and_named_by_what_it_shows(billing, shelf, invoice):
    text = fetch(billing, shelf, invoice)
    for said in (
        "Rechnung",
        "TEST",
        invoice["number"],
        "Ada Lovelace Ltd",
        "19,00 $ bezahlt am",
        "Endziffern 4242",
    ):
        assert said in text
    assert fetch(billing, shelf, invoice) == text
    (name,) = shelf.made
    env = billing.api.sandbox.environment.id
    assert name.startswith(f"{env}/{invoice['customer']}/{invoice['id']}/")


def test_only_a_sandboxes_documents_are_tests(billing, shelf):
    live = billing.api.live
    answer = billing("GET", f"/v1/invoices/{billing.foreign()['latest_invoice']}/pdf", key=live.secret_token)
    assert answer.status == 302
    assert "TEST" not in read(shelf.documents[name_of(answer)])
    assert name_of(answer).startswith("live/")


def test_what_changed_since_is_another_document(billing, shelf, invoice):
    fetch(billing, shelf, invoice)
    payment = invoice["payments"][0]["id"]
    billing.ok("POST", f"/v1/payments/{payment}/refunds", {"amount": 500})
    assert "Davon erstattet" in fetch(billing, shelf, invoice)
    billing.ok("PATCH", f"/v1/customers/{invoice['customer']}", {"language": "fr"})
    assert "Facture" in fetch(billing, shelf, invoice)
    assert len(set(shelf.made)) == len(shelf.made) == 3


def test_a_credit_note_is_printed_like_an_invoice(billing, shelf, invoice):
    note = billing.ok("POST", f"/v1/invoices/{invoice['id']}/credit_notes", {"amount": 500, "refund": 200})
    answer = billing("GET", f"/v1/credit_notes/{note['id']}/pdf")
    assert answer.status == 302
    text = read(shelf.documents[name_of(answer)])
    for said in (
        "Gutschrift", note["number"], f"Zur Rechnung\n{invoice['number']}", "5,00 $ gutgeschrieben am",
        "Gutschriftbetrag\n5,00 $", "Ihrem Guthaben hinzugefügt\n3,00 $", "Erstattet\n2,00 $",
    ):  # fmt: skip
        assert said in text
    assert "Durch Gutschriften zurückgegeben\n5,00 $" in fetch(billing, shelf, invoice)
    assert billing("GET", "/v1/credit_notes/crn_x/pdf").status == 404
    assert billing("GET", f"/v1/credit_notes/{note['id']}/pdf", key="").status == 401


def test_another_look_is_another_document(billing, shelf, invoice, monkeypatch):
    fetch(billing, shelf, invoice)
    monkeypatch.setattr(type(billing.api.services.press), "edition", "next")
    fetch(billing, shelf, invoice)
    assert len(set(shelf.made)) == 2


def test_another_environments_invoice_is_missing(billing, shelf):
    for id_ in (billing.foreign()["latest_invoice"], MISSING["inv"], "inv_x"):
        assert billing("GET", f"/v1/invoices/{id_}/pdf").status == 404
    assert shelf.made == []


def test_it_takes_a_key_that_may_read(billing, invoice):
    assert billing("GET", f"/v1/invoices/{invoice['id']}/pdf", key="").status == 401
    key = billing.ok("POST", "/v1/api_keys", {"name": "p", "kind": KeyKind.PUBLISHABLE})["key"]
    assert billing("GET", f"/v1/invoices/{invoice['id']}/pdf", key=key).status == 403
    reader = billing.ok("POST", "/v1/api_keys", {"name": "r", "kind": KeyKind.SECRET, "scopes": [Scope.READ]})
    assert billing("GET", f"/v1/invoices/{invoice['id']}/pdf", key=reader["key"]).status == 302


def draft(billing, subscription, accept):
    token = billing.api.sandbox.secret_token
    return billing.api._client.http.get(
        f"/v1/subscriptions/{subscription}/upcoming_invoice/pdf",
        headers={"Authorization": f"Bearer {token}", **({"Accept": accept} if accept else {})},
    )


@pytest.mark.parametrize("accept", [PDF, "Application/PDF;q=1, */*"])
def test_the_next_invoice_is_a_draft_and_not_kept(billing, shelf, invoice, accept):
    answer = draft(billing, invoice["subscription"], accept)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, PDF)
    assert answer.body.startswith(b"%PDF-")
    text = read(answer.body)
    for said in ("TEST · ENTWURF", "wird am 1. April 2027 berechnet", "keine Rechnung"):
        assert said in text
    assert invoice["number"] not in text
    assert shelf.made == []


@pytest.mark.parametrize("accept", [None, "*/*", "application/json, application/pdf"])
def test_bytes_come_only_to_who_asks_for_them_first(billing, invoice, accept):
    answer = draft(billing, invoice["subscription"], accept)
    assert (answer.status_code, answer.json_body["field"]) == (400, "Accept")


def test_no_next_invoice_no_draft(billing, invoice):
    billing.ok("POST", f"/v1/subscriptions/{invoice['subscription']}/cancel", {})
    answer = draft(billing, invoice["subscription"], PDF)
    assert (answer.status_code, answer.json_body["code"]) == (409, "invalid_state")
    assert draft(billing, MISSING["sub"], PDF).status_code == 404


@pytest.fixture
def link(billing, invoice):
    return link_to(billing.api.context(), invoice["id"])


def test_the_link_of_a_letter_opens_it_without_a_key(billing, shelf, invoice, link):
    assert urlsplit(link).path == "/invoice"
    answer = follow(billing, link + "&utm_source=mail")
    assert answer.status == 302
    assert invoice["number"] in read(shelf.documents[name_of(answer)])
    assert follow(billing, link).headers["location"] == answer.headers["location"]


def test_the_api_says_the_link_of_what_there_is(billing, invoice, link):
    assert invoice["document_url"] == link
    path = f"/v1/subscriptions/{invoice['subscription']}"
    assert billing.ok("GET", f"{path}/upcoming_invoice")["document_url"] is None


def test_a_link_opens_one_invoice_of_one_environment(billing, shelf, invoice, link):
    other = billing.foreign()["latest_invoice"]
    live = billing.api.live.environment.id
    env = billing.api.sandbox.environment.id
    changed = [
        link.replace(invoice["id"], other),
        link.replace(env, live),
        link.replace(env, "sbx_" + "0" * 26),
        link.replace("token=", "token=x"),
        link.partition("&token")[0],
        link_to(replace(billing.api.context(), env=live), invoice["id"]),
        link_to(billing.api.context(), MISSING["inv"]),
        link_to(billing.api.context(), "inv_x"),
    ]
    for address in changed:
        answer = follow(billing, address)
        assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), address
    assert shelf.made == []


def test_what_was_erased_is_not_shown_again(billing, shelf, invoice):
    assert "ada@example.com" in fetch(billing, shelf, invoice)
    billing.ok("POST", f"/v1/subscriptions/{invoice['subscription']}/cancel", {"at": "now"})
    assert billing("POST", f"/v1/customers/{invoice['customer']}/erase", {}).status < 300
    assert "ada@example.com" not in fetch(billing, shelf, invoice)
