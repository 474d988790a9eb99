"""infra/resources.json: what it promises, and that engines get exactly what it says."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from chalice.utils import to_cfn_resource_name
from moto import mock_aws

from chalicelib.adapters import aws
from chalicelib.adapters.documents import OPTIONS, S3Shelf
from infra.local.engine import running_emulator
from infra.local.functions import QueueFunction, StreamFunction, functions_of
from infra.local.resources import (
    client,
    create_buckets,
    create_queues,
    create_tables,
    load_resources,
    of_type,
)

RESOURCES = load_resources()
TABLES = of_type(RESOURCES, "AWS::DynamoDB::Table")
QUEUES = of_type(RESOURCES, "AWS::SQS::Queue")
ALARMS = of_type(RESOURCES, "AWS::CloudWatch::Alarm")
WORK_QUEUES = sorted(name for name in QUEUES if "DeadLetter" not in name)
DEAD_LETTER_QUEUES = sorted(name for name in QUEUES if "DeadLetter" in name)
FOURTEEN_DAYS = 14 * 24 * 3600


def test_the_queues_are_the_ones_we_know() -> None:
    assert WORK_QUEUES == ["ClockQueue", "DueQueue", "MailQueue", "WebhookQueue"]
    assert len(DEAD_LETTER_QUEUES) == len(WORK_QUEUES) + 1  # and the stream's


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_a_failing_message_ends_in_a_dead_letter_queue_of_its_own(name: str) -> None:
    redrive = QUEUES[name]["RedrivePolicy"]
    target, attribute = redrive["deadLetterTargetArn"]["Fn::GetAtt"]
    assert (target, attribute) == (name.replace("Queue", "DeadLetterQueue"), "Arn")
    assert redrive["maxReceiveCount"] == 5
    assert QUEUES[target]["MessageRetentionPeriod"] == FOURTEEN_DAYS
    assert (
        QUEUES[name]["MessageRetentionPeriod"] < FOURTEEN_DAYS
    )  # its age counts on in the dead-letter queue


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_a_message_stays_hidden_for_six_times_the_function(name: str) -> None:
    timeout = RESOURCES[name]["Metadata"]["FunctionTimeout"]
    assert timeout == {"ClockQueue": 300, "DueQueue": 60, "MailQueue": 30, "WebhookQueue": 60}[name]
    assert QUEUES[name]["VisibilityTimeout"] >= 6 * timeout


@pytest.mark.parametrize("name", sorted(QUEUES))
def test_queues_are_encrypted_and_named_by_cloudformation(name: str) -> None:
    assert QUEUES[name]["SqsManagedSseEnabled"] is True
    assert "QueueName" not in QUEUES[name]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_tables_survive_and_can_be_taken_back_in_time(name: str) -> None:
    table = TABLES[name]
    assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
    assert "TableName" not in table


def test_documents_are_private_encrypted_and_forgotten() -> None:
    (bucket,) = of_type(RESOURCES, "AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 30)
    assert "Prefix" not in rule
    assert "VersioningConfiguration" not in bucket  # a version would outlive what was forgotten
    assert "BucketName" not in bucket
    assert RESOURCES["DocumentsBucket"]["DeletionPolicy"] == "Retain"


def test_documents_travel_encrypted() -> None:
    (policy,) = of_type(RESOURCES, "AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2


def test_what_is_reacted_to_streams_and_only_the_ops_table_forgets() -> None:
    assert TABLES["BillingTable"]["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert TABLES["UsageTable"]["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert "TimeToLiveSpecification" not in TABLES["UsageTable"]
    assert "TimeToLiveSpecification" not in TABLES["BillingTable"]
    assert TABLES["OpsTable"]["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert "StreamSpecification" not in TABLES["OpsTable"]


def _alarms(metric: str) -> dict[str, dict[str, Any]]:
    """Alarms on a metric by the logical id that their one dimension points at."""
    found = {}
    for alarm in ALARMS.values():
        if alarm.get("MetricName") == metric:
            ((_, value),) = alarm["Dimensions"][0]["Value"].items()
            found[value if isinstance(value, str) else value[0]] = dict(alarm)
    return found


def test_every_dead_letter_queue_alarms_at_its_first_message() -> None:
    alarms = _alarms("ApproximateNumberOfMessagesVisible")
    assert sorted(alarms) == DEAD_LETTER_QUEUES
    assert {alarm["Threshold"] for alarm in alarms.values()} == {1}


def test_every_work_queue_alarms_when_it_falls_behind() -> None:
    alarms = _alarms("ApproximateAgeOfOldestMessage")
    assert sorted(alarms) == WORK_QUEUES
    assert all(alarm["Threshold"] <= 3600 for alarm in alarms.values())


def test_streams_alarm_at_an_hour_of_lag() -> None:
    assert {alarm["Threshold"] for alarm in _alarms("IteratorAge").values()} == {3600 * 1000}


def test_the_template_and_the_application_speak_of_the_same_things() -> None:
    """Every queue has its function and every function its queue; the stream's alarm watches its reader."""
    from app import app

    functions = functions_of(app)
    assert sorted(each.queue for each in functions if isinstance(each, QueueFunction)) == WORK_QUEUES
    readers = [each for each in functions if isinstance(each, StreamFunction)]
    assert sorted(each.table for each in readers) == ["BillingTable", "UsageTable"]
    assert sorted(_alarms("IteratorAge")) == sorted(to_cfn_resource_name(each.name) for each in readers)


def test_alarms_reach_the_topic_and_a_quiet_queue_is_no_alarm() -> None:
    """Only what is written down every minute or hour is missed when it does not come: its job is not running."""
    regular = {"DueLagSeconds", "ReconcileLagSeconds"}
    for alarm in ALARMS.values():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        quiet = "breaching" if alarm.get("MetricName") in regular else "notBreaching"
        assert alarm["TreatMissingData"] == quiet
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


@pytest.fixture(scope="module", params=["moto", pytest.param("ministack", marks=pytest.mark.engine)])
def engine(request: Any, tmp_path_factory: Any) -> Iterator[dict[str, Any]]:
    """Clients of one engine, in which everything was created twice."""
    if request.param == "moto":
        with mock_aws():
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
            yield _created({name: boto3.client(name, **keys) for name in ("dynamodb", "s3", "sqs")})
    else:
        with running_emulator(tmp_path_factory.mktemp("state"), free_port()) as url:
            yield _created({name: client(name, url) for name in ("dynamodb", "s3", "sqs")})


def _created(clients: dict[str, Any]) -> dict[str, Any]:
    tables, queues = create_tables(clients["dynamodb"]), create_queues(clients["sqs"])
    assert create_tables(clients["dynamodb"]) == tables
    assert create_queues(clients["sqs"]) == queues
    buckets = create_buckets(clients["s3"])
    assert create_buckets(clients["s3"]) == buckets == {"DocumentsBucket": "perennial-documentsbucket"}
    return clients | {"tables": tables, "queues": queues, "buckets": buckets}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_created_table_is_the_one_in_the_template(engine: dict[str, Any], name: str) -> None:
    dynamodb, template = engine["dynamodb"], TABLES[name]
    table = dynamodb.describe_table(TableName=engine["tables"][name])["Table"]
    assert table["KeySchema"] == template["KeySchema"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert _sorted(table["AttributeDefinitions"]) == _sorted(template["AttributeDefinitions"])
    created = [
        {key: index[key] for key in ("IndexName", "KeySchema", "Projection")}
        for index in table.get("GlobalSecondaryIndexes", [])
    ]
    assert _sorted(created) == _sorted(template.get("GlobalSecondaryIndexes", []))
    stream = template.get("StreamSpecification")
    assert table.get("StreamSpecification") == (stream and {"StreamEnabled": True, **stream})
    _assert_expiry_and_recovery(dynamodb, engine["tables"][name], template)


def _assert_expiry_and_recovery(dynamodb: Any, table: str, template: Any) -> None:
    expiry = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    wanted = template.get("TimeToLiveSpecification", {}).get("AttributeName")
    assert (expiry["TimeToLiveStatus"], expiry.get("AttributeName")) == (
        "ENABLED" if wanted else "DISABLED",
        wanted,
    )
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.parametrize("name", sorted(QUEUES))
def test_a_created_queue_is_the_one_in_the_template(engine: dict[str, Any], name: str) -> None:
    sqs, template = engine["sqs"], QUEUES[name]
    answer = sqs.get_queue_attributes(QueueUrl=engine["queues"][name], AttributeNames=["All"])
    created = answer["Attributes"]
    assert int(created["MessageRetentionPeriod"]) == template["MessageRetentionPeriod"]
    assert created["VisibilityTimeout"] == str(template.get("VisibilityTimeout", 30))
    assert ("RedrivePolicy" in created) == ("RedrivePolicy" in template)
    if "RedrivePolicy" in template:
        redrive = json.loads(created["RedrivePolicy"])
        target = template["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        assert redrive["deadLetterTargetArn"].endswith(f":perennial-{target}")
        assert int(redrive["maxReceiveCount"]) == 5


def test_a_queue_made_from_an_older_template_takes_the_new_values(engine: dict[str, Any]) -> None:
    url = engine["queues"]["MailQueue"]
    engine["sqs"].set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    engine["sqs"].send_message(QueueUrl=url, MessageBody="kept")
    create_queues(engine["sqs"])
    attributes = engine["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == str(QUEUES["MailQueue"]["VisibilityTimeout"])
    assert attributes["ApproximateNumberOfMessages"] == "1"


def test_nothing_local_is_named_in_the_template() -> None:
    text = Path(__file__).resolve().parents[2].joinpath("infra/resources.json").read_text(encoding="utf-8")
    assert not re.search(r"127\.0\.0\.1|localhost|ministack|\d{12}", text)


def _sorted(items: Any) -> list[str]:
    return sorted(json.dumps(item, sort_keys=True) for item in items)


def test_a_document_is_kept_and_its_address_is_all_that_it_takes(engine: dict[str, Any]) -> None:
    """S3 in this engine as the application uses it: absent, put twice, there, and read without credentials."""
    shelf = S3Shelf(engine["s3"], engine["buckets"]["DocumentsBucket"])
    name = "live/cus_1/inv_1/digest.pdf"
    assert not shelf.has(name)
    for _ in range(2):
        shelf.put(name, b"%PDF-1.4 \xff", file_name="PER-0001.pdf")
    assert shelf.has(name)
    answer = requests.get(shelf.address(name), timeout=10)
    assert (answer.status_code, answer.content) == (200, b"%PDF-1.4 \xff")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == 'inline; filename="PER-0001.pdf"'


def test_an_address_is_short_lived_signed_and_regional() -> None:
    """As Lambda makes it: the newest signature, the bucket's own region, five minutes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }.items():
            patch.setenv(name, value)
        address = urlsplit(S3Shelf(aws.client("s3", **OPTIONS), "a-bucket").address("live/x.pdf"))
    query = parse_qs(address.query)
    assert (address.netloc, address.path) == ("a-bucket.s3.eu-central-1.amazonaws.com", "/live/x.pdf")
    assert (query["X-Amz-Algorithm"], query["X-Amz-Expires"]) == (["AWS4-HMAC-SHA256"], ["300"])


def test_a_refusal_to_look_is_taken_for_absent_and_trouble_is_not() -> None:
    """S3 says 403, not 404, to those who may not list the bucket."""
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(s3) as stub:
        for code, status in (("403", 403), ("404", 404), ("503", 503)):
            stub.add_client_error("head_object", code, http_status_code=status)
        shelf = S3Shelf(s3, "b")
        assert [shelf.has("x"), shelf.has("x")] == [False, False]
        with pytest.raises(ClientError):
            shelf.has("x")
