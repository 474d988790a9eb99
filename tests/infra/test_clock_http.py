"""A sandbox's clock as a client of the API sees it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.application.clock import Drive, drive_advance
from chalicelib.entrypoints.http import clock
from tests.infra.billing_api import MISSING, billing_on


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def test_it_stands_still_until_it_is_moved(billing):
    sandbox = billing.api.sandbox.environment.id
    assert billing.ok("GET", "/v1/clock") == {
        "environment": sandbox,
        "now": "2027-03-01T09:30:00Z",
        "live": False,
    }
    billing.api.now += timedelta(days=3)
    assert billing.ok("GET", "/v1/clock")["now"] == "2027-03-01T09:30:00Z"
    billing.advance("P1D")
    assert billing.ok("GET", "/v1/clock")["now"] == "2027-03-02T09:30:00Z"


def test_a_year_of_renewals_is_counted(billing):
    billing.subscribe(billing.customer("pm_card_visa"))
    done = billing.advance("P1Y")
    assert done | {"id": ""} == {
        "id": "",
        "status": "done",
        "start": "2027-03-01T09:30:00Z",
        "to": "2028-03-01T09:30:00Z",
        "reached": "2028-03-01T09:30:00Z",
        "jobs": 12,
        "counts": {
            "invoice.opened": 12,
            "invoice.paid": 12,
            "payment.succeeded": 12,
            "subscription.renewed": 12,
        },
        "stuck": [],
    }
    assert billing.ok("GET", f"/v1/clock/advances/{done['id']}") == done
    assert len(billing.gateway.charges()) == 13


@pytest.mark.parametrize(
    ("by", "to"),
    [
        ("P1M", "2027-04-01T09:30:00Z"),
        ("P1Y2M3W4DT5H6M", "2028-05-26T14:36:00Z"),
        ("PT90M", "2027-03-01T11:00:00Z"),
        ("P0D", "2027-03-01T09:30:00Z"),
        ("P20Y", "2047-03-01T09:30:00Z"),
    ],
)
def test_by_a_duration(billing, by, to):
    assert billing.advance(by)["reached"] == to


def test_to_an_instant_in_any_zone(billing):
    assert billing.ok("POST", "/v1/clock/advance", {"to": "2027-03-02T00:00:00+09:00"})["reached"] == (
        "2027-03-01T15:00:00Z"
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "to"),
        ({"to": "2027-03-02T00:00:00Z", "by": "P1D"}, "to"),
        ({"to": "2027-03-01T09:29:59Z"}, "to"),
        ({"to": "2027-03-02T00:00:00"}, "to"),
        ({"to": "9999-12-31T23:59:59Z"}, "to"),
        ({"to": 1900000000}, "to"),
        ({"by": "1 month"}, "by"),
        ({"by": "P"}, "by"),
        ({"by": "PT"}, "by"),
        ({"by": "-P1D"}, "by"),
        ({"by": "P21Y"}, "by"),
        ({"by": "P99999D"}, "by"),
        ({"by": "P1D", "pace": 2}, "pace"),
    ],
)
def test_what_makes_no_sense_is_refused_and_moves_nothing(billing, body, field):
    refused = billing("POST", "/v1/clock/advance", body)
    assert (refused.status, refused.json["field"]) == (400, field)
    assert billing.ok("GET", "/v1/clock")["now"] == "2027-03-01T09:30:00Z"


def test_live_follows_the_real_clock(billing):
    live = billing.api.live.secret_token
    shown = billing.ok("GET", "/v1/clock", key=live)
    assert shown["live"] is True
    refused = billing("POST", "/v1/clock/advance", {"by": "P1D"}, key=live)
    assert (refused.status, refused.json["code"]) == (409, "invalid_state")


class TestLonger:
    @pytest.fixture(autouse=True)
    def hurry(self, monkeypatch):
        monkeypatch.setattr(clock, "INLINE_SECONDS", 0.0)

    def test_202_says_where_to_look_and_somebody_carries_it_on(self, billing):
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer)
        headers = {"Idempotency-Key": "year"}
        started = billing("POST", "/v1/clock/advance", {"by": "P1Y"}, headers=headers)
        assert started.status == 202
        assert started.json["status"] == "running"
        path = started.headers["location"]
        assert path == f"/v1/clock/advances/{started.json['id']}"
        assert billing.queues.advances == [(billing.api.sandbox.environment.id, started.json["id"])]
        assert billing.ok("GET", path) == started.json
        drive = Drive(time_left=lambda: 60.0, machine_now=lambda: billing.api.now)
        drive_advance(billing.api.context(), billing.api.services.ops, started.json["id"], drive)
        done = billing.ok("GET", path)
        assert (done["status"], done["counts"]["invoice.paid"]) == ("done", 12)
        assert len(billing.invoices(customer)) == 13
        again = billing("POST", "/v1/clock/advance", {"by": "P1Y"}, headers=headers)
        assert again.json["id"] == done["id"]
        assert billing.ok("GET", "/v1/clock")["now"] == "2028-03-01T09:30:00Z"

    def test_another_waits_for_its_end(self, billing):
        running = billing("POST", "/v1/clock/advance", {"by": "P1Y"}).json["id"]
        refused = billing("POST", "/v1/clock/advance", {"by": "P1D"})
        assert (refused.status, refused.json["code"]) == (409, "conflict")
        assert refused.json["ids"] == {"advance": running}


def test_stuck_work_is_named(billing):
    billing.subscribe(billing.customer("pm_card_visa"))
    billing.gateway.script(["unavailable"] * 10)
    ended = billing.advance("P1M")
    assert ended["status"] == "stuck"
    (stuck,) = ended["stuck"]
    assert (stuck["kind"], stuck["at"]) == ("collect", "2027-04-01T09:30:00Z")
    assert "GatewayUnavailableError" in stuck["error"]


def test_an_advance_of_another_environment_is_not_found(billing):
    other = billing.api.open("other").secret_token
    foreign = billing.ok("POST", "/v1/clock/advance", {"by": "P1D"}, key=other)["id"]
    for id_ in (foreign, MISSING["adv"], "adv_1", "x" * 1500):
        assert billing("GET", f"/v1/clock/advances/{id_}").status == 404
