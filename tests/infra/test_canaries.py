"""A month with a canary in every field and header, against a processor that answers with real-looking secrets: what
the logs hold of it, and what the tables hold of secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.adapters.codec import dumps, encode
from chalicelib.adapters.mail.render import render
from chalicelib.adapters.memory.fakes import MemoryMailer
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application import feed
from chalicelib.domain.journal import JournalEntry
from chalicelib.entrypoints.jobs import due, mailer, notices, projector, tick
from infra.local.events import Context, schedule_event, stream_event
from tests.infra.billing_api import Billing, billing_on
from tests.infra.gateway_worlds import StandinWorld
from tests.infra.job_world import failures, stream_record

CANARY, HEADER = "canaryvalue", "headercanary"
MAIL = f"{CANARY}@example.com"
KEY, HOOK = "sk_test_standin", "whsec_standin"
SECRET = re.compile(rf"sk_(test|live)_|{HOOK}|_secret_|prn_(live|test)_|Bearer|{'p' * 32}")
"""A publishable key is no secret: it stands in the address of every sign-up page, and so in the way back to it."""
HEADERS = {
    "User-Agent": f"{HEADER}/1.0",
    "Referer": f"https://{HEADER}.example/",
    "Cookie": f"session={HEADER}",
    "X-Forwarded-For": HEADER,
    "X-Custom": HEADER,
    "Accept-Language": HEADER,
    "Origin": f"https://{HEADER}.example",
}


class Secrets:
    def get(self, name: str) -> str:
        return {"stripe_secret_key": KEY, "stripe_webhook_secrets": HOOK}[name]


class Month:
    """Told once; then looked at."""

    def __init__(self, billing: Billing) -> None:
        self.billing = billing
        self.mailer = MemoryMailer()
        services = billing.api.services
        services.mailer, services.render = self.mailer, render
        services.secrets = Secrets()  # type: ignore[assignment]
        services.allowed_origins = (services.public_url, "https://shop.example")
        self.env = billing.api.sandbox.environment.id

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Any:
        answer = self.billing(method, path, body, headers=HEADERS | options.pop("headers", {}), **options)
        assert answer.status == status, (path, answer.text)
        return answer.json

    def live(self) -> None:
        customer = self.ask(
            "POST", "/v1/customers", profile(), status=201, headers={"Idempotency-Key": HEADER}
        )["id"]
        path = f"/v1/customers/{customer}"
        self.ask("PATCH", path, {"metadata": {CANARY: CANARY}})
        self.ask("POST", f"{path}/members", {"email": MAIL, "name": CANARY}, status=201)
        self.ask("POST", f"{path}/payment_methods", {"payment_method": "pm_card_visa"}, status=201)
        order = {"customer": customer, "plan": "starter", "trial_days": 0}
        sub = self.ask("POST", "/v1/subscriptions", order, status=201)
        paid = {"customer": customer, "amount": 100, "currency": "USD", "reference": CANARY}
        self.ask("POST", "/v1/payments", paid, status=201)
        self.sign_up()
        self.refused(order)
        self.ask("POST", "/v1/clock/advance", {"by": "P40D"})
        self.told(sub["latest_invoice"])
        self.jobs()
        self.ask("POST", f"/v1/subscriptions/{sub['id']}/cancel", {"reason": CANARY})

    def sign_up(self) -> None:
        pub = self.billing.api.sandbox.publishable_token
        step = {
            "email": MAIL,
            "name": CANARY,
            "company": CANARY,
            "note": CANARY,
            "plan": "pro",
            "country": "DE",
        }
        lead = self.ask("POST", "/v1/signup_sessions", step | {"wants_demo": True}, key=pub, status=201)["id"]
        self.ask("POST", f"/v1/signup_sessions/{lead}/complete", key=pub)
        urls = {name: f"https://shop.example/{name}" for name in ("success_url", "cancel_url")}
        buy = {
            "plan": "starter",
            "trial_days": 0,
            "customer_email": MAIL,
            "customer_name": CANARY,
            "company": CANARY,
        }
        opened = self.ask("POST", "/v1/checkout_sessions", buy | urls, key=pub, status=201)
        form = {"plan": "starter", "interval": "month:1", "offer": "buy", "action": "send", "email": MAIL,
                "name": CANARY, "company": CANARY, "country": "US", "note": CANARY}  # fmt: skip
        assert self.page("POST", "/signup", {"key": pub, "plan": "starter"}, form) == 303
        for path in ("/checkout/pay", "/checkout/return"):
            assert self.page("GET", path, {"env": self.env, "session": opened["id"]}) == 200
        assert self.page("GET", "/confirm", {"env": self.env, "invoice": CANARY, "token": CANARY}) == 404

    def refused(self, order: dict[str, Any]) -> None:
        """Declined, refused by the processor, by us, by the gateway's contract."""
        declined = self.ask("POST", "/v1/customers", {"email": MAIL}, status=201)["id"]
        path = f"/v1/customers/{declined}/payment_methods"
        self.ask("POST", path, {"payment_method": "pm_card_chargeDeclined"}, status=402)
        self.ask("POST", path, {"payment_method": "pm_unknown_to_anybody"}, status=400)
        self.ask("POST", "/v1/subscriptions", order | {"customer": declined, CANARY: CANARY}, status=400)
        method = {"payment_method": "pm_card_chargeCustomerFail"}
        self.ask("POST", "/v1/subscriptions", order | {"customer": declined} | method, status=402)
        method = {"payment_method": "pm_card_authenticationRequired"}
        self.billing("POST", "/v1/subscriptions", order | {"customer": declined} | method, headers=HEADERS)
        self.ask("GET", f"/v1/customers/{CANARY}", status=404)
        self.ask("GET", "/v1/me", key=f"prn_test_{CANARY}", status=401)

    def page(self, method: str, path: str, query: dict[str, str], form: dict[str, str] | None = None) -> int:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        answer = self.billing.api._client.http.request(
            method, f"{path}?{urlencode(query)}", headers=HEADERS | kind, body=urlencode(form or {}).encode()
        )
        return int(answer.status_code)

    def told(self, invoice: str) -> None:
        """A webhook that carries a client secret and whom it is about."""
        intent = {"id": f"pi_{CANARY}", "object": "payment_intent", "client_secret": f"pi_1_secret_{CANARY}",
                  "receipt_email": MAIL, "metadata": {"env": self.env, "invoice": invoice}}  # fmt: skip
        for kind in (
            "payment_intent.succeeded",
            "payment_intent.payment_failed",
            "customer.subscription.created",
        ):
            event = {"id": "evt_1", "object": "event", "type": kind, "created": int(self.billing.api.now.timestamp()),
                     "livemode": False, "data": {"object": intent}}  # fmt: skip
            raw, at = json.dumps(event), int(self.billing.api.now.timestamp()) + 1
            mac = hmac.new(HOOK.encode(), f"{at}.{raw}".encode(), hashlib.sha256).hexdigest()
            signed = {"Stripe-Signature": f"t={at},v1={mac}"}
            self.ask("POST", "/v1/webhooks/stripe", event, key="", headers=signed)
            self.ask(
                "POST", "/v1/webhooks/stripe", event | {"id": CANARY}, key="", headers=signed, status=400
            )

    def jobs(self) -> None:
        queues, store = self.billing.queues, self.billing.api.store
        tick.tick(schedule_event("tick"), Context("tick", 60))
        self.drain(due.work_due, queues.due_rows)
        self.drain(notices.apply_notices, queues.processor_notices)
        failures(notices.apply_notices, [CANARY, json.dumps({CANARY: CANARY})])
        records = [stream_record(self.env, entry) for entry in store.records(JournalEntry)]
        projector.project_journal(stream_event(records, "arn"), Context("project_journal", 60))
        self.letters = repr(queues.letters)
        self.drain(mailer.send_mail, queues.letters)

    def drain(self, handler: Any, waiting: list[Any]) -> None:
        bodies = [dumps(encode(each)) for each in waiting]
        waiting.clear()
        for start in range(0, len(bodies), 10):
            failures(handler, bodies[start : start + 10])

    def tables(self) -> str:
        """Everything that is stored; the feed unpacked."""
        api = self.billing.api
        events = feed.read_events(api.services.ops, self.env, limit=1000).events
        assert len(events) > 10
        ops = api.services.ops
        assert isinstance(ops, MemoryOps)
        return repr(api.store._partitions) + ops.dump() + repr(events) + self.letters


def profile() -> dict[str, Any]:
    text = dict.fromkeys(("name", "legal_name", "owner", "external_id"), CANARY)
    address = dict.fromkeys(("line1", "line2", "city", "postal_code", "state"), CANARY)
    mails = dict.fromkeys(("email", "billing_email"), MAIL)
    return {**text, **mails, "domain": f"{CANARY}.example.com", "tax_ids": [{"type": "other", "value": f"{CANARY}1"}],
            "metadata": {CANARY: CANARY}, "address": {**address, "country": "DE"}}  # fmt: skip


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Month, str]]:
    """(the month, everything that any logger said from DEBUG on, in the form that Lambda would keep)."""
    from chalicelib.entrypoints.log import logger

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger().registered_formatter)
    handler.addFilter(lambda record: not record.name.startswith("infra."))  # the stand-in is not shipped
    standin = StandinWorld()
    # The stand-in's pages run on the real clock, and the API's moves on by a second per request.
    now = datetime.now(UTC) - timedelta(minutes=10)
    with pytest.MonkeyPatch.context() as patch, billing_on(now) as billing:
        for name in ("", "perennial", "stripe", "urllib3", "chalicelib"):
            patch.setattr(logging.getLogger(name), "handlers", [handler] if name in ("", "perennial") else [])
        patch.setattr(logging.getLogger(), "level", logging.DEBUG)
        logging.getLogger().manager._clear_cache()  # type: ignore[attr-defined]
        billing.api.services.gateway = standin.gateway
        month = Month(billing)
        month.live()
        yield month, stream.getvalue()
    standin.close()


def test_the_month_was_lived(told: tuple[Month, str]) -> None:
    month, logs = told
    facts = month.billing.facts()
    assert {"payment.succeeded", "payment.failed", "lead.created", "subscription.renewed"} <= set(facts)
    assert any(CANARY in mail.text for mail in month.mailer.sent)
    assert logs.count('"route"') > 20
    assert '"DEBUG"' in logs or "DEBUG" in logs
    assert CANARY in month.tables(), "the tables may hold it"


def test_no_log_holds_what_anybody_sent(told: tuple[Month, str]) -> None:
    _, logs = told
    for word in (CANARY, HEADER, "example.com"):
        assert word not in logs.replace("shop.example", ""), _around(logs, word)


def test_no_log_holds_a_secret(told: tuple[Month, str]) -> None:
    _, logs = told
    assert (found := SECRET.search(logs)) is None, _around(logs, found[0] if found else "")
    assert "prn_pub_" not in logs, _around(logs, "prn_pub_")


def test_no_table_holds_a_secret(told: tuple[Month, str]) -> None:
    """Neither ours nor the processor's: not its key, no client secret, no webhook's secret, no key of ours."""
    month, _ = told
    tables = month.tables()
    assert (found := SECRET.search(tables)) is None, _around(tables, found[0] if found else "")


def test_no_table_holds_a_header(told: tuple[Month, str]) -> None:
    month, _ = told
    assert HEADER not in month.tables(), _around(month.tables(), HEADER)


def _around(text: str, word: str) -> str:
    place = text.find(word)
    return text[max(0, place - 200) : place + 200]
