"""`make doctor` and `make redrive` beside `make run`: faults planted in its tables and queues, seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine import PROJECT, emulator_url
from infra.local.ports import free_ports
from infra.local.resources import NAME_PREFIX, client
from tests.infra.test_local_run import Run

pytestmark = pytest.mark.engine


class Local:
    """A running system with one customer who has paid for three months."""

    def __init__(self, state: Path) -> None:
        self.state = state
        port = free_ports(3)
        self.run = Run(port, state, parts=())
        self.key = next(line.split()[-1] for line in self.run.screen().splitlines() if "Secret key" in line)
        self.aws = {name: client(name, emulator_url(port + 2)) for name in ("dynamodb", "sqs")}

    def stop(self) -> None:
        self.run.process.terminate()
        self.run.process.wait(30)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(self.run.url + path, json.dumps(body).encode())
        request.add_header("Authorization", f"Bearer {self.key}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ops(self, *arguments: str) -> tuple[int, str]:
        """An operator's command: its exit status and what it prints."""
        task, *rest = arguments
        pause = ("--pause", "0.5") if task == "doctor" else ()
        command = [sys.executable, "-m", "infra.ops", task, "--state", str(self.state), *pause, *rest]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def queue(self, name: str) -> str:
        url: str = self.aws["sqs"].get_queue_url(QueueName=NAME_PREFIX + name)["QueueUrl"]
        return url


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = Local(tmp_path_factory.mktemp("ops") / "state")
    try:
        yield local
    finally:
        local.stop()


def test_a_life_a_fault_and_its_repair(local: Local) -> None:
    customer = local.post("/v1/customers", {"email": "ada@example.com"})["id"]
    order = {"customer": customer, "plan": "pro", "trial_days": 0, "payment_method": "pm_card_visa"}
    subscription = local.post("/v1/subscriptions", order)["id"]
    advance = local.post("/v1/clock/advance", {"by": "P2M"})
    assert advance["status"] == "done"
    status, said = until_well(local)
    assert (status, "All is well." in said) == (0, True), said
    assert "3 payments of 30 days are the processor's, to the cent" in said

    table, key = NAME_PREFIX + "BillingTable", item_of(local, subscription)
    local.aws["dynamodb"].update_item(TableName=table, Key=key, UpdateExpression="REMOVE due_shard, due_at")
    status, said = local.ops("doctor")
    assert status == 1
    assert f"{subscription} wants renewal at" in said
    assert "make doctor REPAIR=1 writes it" in said
    status, said = local.ops("doctor", "--repair")
    assert (status, f"repaired: wrote {subscription} unchanged" in said) == (0, True), said
    assert local.ops("doctor")[0] == 0
    counts = local.post("/v1/clock/advance", {"by": "P1M"})["counts"]
    assert counts["subscription.renewed"] == 1


def test_dead_letters_listed_and_sent_back(local: Local) -> None:
    sqs, dead = local.aws["sqs"], local.queue("WebhookDeadLetterQueue")
    body = {"id": "evt_1", "kind": "payment_intent.succeeded", "created": "2026-11-20T12:00:00+00:00",
            "reference": "pi_1", "env": "live", "customer_id": "cus_nobody"}  # fmt: skip
    sqs.send_message(QueueUrl=dead, MessageBody=json.dumps(body))
    sqs.send_message(QueueUrl=dead, MessageBody="{canary")
    for _ in range(2):
        status, said = local.ops("redrive")
        assert status == 0
        assert "webhook: 2 dead letters" in said
        assert "Nothing was moved. To send 1 back" in said
    status, said = local.ops("redrive", "--queue", "webhook", "--yes")
    assert (status, "1 sent back to WebhookQueue, 1 stay" in said) == (1, True), said
    assert "canary" not in said


def until_well(local: Local) -> tuple[int, str]:
    """The projector is moments behind."""
    for _ in range(10):
        status, said = local.ops("doctor")
        if status == 0:
            break
    return status, said


def item_of(local: Local, id_: str) -> Any:
    pages = local.aws["dynamodb"].scan(TableName=NAME_PREFIX + "BillingTable")["Items"]
    (found,) = [
        {"pk": each["pk"], "sk": each["sk"]}
        for each in pages
        if each["sk"]["S"].startswith("0S#") and id_.endswith(each["sk"]["S"][3:])
    ]
    return found
