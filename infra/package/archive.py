"""Zips that are quick to import and the same every time: with bytecode, in order, without times."""

from __future__ import annotations

import compileall
import shutil
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode

ON_LAMBDA = "/var/task"
EPOCH = (1980, 1, 1, 0, 0, 0)


class DoesNotCompile(Exception):
    """A source file is not valid for the Python that packages."""


def pack(folder: Path, target: Path, *, onto: Path | None = None) -> None:
    """Compile what is in `folder` and zip it as `target`, behind what the zip `onto` holds.

    The bytecode is not checked against its source (the times in a zip say nothing): a cold import takes it as
    it is, which is right because nobody edits code on Lambda.
    """
    compiled = compileall.compile_dir(
        folder,
        ddir=ON_LAMBDA,
        quiet=1,
        maxlevels=50,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise DoesNotCompile("a file of the deployment package does not compile; see above")
    if onto is not None:
        shutil.copyfile(onto, target)
    with zipfile.ZipFile(target, "a" if onto else "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            _add(packed, path, path.relative_to(folder).as_posix())


def _add(packed: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = (0o755 if path.suffix == ".so" else 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    packed.writestr(entry, path.read_bytes())
