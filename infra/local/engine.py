"""Starts and stops the programs that the local system consists of."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
PROJECT = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """A program did not come up; the message says which and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running program: ends with this process, whatever happens to it, and logs to a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self, timeout: float = 10.0) -> None:
        """Asks it to end, waits (it saves its state on the way out), then insists. May be repeated."""
        if not self.ended:
            self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def last_words(self, lines: int = 5) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def start_child(
    name: str, module: str, *arguments: str, log_folder: Path, environment: Mapping[str, str] | None = None
) -> Child:
    """Starts `python -m module arguments…` so that it cannot outlive us.

    It gets a session of its own: a Ctrl-C in the terminal reaches us alone, and we stop children in order.
    """
    log = log_folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.child", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    return Child(name, process, log)


def start_emulator(state: Path, port: int) -> Child:
    """Starts ministack on loopback; its state lives in `state/aws` and is written when it ends cleanly."""
    folder = (state / "aws").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder),
        "SERVICES": "dynamodb,dynamodbstreams,s3,sqs,ses,ssm",
        "LOG_LEVEL": "WARNING",
        # Listeners that nobody here needs.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Containers are not ours to look after.
        "DOCKER_HOST": "unix:///nonexistent",
        "MINISTACK_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    return start_child("emulator", "infra.local.emulator", log_folder=state, environment=environment)


def emulator_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def wait_until_up(children: Sequence[tuple[Child, str]], timeout: float = 15.0) -> None:
    """Waits until each child's URL answers (any status). ChildFailed names the one that did not."""
    deadline = time.monotonic() + timeout
    for child, url in children:
        while not _answers(url):
            if child.ended or time.monotonic() > deadline:
                raise ChildFailed(f"{child.name} did not start:\n{child.last_words()}")
            time.sleep(0.02)


@contextlib.contextmanager
def running_emulator(state: Path, port: int) -> Iterator[str]:
    """Its URL, for tests and tools that need the engine alone."""
    child = start_emulator(state, port)
    try:
        wait_until_up([(child, f"{emulator_url(port)}/_ministack/health")])
        yield emulator_url(port)
    finally:
        child.stop()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
