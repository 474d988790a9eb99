"""Captchas: the providers' contract against a server of the same manners, and who has to solve one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from chalicelib.adapters.captcha import LONGEST_SOLUTION, PROVIDERS, SiteVerify
from chalicelib.domain.errors import CaptchaUnavailableError
from chalicelib.settings import Settings
from tests.infra.billing_api import Billing, billing_on

SECRET = "captcha-secret"
ORDER = {
    "customer_email": "grace@example.com",
    "plan": "starter",
    "trial_days": 0,
    "success_url": "https://shop.example/thanks",
    "cancel_url": "https://shop.example/pricing",
}


@dataclass
class Verifier:
    """What a provider does: each solution stands once. `trouble` is the next (status, headers, body) instead."""

    url: str = ""
    good: set[str] = field(default_factory=lambda: {"good", "better", "best"})
    asked: list[dict[str, str]] = field(default_factory=list)
    trouble: tuple[int, dict[str, str], bytes] | None = None

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(form)
        if self.trouble is not None:
            return self.trouble
        if form.get("secret") != SECRET:
            said: dict[str, Any] = {"success": False, "error-codes": ["invalid-input-secret"]}
        elif form.get("response") in self.good:
            self.good.remove(form["response"])
            said = {"success": True, "challenge_ts": "2027-03-01T09:30:00Z", "hostname": "shop.example"}
        else:
            said = {"success": False, "error-codes": ["timeout-or-duplicate"]}
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    made = Verifier()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
            form = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
            status, headers, answer = made.answer(form)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/siteverify"
    yield made
    server.shutdown()
    server.server_close()


def captcha_at(url: str, secret: str = SECRET, provider: str = "turnstile") -> SiteVerify:
    return SiteVerify(replace(PROVIDERS[provider], verify=url), site_key="site", secret=lambda: secret)


def test_a_solution_stands_once(verifier: Verifier) -> None:
    captcha = captcha_at(verifier.url)
    assert captcha.is_solved("good", address="198.51.100.1") is True
    assert captcha.is_solved("good", address="198.51.100.1") is False
    assert verifier.asked[0] == {"secret": SECRET, "response": "good", "remoteip": "198.51.100.1"}


def test_nothing_and_too_much_are_not_even_asked_about(verifier: Verifier) -> None:
    captcha = captcha_at(verifier.url)
    assert not captcha.is_solved("", address="")
    assert not captcha.is_solved("x" * (LONGEST_SOLUTION + 1), address="")
    assert verifier.asked == []


def test_what_is_sent_is_escaped(verifier: Verifier) -> None:
    assert not captcha_at(verifier.url).is_solved("good&secret=other&response=better\r\n", address="")
    assert verifier.asked == [{"secret": SECRET, "response": "good&secret=other&response=better\r\n"}]


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"[true]"),
        (200, {}, b'{"success": true' + b" " * 70_000 + b"}"),
        (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b""),
        (200, {}, b'{"success": false, "error-codes": ["invalid-input-secret"]}'),
        (200, {}, b"\xff\xfe"),
    ],
    ids=["an error", "no JSON", "no object", "too long", "a redirect", "our secret is wrong", "no text"],
)
def test_what_cannot_be_checked_does_not_pass(
    verifier: Verifier, trouble: tuple[int, dict[str, str], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    verifier.trouble = trouble
    with pytest.raises(CaptchaUnavailableError):
        captcha_at(verifier.url).is_solved("good", address="")
    assert len(verifier.asked) == 1, "a redirect is not followed, nothing is repeated"
    assert SECRET not in caplog.text
    assert "good" not in caplog.text


def test_nobody_answers() -> None:
    with pytest.raises(CaptchaUnavailableError):
        captcha_at("http://127.0.0.1:9/siteverify").is_solved("good", address="")


@pytest.mark.parametrize("said", [b'{"success": "true"}', b'{"success": 1}', b"{}", b'{"error-codes": 7}'])
def test_only_true_is_true(verifier: Verifier, said: bytes) -> None:
    verifier.trouble = (200, {}, said)
    assert captcha_at(verifier.url).is_solved("good", address="") is False


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_every_address_is_fixed_and_https(provider: Any) -> None:
    for address in (provider.verify, provider.script, *provider.sources):
        assert address.startswith("https://")


def test_a_provider_needs_the_sites_key() -> None:
    with pytest.raises(ValueError, match="site's key"):
        Settings(captcha_provider="turnstile")


@pytest.fixture
def billing() -> Iterator[Billing]:
    with billing_on() as billing:
        billing.api.services.allowed_origins = (billing.api.services.public_url, "https://shop.example")
        yield billing


@pytest.fixture
def guarded(billing: Billing, verifier: Verifier) -> Billing:
    billing.api.services.captcha = captcha_at(verifier.url)
    return billing


def checkout(billing: Billing, solution: str | None = None, **options: Any) -> Any:
    headers = {} if solution is None else {"Captcha-Solution": solution}
    options.setdefault("key", billing.api.sandbox.publishable_token)
    return billing(
        "POST", "/v1/checkout_sessions", ORDER, headers=headers | options.pop("headers", {}), **options
    )


def send_form(billing: Billing, **more: str) -> Any:
    form = {"plan": "starter", "interval": "month:1", "offer": "buy", "action": "send", "email": "ada@example.com",
            "name": "Ada", "country": "US"}  # fmt: skip
    query = urlencode({"key": billing.api.sandbox.publishable_token, "plan": "starter"})
    return billing.api._client.http.request(
        "POST",
        f"/signup?{query}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(form | more).encode(),
    )


def test_off_unless_a_site_turns_it_on(billing: Billing) -> None:
    assert billing.api.services.captcha is None
    assert checkout(billing).status == 201
    assert send_form(billing).status_code == 303


def test_a_visitor_solves_one_before_a_payment_page_opens(guarded: Billing) -> None:
    for solution in (None, "", "wrong"):
        refused = checkout(guarded, solution)
        assert (refused.status, refused.json["code"]) == (403, "captcha_required")
    assert guarded.gateway.calls["open_checkout"] == 0
    assert checkout(guarded, "good").status == 201
    assert checkout(guarded, "good").status == 403, "each stands once"


def test_the_merchants_server_solves_none(guarded: Billing) -> None:
    assert checkout(guarded, key=guarded.api.sandbox.secret_token).status == 201


def test_the_same_request_may_come_again_with_a_solution_and_its_answer_needs_none(guarded: Billing) -> None:
    named = {"Idempotency-Key": "one"}
    assert checkout(guarded, headers=named).status == 403
    first = checkout(guarded, "good", headers=named)
    assert first.status == 201
    assert checkout(guarded, headers=named).json == first.json


def test_a_sign_up_is_completed_with_one(guarded: Billing) -> None:
    pub = guarded.api.sandbox.publishable_token
    order = {
        "plan": "starter",
        "email": "ada@example.com",
        "country": "US",
        "currency": "USD",
        "trial": False,
    }
    order |= {name: ORDER[name] for name in ("success_url", "cancel_url")}
    signup = guarded.ok("POST", "/v1/signup_sessions", order, key=pub)["id"]
    path = f"/v1/signup_sessions/{signup}/complete"
    assert guarded("POST", path, key=pub).status == 403
    assert guarded("POST", path, key=pub, headers={"Captcha-Solution": "good"}).status == 200


def test_an_outage_of_the_provider_lets_nobody_through(guarded: Billing, verifier: Verifier) -> None:
    verifier.trouble = (500, {}, b"")
    refused = checkout(guarded, "good")
    assert (refused.status, refused.json["code"]) == (503, "captcha_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert send_form(guarded, **{"cf-turnstile-response": "good"}).status_code == 503
    assert guarded.gateway.calls["open_checkout"] == 0


def test_the_limits_come_first(guarded: Billing, verifier: Verifier) -> None:
    """A flood of wrong solutions does not become one at the provider's."""
    for _ in range(50):
        checkout(guarded, "wrong")
    assert len(verifier.asked) <= 12  # the test's clock moves by a second each


def test_the_form_of_the_page_takes_its_widgets_field(guarded: Billing) -> None:
    refused = send_form(guarded)
    assert refused.status_code == 403
    assert "show that you are a person" in refused.body.decode()
    assert 'value="ada@example.com"' in refused.body.decode(), "what was typed is kept"
    assert send_form(guarded, **{"cf-turnstile-response": "good"}).status_code == 303


def page(billing: Billing) -> Any:
    query = urlencode({"key": billing.api.sandbox.publishable_token, "plan": "starter"})
    return billing.api._client.http.request("GET", f"/signup?{query}")


def test_the_page_shows_the_widget_and_lets_nothing_else_in(guarded: Billing) -> None:
    shown = page(guarded)
    text, policy = shown.body.decode(), shown.headers["Content-Security-Policy"]
    assert '<div class="cf-turnstile" data-sitekey="site"></div>' in text
    assert '<script src="https://challenges.cloudflare.com/turnstile/v0/api.js" async defer></script>' in text
    parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert parts["script-src"] == parts["frame-src"] == "https://challenges.cloudflare.com"
    assert parts["default-src"] == "'none'"
    assert "unsafe" not in policy


def test_without_one_the_page_has_no_script_and_allows_none(billing: Billing) -> None:
    shown = page(billing)
    assert "<script" not in shown.body.decode()
    assert "script-src" not in shown.headers["Content-Security-Policy"]
    assert "frame-src" not in shown.headers["Content-Security-Policy"]
