"""What each job tells CloudWatch: lines in its embedded metric format, right for a month that is known."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.adapters.codec import dumps, encode
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.environment import LIVE
from chalicelib.entrypoints.jobs import due, mailer
from chalicelib.entrypoints.metrics import NAMESPACE, Metric
from tests.infra.http_world import http_world
from tests.infra.job_world import Jobs
from tests.infra.test_jobs_work import a_month_on, live, subscribed
from tests.scenario.world import World

MONTH = timedelta(days=31)


def measured(printed: str) -> dict[str, list[float]]:
    """Every value by metric; fails on a line that CloudWatch would not take."""
    values: dict[str, list[float]] = defaultdict(list)
    for line in printed.splitlines():
        if not line.startswith('{"_aws"'):
            continue
        document = json.loads(line)
        about = document.pop("_aws")
        assert about.keys() == {"Timestamp", "CloudWatchMetrics"}
        assert isinstance(about["Timestamp"], int)
        (definition,) = about["CloudWatchMetrics"]
        assert definition["Namespace"] == NAMESPACE
        assert definition["Dimensions"] == [["Stage"]]
        assert document.pop("Stage") == "dev"
        assert [each["Name"] for each in definition["Metrics"]] == list(document)
        for each in definition["Metrics"]:
            assert each == {"Name": Metric(each["Name"]), "Unit": Metric(each["Name"]).unit}
            assert each["Unit"] in ("Count", "Seconds")
            found = document[each["Name"]]
            assert 1 <= len(found) <= 100
            assert all(isinstance(value, int | float) and value >= 0 for value in found)
            values[each["Name"]] += found
    return dict(values)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was measured since the last look."""
    capsys.readouterr()
    return lambda: measured(capsys.readouterr().out)


def work_on(jobs: Jobs, customer: str, fault: str) -> None:
    """That customer's due rows alone, with a fault of the processor's."""
    queue = jobs.world.parts.queues.due_rows
    own = [row for row in queue if row.pk.endswith(customer.partition("_")[2])]
    queue[:] = [row for row in queue if row not in own]
    jobs.world.parts.gateway.script([fault] * len(own))
    assert jobs.batch(due.work_due, [dumps(encode(row)) for row in own]) == []


def test_a_month_of_three_customers(said: Any) -> None:
    """One pays, one is declined and pays two days later with another card, the third's answer is lost."""
    world, jobs, _ = live(1)
    declined, lost = world.customer("pm_card_visa"), world.customer("pm_card_visa")
    world.subscribe(declined, "pro", trial_days=0)
    world.subscribe(lost, "pro", trial_days=0)
    jobs.project()
    assert said() == {"ChargesSucceeded": [3]}
    world.card(declined, "pm_card_chargeCustomerFail")
    world.machine += MONTH
    jobs.tick()
    assert said() == {"RenewalsDue": [3], "DueLagSeconds": [86400]}
    work_on(jobs, lost, "lost_before_charge")
    assert said() == {"UnknownOutcomeSeconds": [0]}
    jobs.work()
    assert said() == {}
    jobs.project()
    assert said() == {"ChargesSucceeded": [1], "ChargesFailed": [1]}
    world.card(declined, "pm_card_visa")
    world.machine += timedelta(days=2)
    jobs.tick()
    lag = said()
    assert lag["RenewalsDue"] == [0]
    jobs.work()
    jobs.project()
    found = said()
    assert (found["ChargesSucceeded"], found["DunningRecovered"]) == ([2], [1])
    jobs.tick()
    assert said() == {"RenewalsDue": [0], "DueLagSeconds": [0]}


def test_an_outcome_that_stays_unknown_grows_older(said: Any) -> None:
    world, jobs, (subscription,) = live(1)
    world.machine += MONTH
    ages = []
    for _ in range(4):
        jobs.tick()
        work_on(jobs, subscription.customer_id, "lost_before_charge")
        ages += said().get("UnknownOutcomeSeconds", [])
        world.machine += timedelta(hours=2)
    assert ages[0] == 0
    assert ages == sorted(ages)
    assert ages[-1] >= 3600


def test_a_sandbox_counts_for_nothing(said: Any) -> None:
    world = World()
    jobs = Jobs(world)
    subscribed(world)
    jobs.project()
    assert said() == {}


def test_webhooks_and_failures_are_measured(said: Any) -> None:
    world, jobs, (subscription,) = live(1)
    notice = ProcessorNotice(
        id="evt_1", kind="payment_intent.succeeded", created=world.machine - timedelta(minutes=7), reference="pi_1",
        env=LIVE, customer_id=subscription.customer_id,
    )  # fmt: skip
    nobody = replace(notice, id="evt_2", env="sbx_nobody", customer_id="cus_x")
    assert len(jobs.apply_notices([notice, nobody])) == 1
    assert said() == {"WebhookAgeSeconds": [420], "MessagesFailed": [1]}
    jobs.batch(mailer.send_mail, ["{poison"])
    assert said() == {"MessagesFailed": [1]}


def test_the_reconciler_says_how_far_behind_it_is(said: Any) -> None:
    world, jobs, _ = live()
    jobs.reconcile()
    assert said() == {"ReconcileLagSeconds": [0]}
    world.machine += timedelta(hours=5)
    jobs.reconcile()
    assert said() == {"ReconcileLagSeconds": [5 * 3600]}
    world.machine += timedelta(hours=1)
    jobs.reconcile()
    assert said() == {"ReconcileLagSeconds": [3600]}


def test_a_full_queue_still_tells_the_lag(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, jobs, _ = live(2)
    a_month_on(world)
    monkeypatch.setattr(world.parts.queues, "due_waiting", lambda: 10_000)
    jobs.tick()
    assert said() == {"RenewalsDue": [0], "DueLagSeconds": [86400]}
    assert world.parts.queues.due_rows == []


def test_no_line_names_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    world, jobs, _ = live(3)
    a_month_on(world)
    capsys.readouterr()
    jobs.tick()
    rows = [dumps(encode(row)) for row in world.parts.queues.due_rows]
    jobs.work()
    jobs.project()
    jobs.apply_notices()
    jobs.reconcile()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert len(lines) >= 3
    assert rows
    assert not re.search(r"(cus|sub|inv|evt|pm|pi|key|sbx)_|example\.com|prn_|sk_|whsec_", "".join(lines))


def test_a_webhook_that_nobody_signed_is_measured(said: Any) -> None:
    class Secrets:
        get = staticmethod(lambda name: "whsec_right" if "webhook" in name else "sk_test_x")

    with http_world() as world:
        services: Any = world.services
        services.secrets = Secrets()
        header = {"Stripe-Signature": f"t={round(world.now.timestamp())},v1=00"}
        answer = world.call("POST", "/v1/webhooks/stripe", {"id": "evt_1"}, headers=header)
        assert answer.status_code == 400
    assert said() == {"WebhookSignatureFailures": [1]}
