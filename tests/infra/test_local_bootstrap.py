"""What a fresh installation begins with is made once and found again ever after."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.adapters.memory import MemoryStore
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.application.credentials import check_token
from chalicelib.application.environments import list_sandboxes, load_environment
from chalicelib.composition import Services, use
from chalicelib.domain.credentials import KeyKind, Scope
from infra.local.bootstrap import bootstrap


@pytest.fixture
def ports() -> Services:
    return Services(store=MemoryStore(), ops=MemoryOps(), pepper=b"p" * 32)


def test_it_makes_a_sandbox_to_start_in(ports: Services, tmp_path: Path) -> None:
    with use(ports):
        keys = bootstrap(tmp_path)
    secret = check_token(ports.keys, keys.secret, machine_now=datetime.now(UTC))
    public = check_token(ports.keys, keys.publishable, machine_now=datetime.now(UTC))
    assert secret.env == public.env != "live"
    assert (secret.kind, public.kind) == (KeyKind.SECRET, KeyKind.PUBLISHABLE)
    assert Scope.ADMIN in secret.scopes
    for env in ("live", secret.env):
        assert load_environment(ports.store, env).catalog_version == 1


def test_running_it_again_makes_nothing_new(ports: Services, tmp_path: Path) -> None:
    with use(ports):
        first = bootstrap(tmp_path)
        (tmp_path / "keys.json").unlink()  # even without the file the keys are the same
        assert bootstrap(tmp_path) == first
    assert len(list_sandboxes(ports.store, ports.ops)[0]) == 1


def test_the_keys_are_for_the_owner_only(ports: Services, tmp_path: Path) -> None:
    (tmp_path / "keys.json").touch(mode=0o644)
    with use(ports):
        keys = bootstrap(tmp_path)
    file = tmp_path / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert (kept["sandbox"]["secret_key"], kept["sandbox"]["publishable_key"]) == (
        keys.secret,
        keys.publishable,
    )
    assert kept["live"]["environment"] == "live"
    assert kept["live"]["secret_key"].startswith("prn_live_")
