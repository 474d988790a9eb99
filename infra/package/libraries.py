"""The third-party half of the zip: wheels for Lambda, pruned and compiled, kept until the requirements change."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from chalice.deploy.packager import DependencyBuilder, MissingDependencyError
from chalice.utils import OSUtils

from infra.package import archive, contents

CHALICE = "chalice"
"""Chalice puts the two files of its runtime beside the application itself."""


class NoWheels(Exception):
    """Something that is required has no wheel for Lambda."""


def libraries(requirements: Path, architecture: str, cache: Path) -> Path:
    """A zip of the libraries, out of `cache` or newly made there. Fetches wheels by Chalice's own resolver.

    NoWheels when there is none for this Python on Lambda's architecture; Chalice itself would go on without.
    """
    kept = cache / f"libraries-{_fingerprint(requirements, architecture)}.zip"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="perennial-libraries-") as folder:
            _fetch(requirements, architecture, Path(folder) / "all")
            unready = kept.with_suffix(f".{os.getpid()}")
            archive.pack(_pruned(Path(folder) / "all", Path(folder) / "shipped"), unready)
            unready.replace(kept)
    return kept


def _fetch(requirements: Path, architecture: str, target: Path) -> None:
    target.mkdir()
    builder = DependencyBuilder(OSUtils(), architecture=architecture)
    abi = f"cp{sys.version_info.major}{sys.version_info.minor}"
    try:
        builder.build_site_packages(abi, str(requirements), str(target))
    except MissingDependencyError as missing:
        names = ", ".join(sorted(package.identifier for package in missing.missing))
        raise NoWheels(f"no wheels for {abi} on {architecture}: {names}") from None


def _pruned(source: Path, target: Path) -> Path:
    for path in source.rglob("*"):
        name = path.relative_to(source)
        if path.is_file() and name.parts[0] != CHALICE and contents.ships(name.as_posix()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)
    return target


def _fingerprint(requirements: Path, architecture: str) -> str:
    digest = hashlib.sha256(f"{sys.version} {architecture}".encode())
    for file in (requirements, Path(contents.__file__), Path(archive.__file__), Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
