"""Policies: every function may do what it does on its main path, and little else.

Each function's real handler runs over AWS's API in memory with the settings of the template; what it asked of AWS
is recorded and judged by its own policy file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import boto3
import botocore.handlers
import pytest
from chalice.test import Client
from moto import mock_aws

from chalicelib import composition
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application.clock import start_advance
from chalicelib.application.environments import open_environment
from chalicelib.application.ports import Letter
from chalicelib.application.records import environment_key
from chalicelib.domain.environment import LIVE, advanced
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.meter import UsageEvent
from chalicelib.entrypoints.jobs import advance, due, mailer, notices, projector, reconciler, tick, usage
from chalicelib.settings import Settings
from infra.local.events import Context, queue_event, schedule_event, stream_event
from infra.local.resources import create_buckets, create_queues, create_tables
from infra.package.template import merge_template
from tests.infra.iam import MAIL_FROM, POLICIES, REGION, Call, Stack, allows, as_list, calls_of
from tests.infra.job_world import stream_record, usage_record
from tests.scenario.world import Parts, World

LOGICAL = {
    "api_handler": "APIHandler",
    "tick": "Tick",
    "work_due": "WorkDue",
    "apply_notices": "ApplyNotices",
    "project_journal": "ProjectJournal",
    "fold_usage": "FoldUsage",
    "send_mail": "SendMail",
    "advance_clock": "AdvanceClock",
    "reconcile": "Reconcile",
}
SECRETS = {"stripe_secret_key": "sk_test_x", "stripe_webhook_secrets": "whsec_x", "key_pepper": "p" * 64}
WIDE = {
    ("SecretsDecrypted", "key/*"): "only through Parameter Store, only for the secrets named beside it",
    ("Mail", "identity/*"): "only from the one sender; in SES's sandbox recipients are identities too",
    ("Logs", "-*:*"): "CloudFormation adds a random end to the function's name; the streams of one group",
    ("Streams", "/stream/*"): "a new stream of the one table has a new name",
    ("Documents", "/*"): "the documents in the one bucket",
}
"""Stars in resources, with the reason each is there."""


class Lambda(composition.Services):
    """The services as the application makes them, but for a payment processor in memory."""

    processor: MemoryGateway

    @cached_property
    def gateway(self) -> Any:
        self.secrets.get("stripe_secret_key")
        return Admitted(self.processor, self.admit)


class Admitted:
    """A processor that asks for leave before each call, as the client of the real one does."""

    def __init__(self, processor: MemoryGateway, admit: Callable[[str], None]) -> None:
        self._processor = processor
        self._admit = admit

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            self._admit("payment_intents")
            return getattr(self._processor, name)(*args, **named)

        return call


class Cloud:
    """Tables, queues and secrets in memory, the functions over them, and who asked AWS for what."""

    def __init__(self, names: dict[str, str]) -> None:
        self.stack = Stack(names)
        self.template = merge_template("dev")
        self.processor = MemoryGateway()
        self.calls: dict[str, set[Call]] = {function: set() for function in LOGICAL}
        self.running: str | None = None
        self.sqs = boto3.client("sqs", region_name=REGION)
        everything = {
            f"{kind}_queue_url": names[f"{kind.title()}Queue"] for kind in ("due", "webhook", "mail", "clock")
        }
        self.root = self.services(Settings(billing_table=names["BillingTable"], ops_table=names["OpsTable"],
                                           parameter_prefix="/perennial/dev", **everything))  # fmt: skip

    def record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.running is not None:
            found = calls_of(model.service_model.service_name, model.name, params)
            self.calls[self.running].update(found)

    def services(self, settings: Settings) -> Lambda:
        services = Lambda(settings=settings)
        services.processor = self.processor
        return services

    @contextmanager
    def function(self, name: str) -> Iterator[Lambda]:
        """Inside, the process is this function: with its variables alone, and recorded."""
        template = self.template
        given = template["Globals"]["Function"]["Environment"]["Variables"]
        own = template["Resources"][LOGICAL[name]]["Properties"].get("Environment", {}).get("Variables", {})
        variables = self.stack.resolve({**given, **own})
        fields = {key.removeprefix("PERENNIAL_").lower(): value for key, value in variables.items()}
        services = self.services(Settings(**fields, index_settle_seconds=0))
        with composition.use(services):
            self.running = name
            try:
                yield services
            finally:
                self.running = None

    def world(self, env: str, start: datetime) -> World:
        root = self.root
        parts = Parts(root.store, self.processor, root.queues, root.ops)
        return World(start=start.isoformat(), parts=parts, env=env, machine=datetime.now(UTC))

    def received(self, queue: str) -> dict[str, Any]:
        answer = self.sqs.receive_message(QueueUrl=self.stack.names[queue], MaxNumberOfMessages=10)
        assert answer.get("Messages"), f"nothing on {queue}"
        return queue_event(answer["Messages"], "arn")

    def consume(self, function: str, handler: Any, queue: str) -> None:
        event = self.received(queue)
        with self.function(function):
            assert handler(event, Context(function, 60)) == {"batchItemFailures": []}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            patch.setenv(name, value)
        seen: list[Cloud] = []

        def record(**call: Any) -> None:
            for each in seen:
                each.record(**call)

        recorder = ("before-parameter-build.*.*", record)
        patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, recorder])
        tables = create_tables(boto3.client("dynamodb", region_name=REGION))
        queues = create_queues(boto3.client("sqs", region_name=REGION))
        buckets = create_buckets(boto3.client("s3", region_name=REGION))
        for name, value in SECRETS.items():
            boto3.client("ssm", region_name=REGION).put_parameter(
                Name=f"/perennial/dev/{name}", Value=value, Type="SecureString"
            )
        boto3.client("sesv2", region_name=REGION).create_email_identity(EmailIdentity=MAIL_FROM)
        seen.append(Cloud(tables | queues | buckets))
        run_everything(seen[0])
        yield seen[0]


def run_everything(cloud: Cloud) -> None:
    """A customer's renewal in live, another's in a sandbox whose clock is moved, one left over in a third."""
    long_ago = datetime.now(UTC) - timedelta(days=40)
    live, moved, left = (cloud.world(env, long_ago) for env in (LIVE, "sbx_moved", "sbx_left"))
    customers = [world.customer("pm_card_visa") for world in (live, moved, left)]
    for world, customer in zip((live, moved, left), customers, strict=True):
        world.subscribe(customer, "starter", trial_days=0)
        cloud.root.ops.create("environments", world.env, {"name": "x", "created_at": long_ago.isoformat()})
    environment = cloud.root.store.get(environment_key("sbx_left"))
    assert environment is not None
    cloud.root.store.commit("sbx_left", advanced(environment, datetime.now(UTC)))
    start_advance(moved.ctx(), cloud.root.ops, long_ago + timedelta(days=40))

    with cloud.function("tick"):
        tick.tick(schedule_event("tick"), Context("tick", 60))
    cloud.consume("work_due", due.work_due, "DueQueue")
    cloud.consume("advance_clock", advance.advance_clock, "ClockQueue")
    with cloud.function("reconcile"):
        reconciler.reconcile(schedule_event("reconcile"), Context("reconcile", 300))
    assert cloud.received("DueQueue")["Records"], "what was left over in the third"

    entries = cloud.root.store.children(JournalEntry, LIVE, customers[0])
    event = stream_event([stream_record(LIVE, entry) for entry in entries], "arn")
    with cloud.function("project_journal"):
        assert projector.project_journal(event, Context("project_journal", 60)) == {"batchItemFailures": []}
    cloud.consume("send_mail", mailer.send_mail, "MailQueue")
    cloud.root.queues.mail([a_letter_with_a_link(live, customers[0])])
    cloud.consume("send_mail", mailer.send_mail, "MailQueue")

    used = UsageEvent(
        id="evt", customer_id=customers[0], name="api_calls", at=live.machine, recorded_at=live.machine
    )
    with cloud.function("fold_usage"):
        event = stream_event([usage_record(LIVE, used, 1)], "arn")
        assert usage.fold_usage(event, Context("fold_usage", 60)) == {"batchItemFailures": []}

    use_the_api(cloud)
    cloud.processor.dispute_opens(cloud.processor.charges()[0].reference)
    told, _ = cloud.processor.notices_since(long_ago - timedelta(days=1), None)
    assert told
    cloud.root.queues.notices(told)
    cloud.consume("apply_notices", notices.apply_notices, "WebhookQueue")


def a_letter_with_a_link(world: World, customer: str) -> Letter:
    """It asks to confirm a payment; that has been made meanwhile, so it is not sent."""
    (invoice, *_) = world.invoices(customer)
    data = {"invoice": invoice.id, "attempt": 1, "happened_at": invoice.issued_at.isoformat()}
    return Letter(id="evt_link", env=LIVE, customer_id=customer, template="payment_confirm", data=data)


def use_the_api(cloud: Cloud) -> None:
    """Requests that between them use every kind of access: each answers as it should."""
    from tests.infra.http_world import copy_of_app

    root = cloud.root
    sandbox = open_environment(
        root.store, root.keys, name="api", request_key="api", machine_now=datetime.now(UTC), catalog_of=LIVE
    )
    with cloud.function("api_handler"), Client(copy_of_app()) as client:

        def ask(method: str, path: str, body: Any = None, **headers: str) -> Any:
            headers = {
                "Authorization": f"Bearer {sandbox.secret_token}",
                "Idempotency-Key": path + str(body),
            } | headers
            raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            if raw:
                headers["Content-Type"] = "application/json"
            answer = client.http.request(method, path, headers=headers, body=raw)
            assert answer.status_code < 400, (method, path, answer.status_code, answer.body)
            return json.loads(answer.body) if answer.body else None

        customer = ask("POST", "/v1/customers", {"email": "a@example.com", "external_id": "one"})["id"]
        ask("PATCH", f"/v1/customers/{customer}", {"external_id": "two"})  # gives the first claim back
        ask("GET", "/v1/customers")
        order = {"customer": customer, "plan": "starter", "trial_days": 0, "payment_method": "pm_card_visa"}
        ask("POST", "/v1/subscriptions", order)
        (invoice,) = ask("GET", f"/v1/invoices?customer={customer}")["data"]
        ask("GET", f"/v1/invoices/{invoice['id']}/pdf")
        ask("POST", f"/v1/customers/{customer}/payment_methods", {"payment_method": "pm_card_visa"})
        ask("GET", "/v1/subscriptions")
        ask("GET", f"/v1/customers/{customer}/entitlements")
        ask("GET", "/v1/events")
        ask("GET", "/v1/plans")
        key = ask("POST", "/v1/api_keys", {"name": "x", "kind": "secret", "scopes": ["read"]})["id"]
        ask("GET", "/v1/api_keys")
        ask("DELETE", f"/v1/api_keys/{key}")
        ask("POST", "/v1/clock/advance", {"by": "P40D"})
        event = {
            "id": "evt_1",
            "object": "event",
            "type": "payment_intent.succeeded",
            "livemode": False,
            "created": int(time.time()),
            "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
        }
        payload = json.dumps(event).encode()
        now = int(time.time())
        mac = hmac.new(b"whsec_x", f"{now}.".encode() + payload, hashlib.sha256).hexdigest()
        ask("POST", "/v1/webhooks/stripe", payload, **{"Stripe-Signature": f"t={now},v1={mac}"})


@pytest.mark.parametrize("function", LOGICAL)
def test_everything_that_a_function_asks_for_is_allowed(cloud: Cloud, function: str) -> None:
    statements = cloud.stack.statements(function)
    assert cloud.calls[function], "it ran"
    assert [call for call in cloud.calls[function] if not allows(statements, call)] == []


BILLING, OPS = "table/perennial-BillingTable", "table/perennial-OpsTable"
UNREACHED = {
    ("api_handler", "sqs:SendMessage", "perennial-ClockQueue"): "an advance that outlives its request",
    ("api_handler", "ssm:GetParameter", "parameter/perennial/dev/captcha_secret"): "a captcha, if turned on",
    ("tick", "dynamodb:DeleteItem", OPS): "the mark of an advance that ended",
    ("work_due", "dynamodb:Query", BILLING): "the checkouts of a subscription to be released",
    ("advance_clock", "dynamodb:Query", BILLING): "the same, in a sandbox",
    ("reconcile", "dynamodb:Query", BILLING): "what apply_notices does",
    ("reconcile", "dynamodb:PutItem", BILLING): "what apply_notices does",
    ("send_mail", "dynamodb:GetItem", BILLING): "a sandbox's clock, the seller in a catalog",
    ("send_mail", "dynamodb:GetItem", OPS): "a letter that was claimed before",
    ("send_mail", "dynamodb:DeleteItem", OPS): "the claim on a letter that the mail service refused",
    ("project_journal", "sqs:SendMessage", "perennial-StreamDeadLetterQueue"): "Lambda, for what fails",
    ("fold_usage", "dynamodb:BatchGetItem", BILLING): "the claims of a meter that counts different values",
    ("fold_usage", "sqs:SendMessage", "perennial-StreamDeadLetterQueue"): "Lambda, for what fails",
    (
        "api_handler",
        "dynamodb:PartiQLInsert",
        "table/perennial-UsageTable",
    ): "live usage: moto has no such statement",
}
"""(function, action, end of the resource) that the main paths do not reach → what needs it."""


@pytest.mark.parametrize("function", LOGICAL)
def test_a_function_may_do_little_that_it_does_not_do(cloud: Cloud, function: str) -> None:
    """Every action of the application's own was used, or its use is named; what Lambda itself does is fixed."""
    of_lambda = {"Logs", "Consume", "Stream", "Streams", "SecretsDecrypted"}
    idle = {
        (function, action, resource.rpartition(":")[2])
        for statement in cloud.stack.statements(function)
        if statement["Sid"] not in of_lambda
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if not any(
            allows([{**statement, "Action": action, "Resource": resource}], call)
            for call in cloud.calls[function]
        )
    }
    assert idle == {each for each in UNREACHED if each[0] == function}


@pytest.mark.parametrize("function", LOGICAL)
def test_no_policy_is_wide(function: str) -> None:
    document = json.loads((POLICIES / f"{function}.json").read_text(encoding="utf-8"))
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert not any("*" in action for action in as_list(statement["Action"]))
        for resource in as_list(statement["Resource"]):
            text = json.dumps(resource).rstrip('"}')
            if "*" in text:
                assert any(statement["Sid"] == sid and text.endswith(end) for sid, end in WIDE), resource


@pytest.mark.parametrize("sid", ["SecretsDecrypted", "Mail"])
def test_what_is_wide_is_conditional(sid: str) -> None:
    found = [
        statement
        for function in LOGICAL
        for statement in json.loads((POLICIES / f"{function}.json").read_text(encoding="utf-8"))["Statement"]
        if statement["Sid"] == sid
    ]
    assert found
    assert all(statement["Condition"]["StringEquals"] for statement in found)


def test_no_function_sends_to_the_queue_it_consumes(cloud: Cloud) -> None:
    for function, calls in cloud.calls.items():
        statements = cloud.stack.statements(function)
        for logical in cloud.stack.names:
            if logical.endswith("Queue"):
                arn = cloud.stack.arn(logical)
                assert not (
                    allows(statements, Call("sqs:ReceiveMessage", arn))
                    and allows(statements, Call("sqs:SendMessage", arn))
                )
                consumed = allows(statements, Call("sqs:ReceiveMessage", arn))
                assert not (consumed and Call("sqs:SendMessage", arn) in calls)


def test_every_policy_file_belongs_to_a_function() -> None:
    assert {path.stem for path in POLICIES.glob("*.json")} == LOGICAL.keys()


def test_a_call_beyond_the_policy_is_noticed(cloud: Cloud) -> None:
    statements = cloud.stack.statements("tick")
    table = cloud.stack.arn("BillingTable")
    assert not allows(statements, Call("dynamodb:PutItem", table))
    assert not allows(statements, Call("dynamodb:Query", table))
    assert allows(statements, Call("dynamodb:Query", f"{table}/index/due"))
    sender = cloud.stack.statements("send_mail")
    identity = f"arn:aws:ses:{REGION}:123456789012:identity/other@example.com"
    assert not allows(sender, Call("ses:SendEmail", identity, {"ses:FromAddress": "other@example.com"}))
