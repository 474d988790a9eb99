"""A person with a browser: from the price list over the payment page to an active subscription and a year of it.

The whole local system runs in a process of its own, as `make run` starts it. Screenshots are kept in artifacts/.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.local.ports import free_ports

pytestmark = [pytest.mark.browser, pytest.mark.engine]

PROJECT = Path(__file__).resolve().parents[2]
ARTIFACTS = PROJECT / "artifacts"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAYS, DECLINED = "4242 4242 4242 4242", "4000 0000 0000 0002"
PAYS_TOO = "5555 5555 5555 4444"


class Shop:
    """The running system: its address, its sandbox's keys, and the API to look behind the pages."""

    def __init__(self, url: str, keys: dict[str, str]) -> None:
        self.url = url
        self.publishable = keys["publishable_key"]
        self._secret = keys["secret_key"]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.load(answer)

    def statuses(self) -> list[str]:
        return [each["status"] for each in self.api("GET", "/v1/subscriptions?limit=100")["data"]]

    def welcomed(self, page: Any) -> Any:
        """The subscription that the welcome page is about."""
        (signup,) = parse_qs(urlsplit(page.url).query)["signup"]
        subscription = self.api("GET", f"/v1/signup_sessions/{signup}")["subscription"]
        return self.api("GET", f"/v1/subscriptions/{subscription}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    pytest.importorskip("playwright", reason="playwright is not installed")
    pytest.importorskip("ministack", reason="ministack is not installed")
    state, port = tmp_path_factory.mktemp("shop") / "state", free_ports(3)
    command = [sys.executable, "-m", "infra.local", "run", "--port", str(port), "--state", str(state)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            screen = next((line for line in process.stdout if "clock/advance" in line), None)
            assert screen is not None, "the local system did not start"
            keys = json.loads((state / "keys.json").read_text())["sandbox"]
            yield Shop(f"http://127.0.0.1:{port}", keys)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def chromium(shop: Shop) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    """A visitor from Germany without scripts; whatever a page may not load or run would show in `refused`."""
    size = {"width": 1280, "height": 900} if request.param == "desktop" else {"width": 390, "height": 844}
    context = chromium.new_context(viewport=size, locale="de-DE", java_script_enabled=False)
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.refused = []
    page.on(
        "console", lambda message: page.refused.append(message.text) if _is_policy(message.text) else None
    )
    page.device = request.param
    page.shot = lambda name: _keep(page, f"{name}-{request.param}")
    yield page
    assert page.refused == []
    context.close()


def test_from_the_price_list_to_paid_and_active(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/pricing?key={shop.publishable}&currency=EUR")
    page.shot("1-prices")
    page.locator("a.button:visible", has_text="with Pro").click()
    page.fill("#quantity", "3")
    page.fill("#email", "grace@example.com")
    page.fill("#name", "Grace Hopper")
    page.fill("#company", "Hopper GmbH")
    page.click("text=Update the sum")
    assert page.input_value("#email") == "grace@example.com"
    assert page.input_value("#country") == "DE"
    page.shot("2-sign-up")
    page.locator("button:visible", has_text="Skip the trial and pay €81.00 now").click()
    _pay(page, DECLINED)
    page.get_by_role("alert").wait_for()
    page.shot("3-declined")
    assert shop.statuses().count("incomplete") == 1
    _pay(page, PAYS)
    page.get_by_text("Your payment came through").wait_for()
    page.shot("4-welcome")
    subscription = shop.welcomed(page)
    assert (subscription["status"], subscription["items"][0]["quantity"]) == ("active", 3)
    assert subscription["mrr"] == 8100
    (invoice,) = shop.api("GET", f"/v1/invoices?subscription={subscription['id']}")["data"]
    assert (invoice["status"], invoice["amount_paid"], len(invoice["payments"])) == ("paid", 8100, 1)
    assert invoice["buyer"]["name"] == "Hopper GmbH"


def test_a_trial_that_saves_a_card_becomes_a_paid_year(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/signup?plan=pro&interval=month&currency=USD&key={shop.publishable}")
    page.fill("#email", f"ada.{page.device}@example.com")
    page.locator("button:visible", has_text="Start 14 days free").click()
    _pay(page, PAYS if page.device == "phone" else PAYS_TOO)  # a trial is had once per card
    page.get_by_text("Your trial has begun").wait_for()
    page.shot("5-trial")
    subscription = shop.welcomed(page)
    assert subscription["status"] == "trialing"
    _advance(shop, "P1Y")
    invoices = shop.api("GET", f"/v1/invoices?subscription={subscription['id']}&limit=100")["data"]
    assert len(invoices) == 12
    assert {invoice["status"] for invoice in invoices} == {"paid"}
    page.reload()
    page.get_by_text("Paid until").wait_for()


def test_back_from_the_payment_page_nothing_typed_is_lost(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/signup?plan=pro&interval=year&currency=USD&key={shop.publishable}")
    page.fill("#email", "joan@example.com")
    page.fill("#name", "Joan Clarke")
    page.locator("button:visible", has_text="Start 14 days free").click()
    page.locator("a.cancel").click()
    page.get_by_text("About you").wait_for()
    assert (page.input_value("#name"), page.input_value("#email")) == ("Joan Clarke", "joan@example.com")
    assert page.is_checked("input[name=interval][value=year]")


def test_a_renewal_is_confirmed_from_the_mail_over_the_bank(shop: Shop, page: Any) -> None:
    email = f"kathleen.{page.device}@example.com"
    customer = shop.api("POST", "/v1/customers", {"email": email, "name": "Kathleen Booth"})["id"]
    order = {"customer": customer, "plan": "starter", "trial_days": 0, "payment_method": "pm_card_visa"}
    subscription = shop.api("POST", "/v1/subscriptions", {**order, "currency": "USD"})["id"]
    asking = {"payment_method": "pm_card_authenticationRequired"}
    shop.api("POST", f"/v1/customers/{customer}/payment_methods", asking)
    _advance(shop, "P1M")
    link = _link_in_mail(shop, email)
    page.goto(link)
    page.shot("8-confirm")
    page.get_by_role("button", name="Confirm $19.00").or_(page.locator("button", has_text="19,00")).click()
    page.wait_for_url("**/c/auth/**")
    page.shot("9-bank")
    page.click("button[value=fail]")
    page.get_by_text("Your bank has not confirmed the payment").wait_for()
    page.shot("10-refused")
    assert "client_secret" not in page.url
    page.locator("button", has_text="19").click()
    page.click("button[value=complete]")
    page.get_by_text("It is paid").wait_for()
    page.shot("11-confirmed")
    assert shop.api("GET", f"/v1/subscriptions/{subscription}")["status"] == "active"
    newest, *_ = shop.api("GET", f"/v1/invoices?subscription={subscription}")["data"]
    assert (newest["status"], [each["status"] for each in newest["attempts"]]) == ("paid", ["succeeded"])
    page.goto(link)
    page.get_by_text("It is paid").wait_for()


def test_a_free_account_and_a_talk_with_sales(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/signup?plan=free&key={shop.publishable}")
    page.press("#email", "Enter")
    page.get_by_role("alert").wait_for()
    page.shot("6-errors")
    page.fill("#email", "mary@example.com")
    page.press("#email", "Enter")
    page.get_by_text("Your account is open").wait_for()
    page.goto(f"{shop.url}/signup?plan=enterprise&key={shop.publishable}")
    page.fill("#email", "mary@example.com")
    page.fill("#name", "Mary Somerville")
    page.fill("#note", "Two hundred seats")
    page.get_by_role("button", name="Ask sales to contact me").click()
    page.get_by_text("within one working day").wait_for()
    page.shot("7-sales")
    assert shop.api("GET", "/v1/leads?limit=1")["data"][0]["note"] == "Two hundred seats"


def _pay(page: Any, number: str) -> None:
    """On the processor's own page."""
    page.wait_for_selector("#cardNumber")
    assert "/c/pay/" in page.url
    if page.is_editable("#email"):
        page.fill("#email", "grace@example.com")
    page.fill("#cardNumber", number)
    page.fill("#cardExpiry", "12 / 34")
    page.fill("#cardCvc", "123")
    page.click("button[type=submit]")


def _link_in_mail(shop: Shop, email: str) -> str:
    """Where the button of the mail leads that asks to confirm a payment."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{shop.url}/_local/mail.json", timeout=10) as answer:
            mails = json.load(answer)
        for mail in mails:
            if email in mail["to"] and mail["subject"].startswith("Please confirm your payment"):
                found: str = mail["text"].partition("Confirm the payment: ")[2].split()[0]
                assert f'href="{escape(found)}"' in mail["html"]
                return found
        time.sleep(0.3)
    raise AssertionError([(mail["to"], mail["subject"]) for mail in mails])


def _advance(shop: Shop, by: str) -> None:
    advance = shop.api("POST", "/v1/clock/advance", {"by": by})
    until = time.monotonic() + 60
    while advance["status"] == "running":
        assert time.monotonic() < until, advance
        time.sleep(0.2)
        advance = shop.api("GET", f"/v1/clock/advances/{advance['id']}")
    assert advance["status"] == "done", advance


def _is_policy(text: str) -> bool:
    return "Content Security Policy" in text


def _keep(page: Any, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)
