"""What AWS is asked for, as far as it keeps strangers out: the gateway's own answers, keys at rest, switches."""

from __future__ import annotations

import copy
import json
from typing import Any

import boto3
import pytest
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib.entrypoints.http.problems import KINDS, MEDIA_TYPE
from chalicelib.settings import Settings
from infra.package.deploy import PARAMETERS
from tests.infra.packaged import Packaged, packaged

ANSWERS = {
    "MISSING_AUTHENTICATION_TOKEN": "not_found",
    "THROTTLED": "rate_limited",
    "REQUEST_TOO_LARGE": "body_too_large",
    "DEFAULT_5XX": "internal",
}
"""What API Gateway says by itself → the code that we would have answered with."""
LIMITS = {
    name for name in Settings.model_fields if name.endswith("_limit") or name.startswith("captcha_")
} | {"declined_attempt_weight"}


@pytest.fixture(scope="module")
def package() -> Packaged:
    return packaged()


@pytest.fixture(scope="module")
def expanded(package: Packaged) -> dict[str, Any]:
    """As CloudFormation sees it."""
    template = copy.deepcopy(package.template)
    for function in template["Resources"].values():
        if function["Type"] == "AWS::Serverless::Function":
            function["Properties"]["CodeUri"] = "s3://a-bucket/package.zip"
    session = boto3.Session(region_name="us-east-1")
    translated: dict[str, Any] = Translator(
        managed_policy_map={}, sam_parser=Parser(), boto_session=session
    ).translate(template, parameter_values={})
    return translated


def gateway_responses(expanded: dict[str, Any]) -> dict[str, Any]:
    (api,) = [each for each in expanded["Resources"].values() if each["Type"] == "AWS::ApiGateway::RestApi"]
    found: dict[str, Any] = api["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
    return found


@pytest.mark.parametrize(("kind", "code"), ANSWERS.items())
def test_the_gateways_own_answers_are_our_problems(expanded: dict[str, Any], kind: str, code: str) -> None:
    """An unknown address is 404 there too, and not `Missing Authentication Token`."""
    answer = gateway_responses(expanded)[kind]
    text = answer["responseTemplates"]["application/json"]["Fn::Sub"]
    problem = json.loads(
        text.replace("${PublicUrl}", "https://billing.test").replace("$context.requestId", "id-1")
    )
    assert int(answer["statusCode"]) == problem["status"] == KINDS[code].status
    assert (problem["code"], problem["title"]) == (code, KINDS[code].title)
    assert problem["type"] == f"https://billing.test/problems/{code}"
    assert problem["request_id"] == "id-1"
    headers = answer["responseParameters"]
    assert headers["gatewayresponse.header.Content-Type"] == f"'{MEDIA_TYPE}'"
    assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
    assert ("gatewayresponse.header.Retry-After" in headers) is (code == "rate_limited")


def test_all_of_them_are_known(expanded: dict[str, Any]) -> None:
    assert set(gateway_responses(expanded)) == set(ANSWERS)


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_every_limit_is_a_parameter_with_the_settings_default(package: Packaged, name: str) -> None:
    logical = "".join(part.title() for part in name.split("_"))
    parameter = package.template["Parameters"][logical]
    assert parameter["Default"] == Settings.model_fields[name].default
    variables = package.functions["APIHandler"]["Environment"]["Variables"]
    assert variables[f"PERENNIAL_{name.upper()}"] == {"Ref": logical}
    assert PARAMETERS[name.upper()] == logical


def test_queues_are_encrypted(package: Packaged) -> None:
    queues = package.of_type("AWS::SQS::Queue")
    assert queues
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


def test_the_api_logs_no_bodies(package: Packaged) -> None:
    """Execution logs would hold what people send, keys included."""
    api = package.of_type("AWS::Serverless::Api")["RestAPI"]
    assert not any("DataTraceEnabled" in each or "LoggingLevel" in each for each in api["MethodSettings"])
    assert not api.get("TracingEnabled")


def test_nothing_is_open_to_other_accounts(package: Packaged) -> None:
    kinds = {body["Type"] for body in package.template["Resources"].values()}
    assert not kinds & {"AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::Lambda::Url"}
    for bucket in package.of_type("AWS::S3::Bucket").values():
        assert list(bucket["PublicAccessBlockConfiguration"].values()) == [True] * 4
    for policy in package.of_type("AWS::S3::BucketPolicy").values():
        assert {each["Effect"] for each in policy["PolicyDocument"]["Statement"]} == {"Deny"}
    for permission in package.of_type("AWS::Lambda::Permission").values():
        assert permission["Principal"].endswith(".amazonaws.com")
        assert permission.get("SourceArn")


@pytest.mark.parametrize("role", ["sts:AssumeRole"])
def test_roles_are_lambdas_alone(package: Packaged, role: str) -> None:
    roles = package.of_type("AWS::IAM::Role")
    assert len(roles) == len(package.functions)
    for each in roles.values():
        (statement,) = each["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == role
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert not each.get("ManagedPolicyArns")
