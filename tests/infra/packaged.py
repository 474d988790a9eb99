"""The package as `make package STAGE=dev` makes it, once for all tests of the same source."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import re
import shutil
import site
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.package.build import CACHE, PROJECT, REQUIREMENTS, SHIPPED, build_package

KEPT = 2
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


@dataclass(frozen=True)
class Packaged:
    """`folder` holds sam.json, deployment.zip, and `task`: the zip's content, importable on this machine."""

    folder: Path

    @cached_property
    def template(self) -> dict[str, Any]:
        template: dict[str, Any] = json.loads((self.folder / "sam.json").read_text(encoding="utf-8"))
        return template

    @property
    def archive(self) -> Path:
        return self.folder / "deployment.zip"

    @property
    def task(self) -> Path:
        return self.folder / "task"

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties by logical id."""
        found = self.template["Resources"].items()
        return {name: body.get("Properties", {}) for name, body in found if body["Type"] == kind}

    @property
    def functions(self) -> dict[str, dict[str, Any]]:
        return self.of_type("AWS::Serverless::Function")

    def policy(self, function: str) -> dict[str, Any]:
        """The one policy document of a function's role."""
        role = self.functions[function]["Role"]["Fn::GetAtt"][0]
        (policy,) = self.of_type("AWS::IAM::Role")[role]["Policies"]
        document: dict[str, Any] = policy["PolicyDocument"]
        return document

    def import_cold(self, statement: str) -> str:
        """Standard output of a new process that can see the standard library and the package, no environment."""
        program = f"import sys; sys.path.insert(0, {str(self.task)!r})\n{statement}"
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            env={}, cwd="/", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return run.stdout

    def import_seconds(self, *modules: str, rounds: int = 5) -> float:
        """CPU seconds of the quickest of `rounds` cold imports, without the interpreter's own start."""
        statement = (
            "import time\nstart = time.process_time()\n"
            f"import {', '.join(modules)}\nprint(time.process_time() - start)"
        )
        return min(float(self.import_cold(statement)) for _ in range(rounds))


def packaged() -> Packaged:
    """Built on first use and kept in build/cache until the source changes; safe among parallel test processes."""
    folder = CACHE / _fingerprint()
    with _alone():
        if not (folder / "task").exists():
            _forget_old()
            build_package("dev", folder)
            _unpack(folder)
    return Packaged(folder)


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    roots = [REQUIREMENTS, PROJECT / "infra" / "package", *(PROJECT / name for name in SHIPPED)]
    files = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    files += [*(PROJECT / "infra").glob("*.json"), Path(__file__)]
    for path in sorted(files):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old() -> None:
    builds = sorted(
        (path for path in CACHE.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime
    )
    for build in builds[: max(0, len(builds) - KEPT + 1)]:
        shutil.rmtree(build, ignore_errors=True)


def _unpack(folder: Path) -> None:
    """The zip's content. Where this machine is not of Lambda's architecture, native modules are replaced by
    this machine's own builds of the same pinned versions.
    """
    making = folder / "task.making"
    shutil.rmtree(making, ignore_errors=True)
    with zipfile.ZipFile(folder / "deployment.zip") as packed:
        packed.extractall(making)
    for library in making.rglob("*.so"):
        if MACHINES[architecture(folder)] not in library.name or platform.machine() not in library.name:
            _replace(library, making)
    for bundled in making.glob("*.libs"):  # what native modules bring along, named by machine
        for packages in site.getsitepackages():
            own = Path(packages) / bundled.name
            if own.is_dir():
                shutil.copytree(own, bundled, dirs_exist_ok=True)
    making.rename(folder / "task")


def architecture(folder: Path) -> str:
    template: Mapping[str, Any] = json.loads((folder / "sam.json").read_text(encoding="utf-8"))
    name: str = template["Resources"]["APIHandler"]["Properties"]["Architectures"][0]
    return name


def _replace(library: Path, root: Path) -> None:
    stem = re.split(r"\.", library.name)[0]
    for packages in site.getsitepackages():
        for own in (Path(packages) / library.parent.relative_to(root)).glob(f"{stem}.*.so"):
            library.unlink(missing_ok=True)
            shutil.copyfile(own, library.parent / own.name)
