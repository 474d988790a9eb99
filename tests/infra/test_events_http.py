"""Events, timeline, ledger and MRR over HTTP; and the processor's webhook, from its bytes to the queue."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from chalice.test import Client

from chalicelib import composition
from chalicelib.adapters.sqs import SendError
from chalicelib.application.credentials import KeyRing, issue_key
from chalicelib.domain.credentials import KeyKind, Scope
from tests.infra.http_world import copy_of_app
from tests.infra.job_world import Jobs
from tests.scenario.world import World

PEPPER = b"p" * 32
SECRET = "whsec_test"


class Secrets:
    def get(self, name: str) -> str:
        return {"stripe_secret_key": "sk_test_x", "stripe_webhook_secrets": f"whsec_old,{SECRET}"}[name]


class Http:
    """A world that has lived a little, and its API."""

    def __init__(self) -> None:
        self.world = World(start="2026-01-31")
        self.jobs = Jobs(self.world)
        self.ada = self.world.customer("pm_card_visa")
        self.sub = self.world.subscribe(self.ada, "pro", trial_days=0)
        self.world.subscribe(
            self.world.customer("pm_card_visa"), "pro", currency="EUR", interval="year", trial_days=0
        )
        self.world.advance(days=70)
        self.jobs.project()
        self._client = Client(copy_of_app())
        self._token = self.token(self.world.env)

    def token(self, env: str) -> str:
        ring = KeyRing(self.world.parts.ops, PEPPER)
        return issue_key(
            ring, env, kind=KeyKind.SECRET, name="k", scopes=(Scope.READ,), request_key="k",
            machine_now=self.world.machine,
        )[1]  # fmt: skip

    def get(self, path: str, **query):
        address = path + (f"?{urlencode(query)}" if query else "")
        answer = self._request("GET", address, {"Authorization": f"Bearer {self._token}"})
        return answer.status_code, json.loads(answer.body)

    def post(self, path: str, body: bytes, headers: dict[str, str]):
        return self._request(
            "POST", path, {"Content-Type": "application/json; charset=utf-8", **headers}, body
        )

    def _request(self, method: str, path: str, headers: dict[str, str], body: bytes = b""):
        parts = self.world.parts
        bound = composition.Services(
            store=parts.store, ops=parts.ops, queues=parts.queues, pepper=PEPPER, secrets=Secrets(),
            public_url=parts.public_url, machine_now=lambda: self.world.machine,
        )  # fmt: skip
        with composition.use(bound):
            return self._client.http.request(method, path, headers=headers, body=body)


@pytest.fixture(scope="module")
def http():
    return Http()


def test_events_by_cursor(http):
    status, page = http.get("/v1/events", limit=3)
    assert status == 200
    assert [event["cursor"] for event in page["data"]] == [1, 2, 3]
    assert page["has_more"] is True
    seen = list(page["data"])
    while page["has_more"]:
        _, page = http.get("/v1/events", limit=7, after=page["next_cursor"])
        seen += page["data"]
    facts = [fact.type for entry in http.world.journal() for fact in entry.facts]
    assert [event["type"] for event in seen] == facts
    assert http.get("/v1/events", after=page["next_cursor"])[1] == {
        "data": [], "next_cursor": len(facts), "has_more": False,
    }  # fmt: skip


def test_an_event_says_what_whom_when_and_why(http):
    _, page = http.get("/v1/events", type="invoice.paid", limit=1)
    (event,) = page["data"]
    invoice = http.world.invoices(http.sub)[0]
    assert event["subject"] == invoice.id
    assert event["customer"] == http.ada
    assert event["data"]["number"] == invoice.number
    assert event["created"] == "2026-01-31T00:00:00Z"
    assert event["cause"] == f"settle:{invoice.id}:1"
    assert event["actor"] == {"kind": "api", "id": "key_test"}
    assert event["id"].startswith(f"evt_{http.ada.removeprefix('cus_')}")


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"after": -1}, {"limit": 101}, {"after": 10**15}, {"since": 1}]
)
def test_a_bad_query_is_refused(http, query):
    status, problem = http.get("/v1/events", **query)
    assert status == 400
    assert problem["field"] == next(iter(query))


def test_timeline_newest_first_with_bookings(http):
    status, page = http.get(f"/v1/customers/{http.ada}/timeline", limit=4)
    assert status == 200
    entries = list(page["data"])
    while page["next_cursor"]:
        _, page = http.get(f"/v1/customers/{http.ada}/timeline", limit=4, cursor=page["next_cursor"])
        entries += page["data"]
    mine = [entry for entry in http.world.journal() if entry.customer_id == http.ada]
    assert sorted(entry["id"] for entry in entries) == sorted(entry.id for entry in mine)
    instants = [entry["created"] for entry in entries]
    assert instants == sorted(instants, reverse=True)
    renewal = [entry["facts"][0]["type"] for entry in entries if entry["created"] == instants[0]]
    assert renewal == ["payment.succeeded", "subscription.renewed"]
    assert all(sum(p["amount"] for p in entry["postings"]) == 0 for entry in entries)
    assert any(entry["movements"] for entry in entries)


def test_timeline_of_nobody(http):
    assert http.get("/v1/customers/cus_00000000000000000000000000/timeline")[0] == 404
    assert http.get("/v1/customers/nonsense/timeline")[0] == 404
    assert http.get(f"/v1/customers/{http.ada}/timeline", cursor="Zm9v")[0] == 400
    assert http.get(f"/v1/customers/{http.ada}/timeline", cursor="é")[0] == 400


def test_ledger_and_mrr_are_the_journals_sums(http):
    _, ledger = http.get("/v1/ledger")
    assert [each["currency"] for each in ledger["data"]] == ["EUR", "USD"]
    for each in ledger["data"]:
        expected = {str(account): amount for account, amount in http.world.ledger(each["currency"]).items()}
        assert {name: amount for name, amount in each["balances"].items() if amount} == expected
        assert sum(each["balances"].values()) == 0
    assert [month["month"] for month in ledger["data"][1]["months"]] == ["2026-01", "2026-02", "2026-03"]
    _, only = http.get("/v1/ledger", currency="EUR")
    assert only["data"] == ledger["data"][:1]
    _, mrr = http.get("/v1/mrr")
    assert sum(each["mrr"] for each in mrr["data"]) == http.world.mrr()
    assert mrr["data"][1]["months"] == [
        {
            "month": "2026-01",
            "movements": {"new": http.world.reload(http.sub).mrr},
            "mrr": mrr["data"][1]["mrr"],
        }
    ]
    assert http.get("/v1/ledger", currency="usd")[0] == 400
    assert http.get("/v1/mrr", currency="JPY")[1] == {"data": []}


# The webhook


def event(**changes) -> dict:
    metadata = {"env": "sbx_world", "customer": "cus_x", "invoice": "inv_x", "attempt": "1", "note": "é\r\n"}
    return {
        "id": "evt_1", "type": "payment_intent.succeeded", "created": 1_790_000_000, "livemode": False,
        "data": {"object": {"id": "pi_1", "metadata": metadata}}, **changes,
    }  # fmt: skip


def signed(http, body: bytes, *, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    stamp = str(int(http.world.machine.timestamp()) - age)
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={digest}"}


@pytest.fixture
def queue(http):
    http.world.parts.queues.processor_notices.clear()
    return http.world.parts.queues.processor_notices


def test_a_signed_webhook_is_queued_and_answered(http, queue):
    body = json.dumps(event(), ensure_ascii=False).encode()
    answer = http.post("/v1/webhooks/stripe", body, signed(http, body))
    assert (answer.status_code, json.loads(answer.body)) == (200, {"received": True})
    (notice,) = queue
    assert (notice.id, notice.env, notice.invoice_id, notice.attempt) == ("evt_1", "sbx_world", "inv_x", 1)


def test_an_unsigned_or_changed_or_old_webhook_is_refused(http, queue):
    body = json.dumps(event()).encode()
    for headers, sent in [
        ({}, body),
        (signed(http, body), body + b" "),
        (signed(http, body, secret="whsec_other"), body),
        (signed(http, body, age=301), body),
        (signed(http, body, age=-301), body),
    ]:
        answer = http.post("/v1/webhooks/stripe", sent, headers)
        assert answer.status_code == 400
        assert json.loads(answer.body)["code"] == "invalid_signature"
    assert queue == []


def test_a_webhook_of_another_mode_or_type_is_acknowledged_and_dropped(http, queue):
    for content in (event(livemode=True), event(type="customer.created"), event(account="acct_1")):
        body = json.dumps(content).encode()
        answer = http.post("/v1/webhooks/stripe", body, signed(http, body))
        assert (answer.status_code, json.loads(answer.body)) == (200, {"received": False})
    assert queue == []


def test_a_webhook_that_was_not_queued_is_not_acknowledged(http, queue, monkeypatch):
    def fail(notices):
        raise SendError("no queue")

    monkeypatch.setattr(http.world.parts.queues, "notices", fail)
    body = json.dumps(event()).encode()
    assert http.post("/v1/webhooks/stripe", body, signed(http, body)).status_code == 500
