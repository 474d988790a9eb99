"""Each function as Lambda starts it: its module alone, by its handler string, with nothing that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from app import app

HANDLERS = {source.name: source.handler_string for source in app.event_sources}
HEAVY = ("stripe", "jinja2", "babel", "pydantic", "pynamodb", "boto3", "app", "chalicelib.entrypoints.http")
_START = """
import importlib, json, sys
module, _, name = sys.argv[1].rpartition(".")
handler = getattr(importlib.import_module(module), name)
assert callable(handler)
print(json.dumps([heavy for heavy in sys.argv[2:] if heavy in sys.modules]))
"""


def test_every_job_is_registered():
    assert set(HANDLERS) == {
        "tick", "work_due", "apply_notices", "send_mail", "advance_clock", "project_journal", "fold_usage", "reconcile",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_handler_starts_cold_and_light(name):
    """The processor's SDK, templates, schemas and clients are loaded by the first event that needs them."""
    done = subprocess.run(
        [sys.executable, "-c", _START, HANDLERS[name], *HEAVY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
