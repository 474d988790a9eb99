"""Schemathesis against our own description: no 5xx, no undeclared answer, no answer of another shape."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application.catalog import publish_default
from chalicelib.application.context import Context
from chalicelib.entrypoints.log import logger
from infra.local.server import create_server
from tests.conftest import free_port
from tests.infra.http_world import START, copy_of_app, http_world

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "unsupported_method,ignored_auth"
)


@contextmanager
def served():
    """(address, secret key) of the application on loopback, with the shipped catalog and memory adapters."""
    port = free_port()
    with http_world() as world:
        services = world.services
        services.queues, services.gateway = MemoryQueues(), MemoryGateway()
        for env in ("live", world.sandbox.environment.id):
            publish_default(Context(env=env, now=START, machine_now=START, services=services))
        server = create_server(copy_of_app(), port)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        quiet = logger()
        level = quiet.log_level
        quiet.setLevel("ERROR")
        try:
            yield f"http://127.0.0.1:{port}", world.sandbox.secret_token
        finally:
            quiet.setLevel(level)
            server.server.shutdown()
            server.server.server_close()
            thread.join(5)


def test_the_api_keeps_to_its_description(tmp_path):
    command = Path(sys.executable).with_name("st")
    if not command.exists():
        pytest.skip("schemathesis is not installed beside this Python")
    with served() as (address, token):
        run = subprocess.run(
            [
                command, "run", f"{address}/openapi.json", "-H", f"Authorization: Bearer {token}",
                "--phases", "examples,coverage,fuzzing,stateful", "--checks", CHECKS, "-n", "8",
                "--generation-deterministic", "--continue-on-failure",
                "--no-color",
            ],
            cwd=tmp_path, env=os.environ | {"COLUMNS": "160"}, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout[-8_000:] + run.stderr[-2_000:]
    assert "No failures" in run.stdout or "passed" in run.stdout
