"""`make deploy` and `make bootstrap`: what is missing is said in one line before anything is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib import composition
from chalicelib.adapters.memory import MemoryStore
from chalicelib.adapters.memory.ops import MemoryOps
from infra.package import __main__ as command
from infra.package.bootstrap import bootstrap
from infra.package.build import CannotPackage, build_package
from infra.package.deploy import SECRETS, Cli, Settings, deploy

URL = "https://abc.execute-api.us-east-1.amazonaws.com/api/"


class FakeCli:
    """An account: which secrets it has, what was asked of it, and a stack that remembers its parameters."""

    def __init__(self, *secrets: str, kind: str = "SecureString") -> None:
        self.secrets = [{"Name": f"/perennial/dev/{name}", "Type": kind} for name in secrets]
        self.asked: list[tuple[str, ...]] = []
        self.public_url = "https://not-set.invalid"

    def run(self, *arguments: str) -> str:
        self.asked.append(arguments)
        for argument in arguments:
            if argument.startswith("PublicUrl="):
                self.public_url = argument.partition("=")[2]
        return json.dumps({"Parameters": self.secrets})

    def outputs(self, stage: str) -> dict[str, str]:
        return {"EndpointURL": URL, "PublicUrl": self.public_url}

    @property
    def deployments(self) -> list[tuple[str, ...]]:
        return [each for each in self.asked if each[:2] == ("cloudformation", "deploy")]


def settings(**given: str) -> Settings:
    return Settings.from_environment("dev", {"BUCKET": "b", **given})


def test_a_bucket_is_asked_for() -> None:
    with pytest.raises(CannotPackage, match="BUCKET=your-bucket"):
        Settings.from_environment("dev", {})


@pytest.mark.parametrize("missing", SECRETS)
def test_a_missing_secret_stops_everything(missing: str) -> None:
    cli = FakeCli(*(name for name in SECRETS if name != missing))
    with pytest.raises(CannotPackage, match=f"/perennial/dev/{missing} "):
        deploy(settings(), cli, lambda: pytest.fail("nothing is built"))
    assert not cli.deployments


def test_a_secret_in_the_clear_does_not_count() -> None:
    with pytest.raises(CannotPackage, match="SecureString"):
        deploy(settings(), FakeCli(*SECRETS, kind="String"), lambda: None)


def test_missing_tools_and_credentials_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setenv("BUCKET", "b")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main(["deploy", "--stage", "dev"]) == 1
    assert "the AWS CLI is needed" in capsys.readouterr().err
    aws = tmp_path / "aws"
    aws.write_text(
        "#!/bin/sh\necho >&2; echo 'Unable to locate credentials.' >&2; exit 253\n", encoding="utf-8"
    )
    aws.chmod(0o755)
    assert command.main(["deploy", "--stage", "dev"]) == 1
    told = capsys.readouterr().err
    assert "no valid AWS credentials" in told
    assert "Unable to locate credentials" in told
    assert len(told.splitlines()) == 1
    with pytest.raises(CannotPackage, match="describe-stacks"):
        Cli().outputs("dev")


def test_the_first_deployment_learns_its_own_address(capsys: Any) -> None:
    cli = FakeCli(*SECRETS)
    deploy(settings(MAIL_FROM="billing@acme.example"), cli, lambda: None)
    first, second = cli.deployments
    assert "Stage=dev" in first
    assert "MailFrom=billing@acme.example" in first
    assert f"PublicUrl={URL.rstrip('/')}" in second
    assert "/api/v1/webhooks/stripe" in capsys.readouterr().out
    deploy(settings(), cli, lambda: None)
    assert len(cli.deployments) == 3


def test_a_given_address_needs_one_deployment() -> None:
    cli = FakeCli(*SECRETS)
    deploy(settings(PUBLIC_URL="https://billing.acme.example"), cli, lambda: None)
    assert len(cli.deployments) == 1


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotPackage, match="no stage 'nowhere'"):
        build_package("nowhere", tmp_path)


def test_bootstrap_shows_the_first_keys_once(capsys: Any) -> None:
    ports = composition.Services(store=MemoryStore(), ops=MemoryOps(), pepper=b"p" * 32, public_url=URL)
    bootstrap("dev", {}, ports=ports)
    shown = capsys.readouterr().out
    assert "prn_live_" in shown
    assert "prn_pub_" in shown
    with pytest.raises(CannotPackage, match="AGAIN=1"):
        bootstrap("dev", {}, ports=ports)
    bootstrap("dev", {}, again=True, ports=ports)
    assert capsys.readouterr().out == shown
