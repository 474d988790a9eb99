"""Creates the tables, queues and buckets of `infra/resources.json` in any engine that speaks AWS's API.

`infra/resources.json` is the only definition of them; this module translates its CloudFormation
properties into API calls. Creating is safe to repeat: what exists is kept as it is.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

RESOURCES_FILE = Path(__file__).resolve().parents[1] / "resources.json"
NAME_PREFIX = "perennial-"
REGION = "us-east-1"
DUMMY_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

Resources = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSecrets:
    """What Parameter Store holds in a deployed stage."""

    stripe_secret_key: str
    stripe_webhook_secrets: str
    key_pepper: str

    @classmethod
    def generate(cls) -> LocalSecrets:
        return cls(
            stripe_secret_key=f"sk_test_{secrets.token_hex(16)}",
            stripe_webhook_secrets=f"whsec_{secrets.token_hex(16)}",
            key_pepper=secrets.token_hex(32),
        )


def load_resources(path: Path = RESOURCES_FILE) -> Resources:
    """The template's resources by logical id."""
    resources: Resources = json.loads(path.read_text(encoding="utf-8"))["Resources"]
    return resources


def of_type(resources: Resources, kind: str) -> dict[str, Mapping[str, Any]]:
    """Properties by logical id of the resources of one CloudFormation type."""
    return {name: body.get("Properties", {}) for name, body in resources.items() if body["Type"] == kind}


def create_tables(
    dynamodb: Any, *, prefix: str = NAME_PREFIX, resources: Resources | None = None
) -> dict[str, str]:
    """Creates the tables with their indexes, stream, TTL and recovery; answers logical id → table name.

    Works against moto, ministack and Amazon's DynamoDB Local (which knows no point-in-time recovery).
    """
    names: dict[str, str] = {}
    for logical_id, properties in of_type(resources or load_resources(), "AWS::DynamoDB::Table").items():
        names[logical_id] = prefix + logical_id
        _create_table(dynamodb, names[logical_id], properties)
    return names


def create_queues(
    sqs: Any, *, prefix: str = NAME_PREFIX, resources: Resources | None = None
) -> dict[str, str]:
    """Creates the queues, dead-letter queues first; answers logical id → queue URL."""
    queues = of_type(resources or load_resources(), "AWS::SQS::Queue")
    urls: dict[str, str] = {}
    for logical_id, properties in sorted(queues.items(), key=lambda queue: "RedrivePolicy" in queue[1]):
        attributes = _queue_attributes(properties, sqs, urls)
        urls[logical_id] = _create_queue(sqs, prefix + logical_id, attributes)
    return urls


def create_buckets(
    s3: Any, *, prefix: str = NAME_PREFIX, resources: Resources | None = None
) -> dict[str, str]:
    """Creates the buckets; answers logical id → bucket name, which S3 wants in small letters."""
    names: dict[str, str] = {}
    for logical_id in of_type(resources or load_resources(), "AWS::S3::Bucket"):
        names[logical_id] = (prefix + logical_id).lower()
        try:
            s3.create_bucket(Bucket=names[logical_id])
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
    return names


def create_resources(
    endpoint: str,
    *,
    public_url: str,
    stripe_api_base: str,
    secrets: LocalSecrets,
    mail_from: str = "billing@perennial.test",
    prefix: str = NAME_PREFIX,
) -> dict[str, str]:
    """Creates everything that the application needs at one endpoint; answers the environment to run it with.

    Secrets already in Parameter Store are kept: keys handed out before a restart stay valid.
    """
    tables = create_tables(client("dynamodb", endpoint), prefix=prefix)
    queues = create_queues(client("sqs", endpoint), prefix=prefix)
    buckets = create_buckets(client("s3", endpoint), prefix=prefix)
    parameters = "/perennial/local/"
    _put_secrets(client("ssm", endpoint), parameters, secrets)
    _verify_sender(client("sesv2", endpoint), mail_from)
    return aws_environment(endpoint) | {
        "PERENNIAL_STAGE": "local",
        "PERENNIAL_BILLING_TABLE": tables["BillingTable"],
        "PERENNIAL_OPS_TABLE": tables["OpsTable"],
        "PERENNIAL_USAGE_TABLE": tables["UsageTable"],
        "PERENNIAL_DOCUMENTS_BUCKET": buckets["DocumentsBucket"],
        "PERENNIAL_DUE_QUEUE_URL": queues["DueQueue"],
        "PERENNIAL_WEBHOOK_QUEUE_URL": queues["WebhookQueue"],
        "PERENNIAL_MAIL_QUEUE_URL": queues["MailQueue"],
        "PERENNIAL_CLOCK_QUEUE_URL": queues["ClockQueue"],
        "PERENNIAL_PARAMETER_PREFIX": parameters,
        "PERENNIAL_PUBLIC_URL": public_url,
        "PERENNIAL_MAIL_FROM": mail_from,
        "PERENNIAL_STRIPE_API_BASE": stripe_api_base,
        "PERENNIAL_ALLOWED_ORIGINS": ",".join([public_url, public_url.replace("127.0.0.1", "localhost")]),
        "PERENNIAL_INDEX_SETTLE_SECONDS": "0",
        **_GENEROUS,
    }


_GENEROUS = {
    "PERENNIAL_ADDRESS_LIMIT": "600/6000",
    "PERENNIAL_SIGNUP_LIMIT": "600/6000",
    "PERENNIAL_VISITORS_LIMIT": "6000/60000",
    "PERENNIAL_FAILURES_LIMIT": "600/6000",
    "PERENNIAL_WRITES_LIMIT": "6000/60000",
    "PERENNIAL_KEY_WRITES_LIMIT": "6000/60000",
    "PERENNIAL_STRIPE_CALLS_PER_SECOND": "0",
}
"""One developer on one address stays below the limits; the stand-in for the processor has none, and a year in a
minute would meet them."""


def read_secrets(endpoint: str, parameters: str = "/perennial/local/") -> LocalSecrets | None:
    """The secrets of an earlier run, None on a fresh state."""
    answer = client("ssm", endpoint).get_parameters(
        Names=[parameters + name for name in LocalSecrets.__slots__], WithDecryption=True
    )
    found = {item["Name"].removeprefix(parameters): item["Value"] for item in answer["Parameters"]}
    return LocalSecrets(**found) if len(found) == len(LocalSecrets.__slots__) else None


def aws_environment(endpoint: str) -> dict[str, str]:
    """Points every AWS SDK at the endpoint, with credentials that are worth nothing elsewhere."""
    return DUMMY_CREDENTIALS | {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        # Today's botocore would put the account id into the host name of DynamoDB's streams.
        "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(service: str, endpoint: str, *, pool: int = 50) -> Any:
    """A client for one local endpoint, whatever the machine's own AWS configuration says."""
    os.environ.setdefault("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    return boto3.Session().client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=DUMMY_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=DUMMY_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(max_pool_connections=pool, connect_timeout=5, read_timeout=60),
    )


def _create_table(dynamodb: Any, name: str, properties: Mapping[str, Any]) -> None:
    request = {
        key: properties[key]
        for key in ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        if key in properties
    }
    if stream := properties.get("StreamSpecification"):
        request["StreamSpecification"] = {"StreamEnabled": True, **stream}
    if encryption := properties.get("SSESpecification"):
        request["SSESpecification"] = {"Enabled": encryption["SSEEnabled"], "SSEType": encryption["SSEType"]}
    try:
        dynamodb.create_table(TableName=name, **request)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
        return
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    _switch_on_expiry_and_recovery(dynamodb, name, properties)


def _switch_on_expiry_and_recovery(dynamodb: Any, name: str, properties: Mapping[str, Any]) -> None:
    if expiry := properties.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        try:
            dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
        except ClientError as error:  # Amazon's DynamoDB Local has no backups at all.
            if error.response["Error"]["Code"] != "UnknownOperationException":
                raise


def _queue_attributes(properties: Mapping[str, Any], sqs: Any, urls: Mapping[str, str]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for key, value in properties.items():
        if key == "RedrivePolicy":
            target = value["deadLetterTargetArn"]["Fn::GetAtt"][0]
            value = json.dumps({**value, "deadLetterTargetArn": queue_arn(sqs, urls[target])})
        attributes[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return attributes


def queue_arn(sqs: Any, url: str) -> str:
    """The ARN of an existing queue."""
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def _create_queue(sqs: Any, name: str, attributes: Mapping[str, str]) -> str:
    try:
        url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("QueueAlreadyExists", "QueueNameExists"):
            raise
        # The template changed since: the queue keeps its messages and takes the new values.
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url


def _put_secrets(ssm: Any, parameters: str, secrets: LocalSecrets) -> None:
    for name in LocalSecrets.__slots__:
        try:
            ssm.put_parameter(Name=parameters + name, Value=getattr(secrets, name), Type="SecureString")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterAlreadyExists":
                raise


def _verify_sender(ses: Any, address: str) -> None:
    try:
        ses.create_email_identity(EmailIdentity=address)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException":
            raise
