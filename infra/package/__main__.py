"""`python -m infra.package build|deploy|bootstrap --stage dev`: what `make package`, `make deploy` and
`make bootstrap` run.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infra.package.build import CannotPackage, build_package


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, or 1 after one line that says what is missing."""
    options = _parse(arguments)
    try:
        if options.task == "build":
            _build(options.stage)
        else:
            _on_aws(options)
    except CannotPackage as trouble:
        print(f"perennial: {trouble}", file=sys.stderr)
        return 1
    return 0


def _build(stage: str) -> None:
    package = build_package(stage, Path("build") / stage)
    print(
        f"{package.template} and {package.archive} ({package.megabytes:.1f} MB) for Lambda's {package.runtime}"
    )


def _on_aws(options: argparse.Namespace) -> None:
    from infra.package.bootstrap import bootstrap
    from infra.package.deploy import Cli, Settings, deploy

    cli = Cli()
    if options.task == "bootstrap":
        bootstrap(options.stage, cli.outputs(options.stage), again=options.again)
        return
    settings = Settings.from_environment(options.stage, os.environ)
    deploy(settings, cli, lambda: _build(options.stage))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    for name, purpose in (
        ("build", "make build/<stage>/sam.json and deployment.zip"),
        ("deploy", "build, and deploy with the AWS CLI"),
        ("bootstrap", "make the live environment of a deployed stage, and its first keys"),
    ):
        task = tasks.add_parser(name, help=purpose)
        task.add_argument("--stage", default="dev")
        task.add_argument("--again", action="store_true", help="bootstrap: show the first keys once more")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
