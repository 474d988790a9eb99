"""`python -m infra.local.dynamodb_local [command …]`: fetch DynamoDB Local, start it, run the command against it.

The command finds its address in DYNAMODB_LOCAL_ENDPOINT; the engine ends with it, and its status is ours. Without a
command it runs until Ctrl-C. Without Java or Maven: one line, and status 3. The engine has no option to listen on
loopback alone: while it runs, its port (with the tests' made-up data, in memory) is open to the network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from infra.local.engine import LOOPBACK, PROJECT
from infra.local.ports import free_ports

POM = Path(__file__).with_name("pom.xml")
LIBRARIES = PROJECT / "build" / "dynamodb-local"
MAIN = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
ENDPOINT = "DYNAMODB_LOCAL_ENDPOINT"
UNAVAILABLE = 3
STARTS_WITHIN = 30.0


class Unavailable(Exception):
    """The machine cannot run it; the message says why, in one line."""


def main(command: list[str]) -> int:
    try:
        with running() as endpoint:
            print(f"DynamoDB Local: {endpoint}", flush=True)
            if command:
                return subprocess.run(command, env={**os.environ, ENDPOINT: endpoint}, check=False).returncode
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
            return 0
    except Unavailable as reason:
        print(f"DynamoDB Local skipped: {reason}", flush=True)
        return UNAVAILABLE


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Its address, as long as the block; data lives in memory only."""
    java = _java()
    _fetch()
    port = free_ports(1)
    command = [
        java, f"-Djava.library.path={LIBRARIES}", "-Dlog4j2.disable.jmx=true", "-cp", f"{LIBRARIES}/*",
        MAIN, "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=LIBRARIES)
        try:
            endpoint = f"http://{LOOPBACK}:{port}"
            if not _answers(endpoint, process):
                log.seek(0)
                raise Unavailable(f"it did not start: {log.read().decode(errors='replace')[-400:]}")
            yield endpoint
        finally:
            process.terminate()
            process.wait(10)


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise Unavailable("no Java on this machine (17 or newer)")
    return java


def _fetch() -> None:
    """Its libraries into build/, once per version of the pom."""
    mark = LIBRARIES / "pom.xml"
    if mark.exists() and mark.read_bytes() == POM.read_bytes():
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("no Maven on this machine to fetch it with")
    shutil.rmtree(LIBRARIES, ignore_errors=True)
    fetched = subprocess.run(
        [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIBRARIES}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fetched.returncode:
        said = (fetched.stdout + fetched.stderr).strip().splitlines() or ["no reason given"]
        raise Unavailable(f"Maven could not fetch it: {said[0]}")
    shutil.copy(POM, mark)


def _answers(endpoint: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(endpoint, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
