"""Which installation a command acts on: the local system that runs now, or a deployed stage."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.composition import Services
from chalicelib.settings import Settings
from infra.local.engine import LOOPBACK, emulator_url
from infra.local.resources import NAME_PREFIX, aws_environment, client, load_resources, of_type
from infra.package.deploy import stack_name

_RESOURCE = re.compile(r"(\w+_(?:table|queue))(?:_url)?")
"""Settings that name a resource: `due_queue_url` is the template's DueQueue, `ops_table` its OpsTable."""


class NoTargetError(Exception):
    """There is nothing to act on; the message is one line for the terminal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """`queues` are URLs by logical id, dead-letter queues included. `again` is what `make` was told to find it."""

    name: str
    again: str
    services: Services
    sqs: Any
    queues: Mapping[str, str]


def local(state: Path) -> Target:
    """The system that `make run` keeps in `state`; NoTargetError unless it is running."""
    url = _address(state)
    port = int(url.rpartition(":")[2])
    endpoint = emulator_url(port + 2)
    if not _answers(f"{url}/v1/health") or not _answers(f"{endpoint}/_ministack/health"):
        raise NoTargetError(f"nothing runs on {state}: make run STATE={state} in another terminal")
    os.environ.update(aws_environment(endpoint))
    sqs = client("sqs", endpoint)
    tables = {name: NAME_PREFIX + name for name in of_type(load_resources(), "AWS::DynamoDB::Table")}
    queues = {
        name: sqs.get_queue_url(QueueName=NAME_PREFIX + name)["QueueUrl"]
        for name in of_type(load_resources(), "AWS::SQS::Queue")
    }
    settings = Settings(
        stage="local",
        parameter_prefix="/perennial/local/",
        public_url=url,
        stripe_api_base=f"http://{LOOPBACK}:{port + 1}",
        stripe_calls_per_second=0,
        **_named({**tables, **queues}),
    )
    return Target(
        name=f"the local system in {state}",
        again=f"STATE={state}",
        services=Services(settings=settings),
        sqs=sqs,
        queues=queues,
    )


def deployed(stage: str, session: Any = None) -> Target:
    """A deployed stage, by its stack, with the operator's own AWS credentials and region."""
    import boto3

    session = session or boto3.Session()
    names, outputs = _stack(session, stage)
    settings = Settings(
        stage=stage,
        parameter_prefix=f"/perennial/{stage}",
        public_url=outputs["PublicUrl"],
        **_named(names),
    )
    return Target(
        name=f"stage {stage}",
        again=f"STAGE={stage}",
        services=Services(settings=settings),
        sqs=session.client("sqs"),
        queues={name: names[name] for name in of_type(load_resources(), "AWS::SQS::Queue")},
    )


def _stack(session: Any, stage: str) -> tuple[dict[str, str], dict[str, str]]:
    """What CloudFormation called the stage's resources, by logical id, and the stack's outputs."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client_ = session.client("cloudformation")
        (described,) = client_.describe_stacks(StackName=stack_name(stage))["Stacks"]
        names = {
            each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
            for page in client_.get_paginator("list_stack_resources").paginate(StackName=stack_name(stage))
            for each in page["StackResourceSummaries"]
        }
    except (BotoCoreError, ClientError) as error:
        raise NoTargetError(f"stage {stage} cannot be read: {error}") from None
    missing = [name for name in of_type(load_resources(), "AWS::SQS::Queue") if name not in names]
    if missing:
        raise NoTargetError(f"stage {stage} is older than this checkout: it has no {', '.join(missing)}")
    return names, {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}


def _named(names: Mapping[str, str]) -> dict[str, Any]:
    """The settings that name a resource, from names by logical id."""
    found = {field: _RESOURCE.fullmatch(field) for field in Settings.model_fields}
    logical = {field: match[1].title().replace("_", "") for field, match in found.items() if match}
    return {field: names[name] for field, name in logical.items() if name in names}


def _address(state: Path) -> str:
    try:
        text = (state / "env").read_text(encoding="utf-8")
    except OSError:
        raise NoTargetError(
            f"{state} holds no local system: make run STATE={state}, or name a STAGE"
        ) from None
    found = re.search(r"^export URL=(http://\S+:\d+)$", text, re.MULTILINE)
    if found is None:
        raise NoTargetError(f"{state}/env names no address: start make run STATE={state} again")
    return found[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
