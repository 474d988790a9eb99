"""The API's description: valid, complete, and telling the truth about keys and problems."""

from __future__ import annotations

import json
import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import app as application
from chalicelib.entrypoints.http.endpoints import ENDPOINTS
from chalicelib.entrypoints.http.problems import KINDS
from tests.infra.http_world import http_world


@pytest.fixture(scope="module")
def document():
    with http_world() as world:
        response = world.call("GET", "/openapi.json", token=None)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        tag = response.headers["ETag"]
        again = world.call("GET", "/openapi.json", token=None, headers={"If-None-Match": tag})
        assert again.status_code == 304
        return response.json_body


def operations(document):
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_valid(document):
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_that_is_not_hidden_is_in_it(document):
    shown = {
        (method, path)
        for path, methods in application.app.routes.items()
        for method in methods
        if not ENDPOINTS[method, path].hidden
    }
    assert {(method.upper(), path) for method, path, _ in operations(document)} == shown
    assert len(shown) >= 8


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(names) == sorted(set(names))


def test_every_reference_leads_somewhere_and_every_schema_is_used(document):
    text = json.dumps(document)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named == set(document["components"]["schemas"])


def test_posts_take_an_idempotency_key_and_declare_its_answers(document):
    for method, path, operation in operations(document):
        if method == "post" and operation["security"]:
            headers = [each["name"] for each in operation["parameters"] if each["in"] == "header"]
            open_to_visitors = "captcha_required" in json.dumps(operation["responses"])
            assert headers == ["Idempotency-Key", *(["Captcha-Solution"] if open_to_visitors else [])], path
            assert {"409", "422"} <= operation["responses"].keys()


def test_problems_are_declared_with_their_codes(document):
    for method, path, operation in operations(document):
        declared = operation["responses"]
        assert {"400", "500"} <= declared.keys()
        assert ({"401", "403"} <= declared.keys()) is bool(operation["security"]), path
        for status, response in declared.items():
            if int(status) < 400:
                continue
            codes = response["content"]["application/problem+json"]["examples"]
            assert codes, (method, path, status)
            assert all(KINDS[code].status == int(status) for code in codes)


def test_publishable_keys_are_an_option_where_they_open(document):
    for method, path, operation in operations(document):
        endpoint = ENDPOINTS[method.upper(), path]
        assert ({"publishable": []} in operation["security"]) is endpoint.publishable


def test_requests_refuse_unknown_fields_in_the_description_too(document):
    for _, _, operation in operations(document):
        if "requestBody" in operation:
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[
                2
            ]
            assert document["components"]["schemas"][name]["additionalProperties"] is False


def test_the_page_needs_nothing_from_elsewhere():
    with http_world() as world:
        page = world.call("GET", "/docs", token=None)
        assert page.status_code == 200
        assert not re.search(rb'(src|href|url)="(https?:)?//', page.body)
        assert b"<script>" not in page.body
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "http" not in policy
        viewer = world.call("GET", "/docs/rapidoc.js", token=None)
        assert viewer.status_code == 200
        assert viewer.headers["Content-Type"].startswith("text/javascript")
        assert len(viewer.body) < 1_500_000
        known = {"If-None-Match": viewer.headers["ETag"]}
        assert world.call("GET", "/docs/rapidoc.js", token=None, headers=known).status_code == 304
