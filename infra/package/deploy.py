"""Deploys a packaged stage with the AWS CLI, after looking for everything that would fail half-way."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.adapters.stripe.events import EVENT_TYPES
from infra.package.build import CannotPackage

SECRETS = ("stripe_secret_key", "stripe_webhook_secrets", "key_pepper")
PARAMETERS = {
    "PUBLIC_URL": "PublicUrl",
    "MAIL_FROM": "MailFrom",
    "ALLOWED_ORIGINS": "AllowedOrigins",
    "ALARM_EMAIL": "AlarmEmail",
    "ADDRESS_LIMIT": "AddressLimit",
    "SIGNUP_LIMIT": "SignupLimit",
    "VISITORS_LIMIT": "VisitorsLimit",
    "FAILURES_LIMIT": "FailuresLimit",
    "RETURNS_LIMIT": "ReturnsLimit",
    "WRITES_LIMIT": "WritesLimit",
    "KEY_WRITES_LIMIT": "KeyWritesLimit",
    "DECLINED_ATTEMPT_WEIGHT": "DeclinedAttemptWeight",
    "CAPTCHA_PROVIDER": "CaptchaProvider",
    "CAPTCHA_SITE_KEY": "CaptchaSiteKey",
}
"""Variable of make → parameter of the stack. One that is not given keeps the stack's value, or the default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where to deploy to: `bucket` takes the zip, `parameters` are those of the stack that were given."""

    stage: str
    bucket: str
    parameters: Mapping[str, str]

    @classmethod
    def from_environment(cls, stage: str, environment: Mapping[str, str]) -> Settings:
        """CannotPackage when BUCKET is not set."""
        bucket = environment.get("BUCKET", "")
        if not bucket:
            raise CannotPackage("an S3 bucket is needed for the zip: make deploy BUCKET=your-bucket")
        given = {
            name: environment[variable] for variable, name in PARAMETERS.items() if environment.get(variable)
        }
        return cls(stage=stage, bucket=bucket, parameters=given)


class Cli:
    """The AWS CLI, with the credentials and region it finds for itself."""

    def run(self, *arguments: str) -> str:
        """Standard output. CannotPackage with the last line of the CLI's complaint when it fails."""
        if shutil.which("aws") is None:
            raise CannotPackage("the AWS CLI is needed: https://docs.aws.amazon.com/cli/")
        run = subprocess.run(["aws", *arguments], capture_output=True, text=True, check=False)
        if run.returncode:
            lines = (run.stderr or run.stdout).strip().splitlines() or ["no reason given"]
            raise CannotPackage(f"aws {' '.join(arguments[:2])}: {lines[-1]}")
        return run.stdout

    def outputs(self, stage: str) -> dict[str, str]:
        """The stack's outputs by name."""
        stacks = self.run(
            "cloudformation", "describe-stacks", "--stack-name", stack_name(stage), "--output", "json"
        )
        return {
            output["OutputKey"]: output["OutputValue"]
            for output in json.loads(stacks)["Stacks"][0].get("Outputs", [])
        }


def stack_name(stage: str) -> str:
    return f"perennial-{stage}"


def deploy(settings: Settings, cli: Any, build: Callable[[], None]) -> None:
    """Check, build, upload, create or update the stack, print its outputs. Safe to repeat.

    The API's own address is known only once it exists: where no PUBLIC_URL was ever given, the stack is updated
    a second time with it.
    """
    check(settings, cli)
    build()
    folder = Path("build") / settings.stage
    uploaded = folder / "uploaded.json"
    cli.run(
        "cloudformation", "package", "--template-file", str(folder / "sam.json"), "--use-json",
        "--s3-bucket", settings.bucket, "--s3-prefix", stack_name(settings.stage),
        "--output-template-file", str(uploaded),
    )  # fmt: skip
    _update(settings, cli, uploaded, settings.parameters)
    outputs = cli.outputs(settings.stage)
    if outputs.get("PublicUrl", "").endswith("not-set.invalid"):
        address = outputs["EndpointURL"].rstrip("/")
        _update(settings, cli, uploaded, {**settings.parameters, "PublicUrl": address})
        outputs = cli.outputs(settings.stage)
    for name, value in sorted(outputs.items()):
        print(f"{name:20}{value}")
    print(f"Point Stripe's webhook at {outputs['EndpointURL'].rstrip('/')}/v1/webhooks/stripe, with the events")
    print("\n".join(f"  {kind}" for kind in EVENT_TYPES))
    print(f"Then, once: make bootstrap STAGE={settings.stage}")


def check(settings: Settings, cli: Any) -> None:
    """CannotPackage when there are no credentials, no such bucket, or a secret is missing. Reads no secret."""
    try:
        cli.run("sts", "get-caller-identity")
    except CannotPackage as trouble:
        raise CannotPackage(f"no valid AWS credentials or no region ({trouble})") from None
    cli.run("s3api", "head-bucket", "--bucket", settings.bucket)
    wanted = (*SECRETS, "captcha_secret") if settings.parameters.get("CaptchaProvider") else SECRETS
    names = [f"/perennial/{settings.stage}/{name}" for name in wanted]
    filters = f"Key=Name,Option=Equals,Values={','.join(names)}"
    found = cli.run("ssm", "describe-parameters", "--output", "json", "--parameter-filters", filters)
    kinds = {parameter["Name"]: parameter["Type"] for parameter in json.loads(found)["Parameters"]}
    missing = [name for name in names if kinds.get(name) != "SecureString"]
    if missing:
        raise CannotPackage(
            f"not in Parameter Store as SecureString: {', '.join(missing)} (aws ssm put-parameter"
            " --type SecureString --name … --value …)"
        )


def _update(settings: Settings, cli: Any, template: Path, parameters: Mapping[str, str]) -> None:
    given = [f"{name}={value}" for name, value in {"Stage": settings.stage, **parameters}.items()]
    cli.run(
        "cloudformation", "deploy", "--template-file", str(template),
        "--stack-name", stack_name(settings.stage), "--s3-bucket", settings.bucket,
        "--s3-prefix", stack_name(settings.stage), "--capabilities", "CAPABILITY_IAM",
        "--no-fail-on-empty-changeset", "--parameter-overrides", *given,
    )  # fmt: skip
