"""What a fresh installation begins with: the live environment, a sandbox, the default catalog, and keys."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from chalicelib.application.catalog import publish_default
from chalicelib.application.context import Context
from chalicelib.application.environments import Opened, open_environment
from chalicelib.composition import Services, services
from chalicelib.domain.environment import LIVE
from infra.local.screen import Keys


def bootstrap(state: Path) -> Keys:
    """Makes what is not there yet and answers the sandbox's keys; those of both environments are kept in
    `state/keys.json`, for the owner only.

    Runs at every start: all of it derives from fixed request keys and the installation's own secret pepper,
    so running it again finds what it made before.
    """
    ports, now = services(), datetime.now(UTC)
    live = _open(ports, now, name="Live", request_key="local live", live=True)
    publish_default(Context(env=LIVE, now=now, machine_now=now, services=ports))
    sandbox = _open(ports, now, name="First sandbox", request_key="local sandbox", catalog_of=LIVE)
    _keep(state / "keys.json", {"sandbox": sandbox, "live": live})
    return Keys(secret=sandbox.secret_token, publishable=sandbox.publishable_token)


def _open(
    ports: Services,
    now: datetime,
    *,
    name: str,
    request_key: str,
    live: bool = False,
    catalog_of: str | None = None,
) -> Opened:
    return open_environment(
        ports.store,
        ports.keys,
        name=name,
        request_key=request_key,
        machine_now=now,
        live=live,
        catalog_of=catalog_of,
    )


def _keep(file: Path, opened: dict[str, Opened]) -> None:
    keys = {
        name: {
            "environment": each.environment.id,
            "secret_key": each.secret_token,
            "publishable_key": each.publishable_token,
        }
        for name, each in opened.items()
    }
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as writing:
        os.fchmod(writing.fileno(), 0o600)
        json.dump(keys, writing, indent=2)
