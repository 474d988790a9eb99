"""Runs `chalice package` over a clean copy of what ships, and adds the libraries to what it made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.package.archive import pack
from infra.package.libraries import NoWheels, libraries
from infra.package.template import merge_template

PROJECT = Path(__file__).resolve().parents[2]
CACHE = PROJECT / "build" / "cache"
REQUIREMENTS = PROJECT / "requirements.txt"
CONFIG = PROJECT / ".chalice" / "config.json"
SHIPPED = ("app.py", "chalicelib", ".chalice/config.json", ".chalice/policies")
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
"""Lambda runtimes at AWS that this code runs on. The Python that packages decides which one it is."""


class CannotPackage(Exception):
    """One line for the person at the keyboard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """`template` (sam.json) names `archive` (deployment.zip) beside it; `runtime` as Lambda calls it."""

    template: Path
    archive: Path
    runtime: str

    @property
    def megabytes(self) -> float:
        return self.archive.stat().st_size / 1e6


def build_package(stage: str, output: Path) -> Package:
    """Package one stage of .chalice/config.json into the folder `output`, replacing what a build left there.

    Needs pip's index for libraries that are not in build/cache yet; no AWS account and no region. Chalice is
    given no requirements: it would fetch them at every build, and go on without those it does not find.
    """
    _check(stage)
    with tempfile.TemporaryDirectory(prefix="perennial-package-") as folder:
        workspace = Path(folder)
        source, made = workspace / "source", workspace / "made"
        _copy_shipped(source)
        merge = workspace / "merge.json"
        merge.write_text(json.dumps(merge_template(stage)), encoding="utf-8")
        _run_chalice(stage, source, merge, made)
        with zipfile.ZipFile(made / "deployment.zip") as packed:
            packed.extractall(workspace / "application")
        output.mkdir(parents=True, exist_ok=True)
        package = Package(
            template=output / "sam.json",
            archive=output / "deployment.zip",
            runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        )
        pack(workspace / "application", package.archive, onto=_libraries())
        shutil.copyfile(made / "sam.json", package.template)
    return package


def _check(stage: str) -> None:
    if sys.version_info[:2] not in PYTHONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise CannotPackage(f"Lambda has no runtime for this Python; package with one of {known}")
    stages = _config()["stages"]
    if stage not in stages:
        raise CannotPackage(f"no stage '{stage}' in .chalice/config.json; there are {', '.join(stages)}")


def _config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(CONFIG.read_text(encoding="utf-8"))
    return config


def _libraries() -> Path:
    try:
        return libraries(REQUIREMENTS, _config()["lambda_architecture"], CACHE)
    except NoWheels as trouble:
        raise CannotPackage(str(trouble)) from None


def _copy_shipped(target: Path) -> None:
    """Only what ships, so that nothing local and no leftover can slip in."""
    for name in SHIPPED:
        source, copy = PROJECT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, copy)


def _run_chalice(stage: str, source: Path, merge: Path, target: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERENNIAL_")}
    environment.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # Chalice asks for its partition, no more
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "chalice"), "--project-dir", str(source),
            "package", "--stage", stage, "--merge-template", str(merge), str(target),
        ],
        env=environment, cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode:
        raise CannotPackage(f"chalice package failed: {_last_line(run.stderr or run.stdout)}")


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no output"
