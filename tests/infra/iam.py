"""A small IAM: resolves a policy of .chalice/policies against engines in memory and judges recorded calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from infra.package.build import PROJECT
from infra.package.template import merge_template

ACCOUNT, REGION, STAGE = "123456789012", "us-east-1", "dev"
MAIL_FROM = "billing@example.com"
POLICIES = PROJECT / ".chalice" / "policies"


@dataclass(frozen=True)
class Call:
    """One action on one resource, as IAM sees it."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass
class Stack:
    """Physical names (queues: URLs) by logical id, and CloudFormation's functions over them."""

    names: Mapping[str, str]

    def arn(self, logical: str) -> str:
        name = self.names[logical]
        if name.startswith("http"):
            return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name.rpartition('/')[2]}"
        if logical.endswith("Bucket"):
            return f"arn:aws:s3:::{name}"
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.resolve(each) for each in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"Ref"}:
            return self._known(value["Ref"])
        if value.keys() == {"Fn::GetAtt"}:
            logical, attribute = value["Fn::GetAtt"]
            return self.arn(logical) + ("/stream/now" if attribute == "StreamArn" else "")
        if value.keys() == {"Fn::Sub"}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: self._known(found[1]), value["Fn::Sub"])
        return {name: self.resolve(each) for name, each in value.items()}

    def _known(self, name: str) -> str:
        if name.endswith(".Arn"):
            return self.arn(name.removesuffix(".Arn"))
        fixed = {
            "Stage": STAGE, "MailFrom": MAIL_FROM, "PublicUrl": "https://perennial.test", "AllowedOrigins": "",
            "AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": "perennial",
        }  # fmt: skip
        if name in fixed or name in self.names:
            return fixed.get(name) or self.names.get(name, "")
        return str(merge_template(STAGE)["Parameters"][name]["Default"])

    def statements(self, function: str) -> list[dict[str, Any]]:
        document = json.loads((POLICIES / f"{function}.json").read_text(encoding="utf-8"))
        statements: list[dict[str, Any]] = self.resolve(document)["Statement"]
        return statements


def allows(statements: Iterable[Mapping[str, Any]], call: Call) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and any(fnmatchcase(call.action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatchcase(call.resource, pattern) for pattern in as_list(statement["Resource"]))
        and all(
            call.context.get(key) in as_list(wanted)
            for key, wanted in statement.get("Condition", {}).get("StringEquals", {}).items()
        )
        for statement in statements
    )


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def calls_of(service: str, operation: str, params: Mapping[str, Any]) -> list[Call]:
    """What IAM checks for one API call. A call that is not known here is an error: say what it needs."""
    if service == "dynamodb":
        return _dynamodb(operation, params)
    if service == "sqs":
        action = "SendMessage" if operation == "SendMessageBatch" else operation
        queue = params["QueueUrl"].rpartition("/")[2]
        return [Call(f"sqs:{action}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")]
    if (service, operation) == ("ssm", "GetParameter"):
        return [Call("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{params['Name']}")]
    if (service, operation) == ("sesv2", "SendEmail"):
        sender = params["FromEmailAddress"]
        arn = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/{sender}"
        return [Call("ses:SendEmail", arn, {"ses:FromAddress": sender})]
    if service == "s3":
        action = operation.replace("HeadObject", "GetObject")
        return [Call(f"s3:{action}", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}")]
    raise AssertionError(f"nobody said what {service}:{operation} needs")


def _dynamodb(operation: str, params: Mapping[str, Any]) -> list[Call]:
    def call(action: str, table: str, index: str | None = None) -> Call:
        path = f"table/{table}" + (f"/index/{index}" if index else "")
        return Call(f"dynamodb:{action}", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:{path}")

    if operation == "TransactWriteItems":
        names = {
            "Put": "PutItem",
            "Delete": "DeleteItem",
            "Update": "UpdateItem",
            "ConditionCheck": "ConditionCheckItem",
        }
        actions = [pair for item in params["TransactItems"] for pair in item.items()]
        return [call(names[kind], action["TableName"]) for kind, action in actions]
    if operation == "BatchGetItem":
        return [call(operation, table) for table in params["RequestItems"]]
    return [call(operation, params["TableName"], params.get("IndexName"))]
