"""The packaged template: what AWS would be asked for."""

from __future__ import annotations

import copy
import json
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import lint
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib.composition import Services
from chalicelib.entrypoints import metrics
from chalicelib.entrypoints.metrics import Metric, emit
from chalicelib.settings import Settings
from infra.package.contents import AWS_SERVICES, TOOLS
from infra.package.template import Overlap, merge_template
from tests.infra.packaged import Packaged, packaged

ENTRYPOINTS = Path(metrics.__file__).parent
LIMIT_MEGABYTES = 35
AARCH64 = 183
QUEUE_OF = {
    "WorkDue": "DueQueue",
    "ApplyNotices": "WebhookQueue",
    "SendMail": "MailQueue",
    "AdvanceClock": "ClockQueue",
}
LIMITS = {
    "APIHandler": (29, 1024),
    "Tick": (60, 256),
    "WorkDue": (60, 1024),
    "ApplyNotices": (60, 512),
    "ProjectJournal": (60, 512),
    "FoldUsage": (60, 512),
    "SendMail": (30, 512),
    "AdvanceClock": (300, 1024),
    "Reconcile": (300, 512),
}
"""Seconds and megabytes, as .chalice/config.json states them."""


@pytest.fixture(scope="module")
def package() -> Packaged:
    return packaged()


def event_source(package: Packaged, function: str) -> dict[str, Any]:
    (source,) = package.functions[function]["Events"].values()
    return source["Properties"]


def attribute(name: str, of: str = "Arn") -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, of]}


def walk(value: Any) -> Iterator[Any]:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from walk(child)


def test_the_functions_are_the_ones_we_know(package: Packaged) -> None:
    assert package.functions.keys() == LIMITS.keys()


@pytest.mark.parametrize("function", LIMITS)
def test_every_function_states_its_limits(package: Packaged, function: str) -> None:
    properties = package.functions[function]
    assert (properties["Timeout"], properties["MemorySize"]) == LIMITS[function]
    assert properties["Architectures"] == ["arm64"]


def test_limits_are_stated_in_the_configuration_and_not_defaults() -> None:
    from infra.package.build import PROJECT

    config = json.loads((PROJECT / ".chalice/config.json").read_text(encoding="utf-8"))
    assert len(config["lambda_functions"]) == len(LIMITS)
    for function in config["lambda_functions"].values():
        assert function.keys() == {"iam_policy_file", "lambda_memory_size", "lambda_timeout"}
    assert config["autogen_policy"] is False
    assert {"dev", "live", "prod"} == config["stages"].keys()
    assert not any(config["stages"].values()), "stages differ in parameters only"


@pytest.mark.parametrize("function", QUEUE_OF)
def test_queues_take_back_single_messages(package: Packaged, function: str) -> None:
    source = event_source(package, function)
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["Queue"] == attribute(QUEUE_OF[function])


def test_every_queue_of_work_is_consumed_once(package: Packaged) -> None:
    sources = [
        event["Properties"]["Queue"]
        for function in package.functions.values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    work = [name for name in package.of_type("AWS::SQS::Queue") if "DeadLetter" not in name]
    assert sorted(source["Fn::GetAtt"][0] for source in sources) == sorted(work)


@pytest.mark.parametrize(
    ("function", "table"), [("ProjectJournal", "BillingTable"), ("FoldUsage", "UsageTable")]
)
def test_a_stream_isolates_and_sets_aside_what_fails(package: Packaged, function: str, table: str) -> None:
    source = event_source(package, function)
    assert source["Stream"] == attribute(table, "StreamArn")
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BisectBatchOnFunctionError"] is True
    assert source["MaximumRetryAttempts"] == 10
    assert source["DestinationConfig"]["OnFailure"]["Destination"] == attribute("StreamDeadLetterQueue")


def test_the_stream_is_filtered_to_what_the_projector_reads(package: Packaged) -> None:
    """Everything else would be an invocation for nothing; a journal entry must pass."""
    (given,) = event_source(package, "ProjectJournal")["FilterCriteria"]["Filters"]
    assert json.loads(given["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "L#"}]}}},
    }


@pytest.mark.parametrize(("function", "queue"), QUEUE_OF.items())
def test_a_message_stays_hidden_for_six_times_the_function(
    package: Packaged, function: str, queue: str
) -> None:
    source, timeout = event_source(package, function), package.functions[function]["Timeout"]
    window = source.get("MaximumBatchingWindowInSeconds", 0)
    assert package.of_type("AWS::SQS::Queue")[queue]["VisibilityTimeout"] >= 6 * timeout + window


@pytest.mark.parametrize("queue", QUEUE_OF.values())
def test_every_queue_has_its_dead_letters_and_their_alarm(package: Packaged, queue: str) -> None:
    redrive = package.of_type("AWS::SQS::Queue")[queue]["RedrivePolicy"]
    dead_letters = redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert dead_letters in package.of_type("AWS::SQS::Queue")
    watched = [
        alarm["Dimensions"][0]["Value"]
        for alarm in package.of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    ]
    assert attribute(dead_letters, "QueueName") in watched


def test_every_function_alarms_when_it_fails(package: Packaged) -> None:
    watched = [
        alarm["Dimensions"][0]["Value"]["Ref"]
        for alarm in package.of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "Errors"
    ]
    assert sorted(watched) == sorted(package.functions)


def watched_metrics(package: Packaged) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Namespace, name and dimensions of every metric that an alarm watches, on its own or in an expression."""
    for alarm in package.of_type("AWS::CloudWatch::Alarm").values():
        if "MetricName" in alarm:
            yield alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]
        for part in alarm.get("Metrics", []):
            if "MetricStat" in part:
                metric = part["MetricStat"]["Metric"]
                yield metric["Namespace"], metric["MetricName"], metric["Dimensions"]


def test_every_metric_of_ours_that_an_alarm_watches_is_written_so(
    package: Packaged, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, namespace and dimension, and the stage is the one that the functions are told."""
    services = Services(settings=Settings(stage="live"))
    emit(services, {metric: [1] for metric in Metric})
    (definition,) = json.loads(capsys.readouterr().out)["_aws"]["CloudWatchMetrics"]
    written = {metric["Name"] for metric in definition["Metrics"]}
    own = [each for each in watched_metrics(package) if "/" not in each[0]]
    assert {name for _, name, _ in own} == {
        "DueLagSeconds", "UnknownOutcomeSeconds", "ChargesFailed", "ChargesSucceeded", "ReconcileLagSeconds",
        "WebhookSignatureFailures",
    }  # fmt: skip
    for namespace, name, dimensions in own:
        assert namespace == definition["Namespace"]
        assert name in written
        assert definition["Dimensions"] == [[each["Name"] for each in dimensions]]
        assert [each["Value"] for each in dimensions] == [{"Ref": "Stage"}]
    told = package.template["Globals"]["Function"]["Environment"]["Variables"]
    assert told["PERENNIAL_STAGE"] == {"Ref": "Stage"}


def test_every_metric_is_written_somewhere() -> None:
    sources = [path.read_text(encoding="utf-8") for path in ENTRYPOINTS.rglob("*.py")]
    for metric in Metric:
        assert any(f"Metric.{metric.name}" in source for source in sources), metric


def test_every_metric_of_amazons_that_an_alarm_watches_exists(package: Packaged) -> None:
    known = {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ["QueueName"],
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"): ["QueueName"],
        ("AWS/Lambda", "Errors"): ["FunctionName"],
        ("AWS/Lambda", "Throttles"): ["FunctionName"],
        ("AWS/Lambda", "IteratorAge"): ["FunctionName"],
        ("AWS/ApiGateway", "5XXError"): ["ApiName", "Stage"],
    }
    theirs = [each for each in watched_metrics(package) if "/" in each[0]]
    assert {(namespace, name) for namespace, name, _ in theirs} == known.keys()
    for namespace, name, dimensions in theirs:
        assert [each["Name"] for each in dimensions] == known[namespace, name]
    throttled = [each[2][0]["Value"]["Ref"] for each in theirs if each[1] == "Throttles"]
    assert sorted(throttled) == sorted(package.functions)


def test_the_alarm_on_the_api_names_this_stage_s_api(package: Packaged) -> None:
    (api,) = package.of_type("AWS::Serverless::Api").values()
    ((_, _, dimensions),) = [each for each in watched_metrics(package) if each[1] == "5XXError"]
    assert [each["Value"] for each in dimensions] == [{"Ref": "AWS::StackName"}, api["StageName"]]
    assert api["Name"] == api["DefinitionBody"]["info"]["title"] == {"Ref": "AWS::StackName"}


def test_alarms_reach_somebody(package: Packaged) -> None:
    assert all(
        alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        for alarm in package.of_type("AWS::CloudWatch::Alarm").values()
    )
    (subscription,) = package.of_type("AWS::SNS::Subscription").values()
    assert subscription["TopicArn"] == {"Ref": "AlarmTopic"}


def test_tables_are_encrypted_and_can_be_taken_back_in_time(package: Packaged) -> None:
    tables = package.of_type("AWS::DynamoDB::Table")
    assert tables.keys() == {"BillingTable", "OpsTable", "UsageTable"}
    for table in tables.values():
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_logs_end_after_a_while_and_belong_to_their_functions(package: Packaged) -> None:
    groups = package.of_type("AWS::Logs::LogGroup").values()
    assert {group["RetentionInDays"] for group in groups} == {90}
    names = sorted(group["LogGroupName"]["Fn::Sub"] for group in groups)
    assert names == sorted(f"/aws/lambda/${{{function}}}" for function in package.functions)


def test_the_api_is_regional_and_throttled(package: Packaged) -> None:
    api = package.of_type("AWS::Serverless::Api")["RestAPI"]
    assert api["EndpointConfiguration"] == "REGIONAL"
    (settings,) = api["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"]


def test_no_placeholder_is_left(package: Packaged) -> None:
    for value in walk(package.template):
        if isinstance(value, str):
            assert not re.match(r"arn:aws:(sqs|dynamodb):::", value)


def test_secrets_are_named_and_never_given(package: Packaged) -> None:
    text = json.dumps(package.template)
    assert not re.search(r"\b(sk|rk|pk|whsec|prn)_(test|live|[A-Za-z0-9]{20})|AKIA[A-Z0-9]{16}", text)
    for name, parameter in package.template["Parameters"].items():
        assert not re.search(r"(?i)secret|pepper|password|token", name), parameter
    for name in variables(package):
        assert not re.search(r"(?i)secret|pepper|stripe|password|token", name)


def variables(package: Packaged) -> set[str]:
    shared = set(package.template["Globals"]["Function"]["Environment"]["Variables"])
    return shared.union(*(f.get("Environment", {}).get("Variables", {}) for f in package.functions.values()))


def test_every_variable_is_one_that_the_application_reads(package: Packaged) -> None:
    from chalicelib.settings import Settings

    assert variables(package) <= {f"PERENNIAL_{name.upper()}" for name in Settings.model_fields}


def test_debug_is_off() -> None:
    from app import app

    assert app.debug is False


def test_stages_differ_in_their_name_only() -> None:
    dev, live = merge_template("dev"), merge_template("live")
    assert dev["Parameters"]["Stage"].pop("Default") == "dev"
    assert live["Parameters"]["Stage"].pop("Default") == "live"
    assert dev == live


def test_a_thing_defined_twice_is_refused(tmp_path: Any) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text('{"Resources": {"Queue": {}}}', encoding="utf-8")
    with pytest.raises(Overlap, match=r"two: Resources: Queue"):
        merge_template("dev", (tmp_path / "one", tmp_path / "two"))


def test_expanded_it_has_no_errors(package: Packaged) -> None:
    """As CloudFormation expands it: cfn-lint sees little in the short form."""
    template = copy.deepcopy(package.template)
    for function in template["Resources"].values():
        if function["Type"] == "AWS::Serverless::Function":
            function["Properties"]["CodeUri"] = (
                "s3://a-bucket/package.zip"  # as `aws cloudformation package` does
            )
    session = boto3.Session(region_name="us-east-1")
    translator = Translator(managed_policy_map={}, sam_parser=Parser(), boto_session=session)
    expanded = translator.translate(template, parameter_values={})
    assert sum(body["Type"] == "AWS::Lambda::Function" for body in expanded["Resources"].values()) == len(
        LIMITS
    )
    findings = lint(json.dumps(expanded), regions=["us-east-1"])
    assert [finding for finding in findings if finding.rule.id.startswith("E")] == []


def test_the_zip_is_within_its_budget(package: Packaged) -> None:
    assert package.archive.stat().st_size < LIMIT_MEGABYTES * 1_000_000
    with zipfile.ZipFile(package.archive) as packed:
        assert sum(entry.file_size for entry in packed.infolist()) < 200_000_000, "Lambda unpacks 250 MB"


def test_the_zip_holds_the_application_and_nothing_local(package: Packaged) -> None:
    with zipfile.ZipFile(package.archive) as packed:
        names = packed.namelist()
    assert {"app.py", "chalice/app.py", "chalicelib/data/default_catalog.json"} <= set(names)
    rooms = {name.partition("/")[0] for name in names}
    assert not rooms & (TOOLS | {"infra", "tests", "moto", ".chalice"})
    services = {name.split("/")[2] for name in names if re.match(r"botocore/data/[^/]+/", name)}
    assert services == AWS_SERVICES
    assert "babel/locale-data/pt_BR.dat" in names
    assert not [name for name in names if name.endswith((".pyi", ".dist-info/METADATA"))]


def test_every_module_comes_with_bytecode_that_is_never_checked(package: Packaged) -> None:
    from importlib.util import MAGIC_NUMBER, cache_from_source

    with zipfile.ZipFile(package.archive) as packed:
        names = set(packed.namelist())
        sources = [name for name in names if name.endswith(".py")]
        assert len(sources) > 500
        for source in sources:
            compiled = packed.read(cache_from_source(source))
            assert compiled[:4] == MAGIC_NUMBER
            assert struct.unpack("<I", compiled[4:8]) == (0b01,), source  # hash-based, unchecked


def test_native_modules_are_for_lambda(package: Packaged) -> None:
    with zipfile.ZipFile(package.archive) as packed:
        libraries = [name for name in packed.namelist() if ".so" in name]
        assert any(name.startswith("pydantic_core/") for name in libraries)
        runtime = package.functions["APIHandler"]["Runtime"].removeprefix("python").replace(".", "")
        for name in libraries:
            assert struct.unpack("<H", packed.read(name)[18:20]) == (AARCH64,), name
            assert f"cpython-{runtime}-aarch64" in name or name.startswith("pillow.libs/")


def test_the_zip_carries_no_times_and_nothing_twice(package: Packaged) -> None:
    with zipfile.ZipFile(package.archive) as packed:
        entries = packed.infolist()
    assert len({entry.filename for entry in entries}) == len(entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
